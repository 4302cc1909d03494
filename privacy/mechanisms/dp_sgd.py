"""DP-SGD through Opacus: one object holds sampling, clipping and noise, and the event that is charged for them.

``DpSgdConfig`` holds the sampling rate, the clipping norm, the noise and the number of steps, fixed before training.
Charge and training use the same numbers, so that they cannot differ. Rate and divisor come from a public or noisy
number of rows. Nothing stops early, nothing is chosen by a score, and the loss is never reported.

The noise is drawn from the operating system's cryptographic source, for torch's own generator has a state of 32 bits of
seed; it is floating point, which a model card must say.

Processes that train together (``common.data_parallel``) pick the same batches and draw the same noise. Each clips the
gradients of its part of a batch, and the noise is added once to the sum over all, so the guarantee is that of one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.data_parallel import own_rows, process_rank, sum_gradients
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.accountant import event_to_data
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.ledger_entry import Entry
from tabsynth.privacy.mechanisms.ghost_clipping import GhostLayer, compute_norms
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import hash_arrays

MAX_NOISE_MULTIPLIER = 1e4
"""The largest noise multiplier that is tried."""


@dataclass(frozen=True)
class DpSgdConfig:
    """Parameters of DP-SGD, and the event that they amount to.

    Attributes:
        steps: Steps in all.
        rate: Probability with which each unit is in a step's batch.
        multiplier: Standard deviation of the noise, in units of ``clip``.
        clip: Largest norm of what one unit adds to the sum of gradients.
        rows: The public or noisy number of rows that the mean is taken over: the divisor is ``rate * rows``.
        max_rows_per_unit: Maximum rows of a unit. All rows of a unit are in a batch together, and each is
            clipped to its share of ``clip``.
    """

    steps: int
    rate: float
    multiplier: float
    clip: float
    rows: float
    max_rows_per_unit: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.rate <= 1 or not self.multiplier > 0 or not self.clip > 0 or self.rows < 1:
            raise PrivacyError(f"{self} cannot be trained: steps, noise, clip and rows are above 0, the rate at most 1")

    @property
    def event(self) -> Any:
        """The dp-accounting event of the whole training."""
        from dp_accounting import dp_event

        one = dp_event.PoissonSampledDpEvent(self.rate, dp_event.GaussianDpEvent(self.multiplier))
        return dp_event.SelfComposedDpEvent(one, self.steps)

    @classmethod
    def from_budget(
        cls,
        ledger: PrivacyLedger,
        *,
        steps: int,
        rate: float,
        clip: float,
        rows: float,
        max_rows_per_unit: int = 1,
    ) -> DpSgdConfig:
        """Return the smallest noise with which all steps fit into the remaining budget.

        Raises:
            PrivacyError: Nothing is left.
        """

        def fits(multiplier: float, quick: bool) -> bool:
            tried = cls(steps, rate, multiplier, clip, rows, max_rows_per_unit)
            return ledger.epsilon_with(event_to_data(tried.event), quick=quick) <= ledger.epsilon_budget

        low, high = 0.25, 0.5
        while not fits(high, True):
            low, high = high, high * 2
            if high > MAX_NOISE_MULTIPLIER:
                raise PrivacyError(
                    f"what is left of the budget, {ledger.remaining:.3g} of {ledger.epsilon_budget:.3g}, is too little "
                    f"for {steps} steps"
                )
        while high / low > 1.0005:
            middle = (low * high) ** 0.5
            low, high = (low, middle) if fits(middle, True) else (middle, high)
        # Accounting by privacy losses, where it can be had, allows a little less noise.
        low = 0.8 * high
        if fits(high * 0.999, False):
            while high / low > 1.001:
                middle = (low * high) ** 0.5
                low, high = (low, middle) if fits(middle, False) else (middle, high)
        return cls(steps, rate, high, clip, rows, max_rows_per_unit)

    def charge(self, ledger: PrivacyLedger, *, purpose: str, columns: Iterable[str], noise: Noise) -> ChargedDpSgd:
        """Charge all steps; only the returned object can train."""
        rng = f"{noise.kind}, floating point"
        entry = ledger.charge(self.event, purpose=purpose, columns=columns, sensitivity=self.clip, rng=rng)
        return ChargedDpSgd(self, ledger, entry, noise)


class LossFn(Protocol):
    """The loss of each row of a batch, shape (batch,), by a module; a row's loss depends on that row alone."""

    def __call__(self, module: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Return the losses."""
        ...


@dataclass(frozen=True)
class ChargedDpSgd:
    """Charged steps, which may be trained once.

    Attributes:
        config: The charged parameters.
        ledger: The ledger that was charged.
        entry: The charge.
        noise: Where seeds and batches come from.
    """

    config: DpSgdConfig
    ledger: PrivacyLedger
    entry: Entry
    noise: Noise

    def train(
        self,
        module: nn.Module,
        losses: LossFn,
        read: Callable[[], tuple[Tensor, npt.NDArray[np.int64] | None]],
        *,
        learning_rate: Callable[[int], float],
        after: Callable[[int], None] = lambda step: None,
        public: Callable[[nn.Module], Tensor] | None = None,
    ) -> None:
        """Train a module of Opacus' layers in place; each layer is called once in a forward pass.

        Args:
            module: The module to train.
            losses: Computed with the module that it is given.
            read: Gives the private rows, shape (rows, slots), and the unit of each, or None where each row is one.
            learning_rate: Adam's rate at a step.
            after: Called after every step with its number: for a progress bar, and for what follows from the weights.
            public: A mean loss that no private row is in, of the module that it is given; its gradient is added to the
                noisy mean as it is.

        Raises:
            PrivacyError: It was trained already.
        """
        if any(entry.index == self.entry.index and entry.output for entry in self.ledger.entries):
            raise PrivacyError("these steps were charged once and trained already; charge them again")
        batches, inner = self.noise.branch(1), self.noise.branch(2)
        step = DpSgdStep(module, self.config, self.noise)
        rows, units = read()
        device = next(module.parameters()).device
        members = _unit_rows(len(rows), units)
        for number in range(self.config.steps):
            picked = sample_poisson(members.count, self.config.rate, batches)
            batch = own_rows(rows[torch.from_numpy(members(picked)).to(rows.device)]).to(device)
            within = torch.Generator(device).manual_seed(int(inner.words(1)[0] >> np.uint64(1)) + process_rank())
            for group in step.optimiser.param_groups:
                group["lr"] = learning_rate(number)
            step.take(partial(losses, tokens=batch, generator=within) if len(batch) else None, public)
            after(number)
        step.close()
        self.ledger.record(self.entry, hash_arrays([weight.detach().cpu().numpy() for weight in module.parameters()]))


def sample_poisson(units: int, rate: float, noise: Noise) -> npt.NDArray[np.bool_]:
    """Return which units are in a batch: each with probability ``rate``, by itself, shape (units,)."""
    if rate == 1:
        return np.ones(units, bool)
    return noise.words(units) < np.uint64(int(rate * 2.0**64))


class DpSgdStep:
    """One noisy step at a time, by Opacus: ghost clipping, noise and division by the public batch size.

    Args:
        module: The module to train.
        config: Clipping, noise and divisor.
        noise: Where the noise comes from.
    """

    def __init__(self, module: nn.Module, config: DpSgdConfig, noise: Noise) -> None:
        from opacus.grad_sample import GradSampleModuleFastGradientClipping, register_norm_sampler
        from opacus.optimizers import DPOptimizerFastGradientClipping

        for kind in {type(layer) for layer in module.modules() if isinstance(layer, GhostLayer)}:
            register_norm_sampler(kind)(compute_norms)
        each = config.clip / config.max_rows_per_unit
        self.wrapped = GradSampleModuleFastGradientClipping(
            module, max_grad_norm=each, use_ghost_clipping=True, loss_reduction="mean"
        )

        class Optimiser(DPOptimizerFastGradientClipping):  # type: ignore[misc]
            """Opacus' optimiser with noise from a cryptographic source."""

            def add_noise(self) -> None:
                for weight in self.params:
                    drawn = noise.normal(weight.numel()) * (self.noise_multiplier * self.max_grad_norm)
                    added = torch.from_numpy(drawn).to(weight.device, weight.dtype).view_as(weight)
                    weight.grad = weight.summed_grad.view_as(weight) + added

        self.optimiser = Optimiser(
            torch.optim.Adam(module.parameters(), lr=0.0, betas=(0.9, 0.99)),
            noise_multiplier=config.multiplier * config.max_rows_per_unit,
            max_grad_norm=each,
            expected_batch_size=config.rate * config.rows,
            loss_reduction="mean",
        )
        self.wrapped.train()

    def take(
        self, losses: Callable[[nn.Module], Tensor] | None, public: Callable[[nn.Module], Tensor] | None = None
    ) -> None:
        """Clip the gradients of a batch's losses, add the noise and step; an empty batch (None) is noise alone.

        The gradient of a public loss is added after noise and division, which it has no part in.
        """
        self.gradients(losses)
        self.optimiser.pre_step()
        if public is not None:
            self.wrapped.disable_hooks()
            with _ignore_hook_warning():
                free = torch.autograd.grad(public(self.wrapped), self.optimiser.params, materialize_grads=True)
            self.wrapped.enable_hooks()
            for weight, gradient in zip(self.optimiser.params, free, strict=True):
                weight.grad += gradient
        self.optimiser.original_optimizer.step()
        self.optimiser.zero_grad()

    def gradients(self, losses: Callable[[nn.Module], Tensor] | None) -> None:
        """The sum of the clipped gradients of a batch over all processes, left in ``grad``."""
        from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

        self.optimiser.zero_grad()
        if losses is not None:
            with _ignore_hook_warning():
                DPTensorFastGradientClipping(self.wrapped, self.optimiser, losses(self.wrapped), "mean").backward()
        for weight in self.optimiser.params:
            if weight.grad is None:  # no row, or a weight that no row uses
                weight.grad = torch.zeros_like(weight)
        sum_gradients([weight.grad for weight in self.optimiser.params])

    def close(self) -> None:
        """Take Opacus' hooks off the module."""
        self.wrapped._close()


@contextmanager
def _ignore_hook_warning() -> Iterator[None]:
    """Ignore a warning on the first layer, whose inputs need no gradients."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield


@dataclass(frozen=True)
class _UnitRows:
    """The rows of units.

    Attributes:
        count: Number of units.
        of: The unit of each row, None where each row is one.
    """

    count: int
    of: npt.NDArray[np.int64] | None

    def __call__(self, picked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the rows of the units that were picked."""
        return np.flatnonzero(picked if self.of is None else picked[self.of])


def _unit_rows(rows: int, units: npt.NDArray[np.int64] | None) -> _UnitRows:
    return _UnitRows(rows if units is None else int(units.max(initial=-1)) + 1, units)
