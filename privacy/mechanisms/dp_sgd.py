"""DP-SGD with Opacus: one object defines sampling, clipping and noise, and the event that is charged for them.

``DpSgdConfig`` contains the sampling rate, the clipping norm, the noise and the number of steps, fixed before training.
Charge and training use the same numbers, so they cannot differ. Rate and divisor come from a public or noisy number of
rows. There is no early stopping and no selection by a score, and the loss is never reported.

The noise comes from the operating system's cryptographic source, because torch's generator has a seed of 32 bits. It is
floating-point noise, which a model card must state.

Processes that train together (``common.data_parallel``) pick the same batches and draw the same noise. Each clips the
gradients of its part of a batch, and the noise is added once to the sum over all, so the guarantee is that of a single
process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.data_parallel import own_rows, process_rank, sum_gradients
from tabsynth.common.process_state import ignored_warnings
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.accountant import event_to_data
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.ledger_entry import Entry
from tabsynth.privacy.mechanisms.ghost_clipping import GhostLayer, compute_norms
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noise_search import least_noise
from tabsynth.privacy.mechanisms.noisy_counts import hash_arrays

MAX_NOISE_MULTIPLIER = 1e4
"""The largest noise multiplier that the search tries."""


@dataclass(frozen=True)
class DpSgdConfig:
    """Parameters of DP-SGD, and their privacy event.

    Attributes:
        steps: Total number of steps.
        rate: Probability with which each unit is in a step's batch.
        multiplier: Standard deviation of the noise, in units of ``clip``.
        clip: Maximum norm of a unit's contribution to the sum of gradients.
        rows: The public or noisy number of rows; the sum of gradients is divided by ``rate * rows``.
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
            raise PrivacyError(f"{self} is invalid: steps, noise, clip and rows must be above 0, the rate at most 1")

    @property
    def event(self) -> Any:
        """The dp-accounting event of the whole training."""
        from dp_accounting import dp_event

        step = dp_event.PoissonSampledDpEvent(self.rate, dp_event.GaussianDpEvent(self.multiplier))
        return dp_event.SelfComposedDpEvent(step, self.steps)

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
        """Return the configuration with the smallest noise for which all steps fit into the remaining budget.

        Raises:
            PrivacyError: The remaining budget is too small.
        """

        def epsilon(multiplier: float, quick: bool) -> float:
            candidate = cls(steps, rate, multiplier, clip, rows, max_rows_per_unit)
            return ledger.epsilon_with(event_to_data(candidate.event), quick=quick)

        budget = ledger.epsilon_budget
        low, high = 0.25, 0.5
        while not epsilon(high, True) <= budget:
            low, high = high, high * 2
            if high > MAX_NOISE_MULTIPLIER:
                raise PrivacyError(
                    f"the remaining budget, {ledger.remaining:.3g} of {ledger.epsilon_budget:.3g}, is too small "
                    f"for {steps} steps; use a larger epsilon or fewer epochs"
                )
        while high / low > 1.0005:
            middle = (low * high) ** 0.5
            low, high = (low, middle) if epsilon(middle, True) <= budget else (middle, high)
        # PLD accounting, where it supports the events, allows slightly less noise.
        below = high * 0.999
        spent = epsilon(below, False)
        if spent <= budget:
            high = least_noise(lambda multiplier: epsilon(multiplier, False), budget, 0.8 * high, (below, spent))
        return cls(steps, rate, high, clip, rows, max_rows_per_unit)

    def charge(self, ledger: PrivacyLedger, *, purpose: str, columns: Iterable[str], noise: Noise) -> ChargedDpSgd:
        """Charge all steps; only the returned object can train."""
        rng = f"{noise.kind}, floating point"
        entry = ledger.charge(self.event, purpose=purpose, columns=columns, sensitivity=self.clip, rng=rng)
        return ChargedDpSgd(self, ledger, entry, noise)


class LossFn(Protocol):
    """Loss of each row of a batch by a module, shape (batch,); a row's loss depends on that row alone."""

    def __call__(self, module: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Return the losses."""
        ...


@dataclass(frozen=True)
class ChargedDpSgd:
    """Charged DP-SGD steps, which can be run once.

    Attributes:
        config: The charged parameters.
        ledger: The ledger that was charged.
        entry: The charge.
        noise: Source of seeds, batches and noise.
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
            losses: Loss of each row, computed with the module that is passed to it.
            read: Returns the private rows, shape (rows, slots), and the unit of each, or None if each row is a unit.
            learning_rate: Adam's rate at a step.
            after: Called after every step with its number, for progress and for functions of the weights.
            public: A mean loss of the module that is passed to it, without private rows; its gradient is added to the
                noisy mean.

        Raises:
            PrivacyError: The steps were run already.
        """
        if any(entry.index == self.entry.index and entry.output for entry in self.ledger.entries):
            raise PrivacyError("these steps were charged once and trained already; charge them again")
        batch_noise, seed_noise = self.noise.branch(1), self.noise.branch(2)
        step = DpSgdStep(module, self.config, self.noise)
        rows, units = read()
        device = next(module.parameters()).device
        unit_rows = _unit_rows(len(rows), units)
        for number in range(self.config.steps):
            chosen = sample_poisson(unit_rows.count, self.config.rate, batch_noise)
            batch = own_rows(rows[torch.from_numpy(unit_rows(chosen)).to(rows.device)]).to(device)
            seed = int(seed_noise.words(1)[0] >> np.uint64(1)) + process_rank()
            generator = torch.Generator(device).manual_seed(seed)
            for group in step.optimiser.param_groups:
                group["lr"] = learning_rate(number)
            step.take(partial(losses, tokens=batch, generator=generator) if len(batch) else None, public)
            after(number)
        step.close()
        self.ledger.record(self.entry, hash_arrays([weight.detach().cpu().numpy() for weight in module.parameters()]))


def sample_poisson(units: int, rate: float, noise: Noise) -> npt.NDArray[np.bool_]:
    """Return which units are in a batch, each independently with probability ``rate``, shape (units,)."""
    if rate == 1:
        return np.ones(units, bool)
    return noise.words(units) < np.uint64(int(rate * 2.0**64))


class DpSgdStep:
    """Optimiser steps with Opacus: ghost clipping, noise and division by the public batch size.

    Args:
        module: The module to train.
        config: Parameters of clipping, noise and divisor.
        noise: Source of the noise.
    """

    def __init__(self, module: nn.Module, config: DpSgdConfig, noise: Noise) -> None:
        from opacus.grad_sample import GradSampleModuleFastGradientClipping, register_norm_sampler
        from opacus.optimizers import DPOptimizerFastGradientClipping

        for kind in {type(layer) for layer in module.modules() if isinstance(layer, GhostLayer)}:
            register_norm_sampler(kind)(compute_norms)
        row_clip = config.clip / config.max_rows_per_unit
        self.wrapped = GradSampleModuleFastGradientClipping(
            module, max_grad_norm=row_clip, use_ghost_clipping=True, loss_reduction="mean"
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
            max_grad_norm=row_clip,
            expected_batch_size=config.rate * config.rows,
            loss_reduction="mean",
        )
        self.wrapped.train()

    def take(
        self, losses: Callable[[nn.Module], Tensor] | None, public: Callable[[nn.Module], Tensor] | None = None
    ) -> None:
        """Clip the gradients of a batch's losses, add noise and step; with an empty batch (None), add noise only.

        The gradient of a public loss is added after noise and division.
        """
        self.gradients(losses)
        self.optimiser.pre_step()
        if public is not None:
            self.wrapped.disable_hooks()
            with _NO_HOOK_WARNING.made():
                public_gradients = torch.autograd.grad(
                    public(self.wrapped), self.optimiser.params, materialize_grads=True
                )
            self.wrapped.enable_hooks()
            for weight, gradient in zip(self.optimiser.params, public_gradients, strict=True):
                weight.grad += gradient
        self.optimiser.original_optimizer.step()
        self.optimiser.zero_grad()

    def gradients(self, losses: Callable[[nn.Module], Tensor] | None) -> None:
        """Compute the sum of the clipped gradients of a batch over all processes, in ``grad``."""
        from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

        self.optimiser.zero_grad()
        if losses is not None:
            with _NO_HOOK_WARNING.made():
                DPTensorFastGradientClipping(self.wrapped, self.optimiser, losses(self.wrapped), "mean").backward()
        for weight in self.optimiser.params:
            if weight.grad is None:  # no row, or a weight that no row uses
                weight.grad = torch.zeros_like(weight)
        sum_gradients([weight.grad for weight in self.optimiser.params])

    def close(self) -> None:
        """Remove Opacus' hooks from the module."""
        self.wrapped._close()


_NO_HOOK_WARNING = ignored_warnings(message="Full backward hook is firing")
"""A warning about the first layer, whose inputs need no gradients."""


@dataclass(frozen=True)
class _UnitRows:
    """Rows of each unit.

    Attributes:
        count: Number of units.
        units: The unit of each row, None if each row is a unit.
    """

    count: int
    units: npt.NDArray[np.int64] | None

    def __call__(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the rows of the chosen units."""
        return np.flatnonzero(chosen if self.units is None else chosen[self.units])


def _unit_rows(rows: int, units: npt.NDArray[np.int64] | None) -> _UnitRows:
    return _UnitRows(rows if units is None else int(units.max(initial=-1)) + 1, units)
