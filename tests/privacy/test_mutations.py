"""Faults that private fits are known for, each planted and each found: a suite that never fails proves nothing.

Every fault is planted where a programmer would make it. The check that finds it passes without the fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.privacy import categories, cells, dpsgd, mechanisms
from tabsynth.privacy.dpsgd import Descent, Step
from tabsynth.privacy.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms import exponential, noisy_counts
from tabsynth.privacy.noise import Noise
from tabsynth.synthesizers import masked_private
from tabsynth.synthesizers.marginal import MarginalSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer

from .shadow import blind, fitted, members
from .tables import CHANGES, table

Patch = pytest.MonkeyPatch


def ledger() -> PrivacyLedger:
    return PrivacyLedger(1e6, 1e-6)


# What finds them.


def noise_is_what_was_charged(patch: Patch, folder: Path) -> None:
    own, draws, sensitivity = ledger(), 40_000, 2.0
    facts: dict[str, Any] = {"purpose": "p", "columns": [], "noise": Noise.insecure(1)}
    drawn = noisy_counts(lambda: np.zeros(draws, int), sigma=9.0, sensitivity=sensitivity, ledger=own, **facts)
    charged = own.entries[0].event["rho"]
    # 2 % is three standard deviations of a variance of 40,000 draws; the seed is fixed.
    assert (drawn.astype(float) ** 2).mean() > 0.98 * sensitivity**2 / (2 * charged)
    again = noisy_counts(lambda: np.zeros(draws, int), sigma=9.0, sensitivity=sensitivity, ledger=own, **facts)
    assert abs(np.corrcoef(drawn, again)[0, 1]) < 5 / math.sqrt(draws)


def selection_is_charged(patch: Patch, folder: Path) -> None:
    own, seen = ledger(), []

    def scores() -> Any:
        seen.append(len(own))
        return np.arange(5)

    exponential(scores, rho=0.1, sensitivity=1, ledger=own, purpose="p", columns=[], noise=Noise.secure())
    assert seen == [1]
    assert own.epsilon() > 0


def fresh_noise_differs(patch: Patch, folder: Path) -> None:
    assert (Noise.secure().gaussian(99.0, 20) != Noise.secure().gaussian(99.0, 20)).any()


def rare_values_are_rare(patch: Patch, folder: Path) -> None:
    from scipy.stats import norm

    for sigma, delta in ((10.0, 1e-6), (60.0, 1e-8)):
        assert norm.sf((categories.threshold(sigma, delta) - 1.5) / sigma) <= 1.05 * delta


def step_of(module: torch.nn.Module, data: torch.Tensor, clip: float) -> list[torch.Tensor]:
    step = Step(module, Descent(1, 1.0, 1.0, clip, 1), Noise.insecure(1))
    step.gradients(lambda net: ((net(data) - 5) ** 2).sum(1))
    step.optimiser.accumulate()
    return [weight.summed_grad for weight in step.optimiser.params]


def gradients_are_clipped_one_by_one(patch: Patch, folder: Path) -> None:
    data = torch.tensor([[3.0, -1.0], [0.5, 2.0], [-4.0, 1.0]])
    module, clip = torch.nn.Linear(2, 2), 0.6
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.3, -0.2], [0.1, 0.5]]))
        module.bias.zero_()
    wanted = [torch.zeros_like(weight) for weight in module.parameters()]
    for row in data:
        module.zero_grad()
        ((module(row[None]) - 5) ** 2).sum().backward()
        own = [weight.grad.clone() for weight in module.parameters() if weight.grad is not None]
        norm = math.sqrt(sum(float((part**2).sum()) for part in own))
        for total, part in zip(wanted, own, strict=True):
            total += part * min(1.0, clip / norm)
    module.zero_grad()
    for total, part in zip(wanted, step_of(module, data, clip), strict=True):
        assert torch.allclose(total, part, atol=1e-4)


def batches_are_poisson(patch: Patch, folder: Path) -> None:
    noise = Noise.insecure(2)
    sizes = np.array([dpsgd.poisson(300, 0.1, noise).sum() for _ in range(500)])
    assert 0.7 < sizes.var() / (300 * 0.1 * 0.9) < 1.4  # five standard deviations


def all_steps_are_charged_and_taken(patch: Patch, folder: Path) -> None:
    own, optimised = ledger(), []
    descent = Descent(6, 0.5, 2.0, 1.0, 10)
    paid = descent.charge(own, purpose="p", columns=[], noise=Noise.insecure(1))
    step = torch.optim.Adam.step

    def counted(self: Any, closure: Any = None) -> Any:
        optimised.append(1)
        return step(self, closure)

    patch.setattr(torch.optim.Adam, "step", counted)
    data = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))

    def losses(net: Any, /, tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        out: torch.Tensor = (net(tokens) ** 2).sum(1)
        return out

    paid.train(torch.nn.Linear(2, 1), losses, lambda: (data, None), learning_rate=lambda step: 0.01)
    assert len(optimised) == own.entries[0].event["count"] == 6


def neighbours_leave_the_same_file(change: str, make: Callable[[], Any]) -> Callable[[Patch, Path], None]:
    def check(patch: Patch, folder: Path) -> None:
        blind(patch)
        files = []
        for frame in (table(), CHANGES[change](table())):
            model, said = fitted(make, frame)
            assert said == ""
            files.append((members(model, folder), list(model.sample(10, seed=1).columns)))
        assert files[0] == files[1]

    return check


def quick_marginal() -> MarginalSynthesizer:
    return MarginalSynthesizer(components=8)


def quick_masked() -> MaskedSynthesizer:
    return MaskedSynthesizer(epochs=1)


# What is planted.


def half_sigma(patch: Patch) -> None:
    own = Noise.gaussian
    patch.setattr(Noise, "gaussian", lambda self, sigma, n: own(self, sigma / 2, n))


def no_sigma(patch: Patch) -> None:
    patch.setattr(Noise, "gaussian", lambda self, sigma, n: np.zeros(n, np.int64))


def wrong_sensitivity(patch: Patch) -> None:
    own = mechanisms._gaussian_event
    patch.setattr(mechanisms, "_gaussian_event", lambda sigmas, sensitivity: own(sigmas, sensitivity / math.sqrt(2)))


def reused_noise(patch: Patch) -> None:
    own, kept = Noise.gaussian, {}
    patch.setattr(Noise, "gaussian", lambda self, sigma, n: kept.setdefault((sigma, n), own(self, sigma, n)))


def fixed_seed(patch: Patch) -> None:
    patch.setattr(Noise, "secure", classmethod(lambda cls: cls(np.random.default_rng(0).bytes, "os.urandom")))


def uncharged_selection(patch: Patch) -> None:
    own = PrivacyLedger.charge
    free = {"type": "NoOpDpEvent"}
    patch.setattr(PrivacyLedger, "charge", lambda self, event, **facts: own(self, free, **facts))


def fixed_threshold(patch: Patch) -> None:
    patch.setattr(categories, "threshold", lambda sigma, delta, rows_of_a_unit=1: 5)


def no_clipping(patch: Patch) -> None:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping as Module

    patch.setattr(Module, "get_clipping_coef", lambda self: torch.ones_like(self.get_norm_sample()))


def clipping_of_the_mean(patch: Patch) -> None:
    def gradients(self: Step, losses: Any) -> None:
        self.optimiser.zero_grad()
        self.wrapped.disable_hooks()
        losses(self.wrapped).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.optimiser.params, self.optimiser.max_grad_norm)

    patch.setattr(Step, "gradients", gradients)


def gradients_twice(patch: Patch) -> None:
    own = Step.gradients

    def twice(self: Step, losses: Any) -> None:
        own(self, losses)
        self.optimiser.accumulate()

    patch.setattr(Step, "gradients", twice)


def shuffled_batches(patch: Patch) -> None:
    def shuffle(units: int, rate: float, noise: Noise) -> Any:
        return np.argsort(noise.words(units)) < round(rate * units)

    patch.setattr(dpsgd, "poisson", shuffle)


def steps_miscounted(patch: Patch) -> None:
    own = Descent.event.fget

    def event(self: Descent) -> Any:
        whole = own(self)  # type: ignore[misc]
        return type(whole)(whole.event, whole.count - 1)

    patch.setattr(Descent, "event", property(event))


def stopping_by_a_score(patch: Patch) -> None:
    own = Step.take
    scores = iter([3.0, 2.0, 1.0, 1.5, 1.6, 1.7])

    def take(self: Step, losses: Any) -> None:
        if next(scores) > 1.2:  # after the best score nothing is learned any more
            return
        own(self, losses)

    patch.setattr(Step, "take", take)


def after_a_fit(patch: Patch, change: Callable[[Any, pd.DataFrame], None]) -> None:
    own = MarginalSynthesizer._fit_private

    def fit(self: Any, frame: pd.DataFrame, *rest: Any) -> None:
        own(self, frame, *rest)
        change(self, frame)

    patch.setattr(MarginalSynthesizer, "_fit_private", fit)


def with_other_schema(patch: Patch, change: Callable[[Any, pd.DataFrame], Any]) -> None:
    own = MarginalSynthesizer._fit_private

    def fit(self: Any, frame: pd.DataFrame, schema: Any, *rest: Any) -> None:
        self.schema_ = change(schema, frame)
        own(self, frame[list(self.schema_)], self.schema_, *rest)

    patch.setattr(MarginalSynthesizer, "_fit_private", fit)


def raw_rows(patch: Patch) -> None:
    after_a_fit(patch, lambda model, frame: setattr(model, "rows_", len(frame)))


def rate_of_raw_rows(patch: Patch) -> None:
    own = masked_private.fit_masked

    def fit(model: Any, frame: pd.DataFrame, *rest: Any) -> None:
        within = Descent.within.__func__  # type: ignore[attr-defined]
        rows = len(frame)

        def counted(cls: Any, ledger: Any, **facts: Any) -> Any:
            return within(cls, ledger, **facts | {"rate": min(30 / rows, 1.0)})

        patch.setattr(Descent, "within", classmethod(counted))
        own(model, frame, *rest)
        patch.setattr(Descent, "within", classmethod(within))

    import tabsynth.synthesizers.masked as masked

    patch.setattr(masked, "fit_masked", fit)


def categories_of_the_data(patch: Patch) -> None:
    with_other_schema(
        patch, lambda schema, frame: schema.replace("sex", values=sorted({*map(str, frame["sex"].dropna())}))
    )


def null_column_on_demand(patch: Patch) -> None:
    def change(schema: Any, frame: pd.DataFrame) -> Any:
        nullable = bool(frame["age"].isna().any())
        return schema.replace("age", nullable=nullable)

    with_other_schema(patch, change)


def constants_dropped(patch: Patch) -> None:
    def change(schema: Any, frame: pd.DataFrame) -> Any:
        kept = {name: column for name, column in schema.columns.items() if name == "key" or frame[name].nunique() > 1}
        return type(schema)(kept)

    with_other_schema(patch, change)


def bins_of_the_data(patch: Patch) -> None:
    with_other_schema(patch, lambda schema, frame: schema.replace("age", high=float(frame["age"].max())))


def raw_frequencies(patch: Patch) -> None:
    def change(model: Any, frame: pd.DataFrame) -> None:
        at = model.codec_.positions("sex")[0]
        coder = model.codec_.coders["sex"]
        model.counts_[at] = np.bincount(coder.encode(frame["sex"]), minlength=coder.size)

    after_a_fit(patch, change)


def columns_typed_by_the_data(patch: Patch) -> None:
    def change(model: Any, frame: pd.DataFrame) -> None:
        model.codec_.dtypes["age"] = str(frame["age"].dtype)

    after_a_fit(patch, change)


def a_warning_of_the_data(patch: Patch) -> None:
    import warnings

    own = cells.private_column

    def warning(values: pd.Series, column: Any) -> pd.Series:
        if column.name == "sex" and values.isna().any():
            warnings.warn("some are missing", UserWarning, stacklevel=2)
        return own(values, column)

    patch.setattr(cells, "private_column", warning)


A_FIT = quick_marginal
FAULTS: dict[str, tuple[Callable[[Patch], None], Callable[[Patch, Path], None]]] = {
    "sigma halved": (half_sigma, noise_is_what_was_charged),
    "sigma zero": (no_sigma, noise_is_what_was_charged),
    "sensitivity off by the root of two": (wrong_sensitivity, noise_is_what_was_charged),
    "noise reused": (reused_noise, noise_is_what_was_charged),
    "noise seed fixed": (fixed_seed, fresh_noise_differs),
    "selection uncharged": (uncharged_selection, selection_is_charged),
    "fixed threshold": (fixed_threshold, rare_values_are_rare),
    "clipping skipped": (no_clipping, gradients_are_clipped_one_by_one),
    "clipping after averaging": (clipping_of_the_mean, gradients_are_clipped_one_by_one),
    "gradient accumulated twice": (gradients_twice, gradients_are_clipped_one_by_one),
    "shuffle for Poisson": (shuffled_batches, batches_are_poisson),
    "steps under-counted": (steps_miscounted, all_steps_are_charged_and_taken),
    "validation stopping": (stopping_by_a_score, all_steps_are_charged_and_taken),
    "q from the private row count": (rate_of_raw_rows, neighbours_leave_the_same_file("duplicate row", quick_masked)),
    "raw n used": (raw_rows, neighbours_leave_the_same_file("duplicate row", A_FIT)),
    "categories from data": (categories_of_the_data, neighbours_leave_the_same_file("new category", A_FIT)),
    "null column on demand": (
        null_column_on_demand,
        neighbours_leave_the_same_file("undeclared null in a number", A_FIT),
    ),
    "constant dropped": (constants_dropped, neighbours_leave_the_same_file("broken constant", A_FIT)),
    "bins from raw data": (bins_of_the_data, neighbours_leave_the_same_file("extreme value", A_FIT)),
    "sampler with raw frequencies": (raw_frequencies, neighbours_leave_the_same_file("duplicate row", A_FIT)),
    "types from data": (
        columns_typed_by_the_data,
        neighbours_leave_the_same_file("undeclared null in a number", A_FIT),
    ),
    "a warning from data": (
        a_warning_of_the_data,
        neighbours_leave_the_same_file("undeclared null in a category", A_FIT),
    ),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: Patch) -> None:
    monkeypatch.setattr(masked_private, "DRAWN", 64)


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_fault_is_found(fault: str, monkeypatch: Patch, tmp_path: Path) -> None:
    plant, check = FAULTS[fault]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(monkeypatch, tmp_path)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_without_it_all_is_well(fault: str, monkeypatch: Patch, tmp_path: Path) -> None:
    FAULTS[fault][1](monkeypatch, tmp_path)


def test_every_fault_that_was_listed_is_planted() -> None:
    assert len(FAULTS) >= 20
