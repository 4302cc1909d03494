"""Faults that private fits are known for, planted where a programmer would make them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms import clamping, dp_sgd, noisy_counts, partition_selection
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig, DpSgdStep
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.marginal import recurring_differences
from tabsynth.synthesizers.marginal.count_source import ExactCounts
from tabsynth.synthesizers.marginal.private_rows import CellRows
from tabsynth.synthesizers.marginal.sign_products import correlations, dependence, triples
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.private import gan
from tabsynth.synthesizers.private import masked as masked_private

Patch = pytest.MonkeyPatch


def half_sigma(patch: Patch) -> None:
    own = Noise.gaussian
    patch.setattr(Noise, "gaussian", lambda self, sigma, n: own(self, sigma / 2, n))


def no_sigma(patch: Patch) -> None:
    patch.setattr(Noise, "gaussian", lambda self, sigma, n: np.zeros(n, np.int64))


def wrong_sensitivity(patch: Patch) -> None:
    own = noisy_counts.gaussian_event
    patch.setattr(noisy_counts, "gaussian_event", lambda mus: own([mu / math.sqrt(2) for mu in mus]))


def reused_noise(patch: Patch) -> None:
    own, kept = Noise.gaussian, {}
    patch.setattr(Noise, "gaussian", lambda self, sigma, n: kept.setdefault((sigma, n), own(self, sigma, n)))


def fixed_seed(patch: Patch) -> None:
    secure = classmethod(lambda cls, read=None: cls(np.random.default_rng(0).bytes, "os.urandom"))
    patch.setattr(Noise, "secure", secure)


def uncharged_selection(patch: Patch) -> None:
    own = PrivacyLedger.charge
    free = {"type": "NoOpDpEvent"}
    patch.setattr(PrivacyLedger, "charge", lambda self, event, **facts: own(self, free, **facts))


def fixed_threshold(patch: Patch) -> None:
    patch.setattr(partition_selection, "threshold", lambda sigma, delta, max_rows_per_unit=1: 5)


def no_clipping(patch: Patch) -> None:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping as Module

    patch.setattr(Module, "get_clipping_coef", lambda self: torch.ones_like(self.get_norm_sample()))


def clipping_of_the_mean(patch: Patch) -> None:
    def gradients(self: DpSgdStep, losses: Any) -> None:
        self.optimiser.zero_grad()
        self.wrapped.disable_hooks()
        losses(self.wrapped).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.optimiser.params, self.optimiser.max_grad_norm)

    patch.setattr(DpSgdStep, "gradients", gradients)


def gradients_twice(patch: Patch) -> None:
    own = DpSgdStep.gradients

    def twice(self: DpSgdStep, losses: Any) -> None:
        own(self, losses)
        self.optimiser.accumulate()

    patch.setattr(DpSgdStep, "gradients", twice)


def shuffled_batches(patch: Patch) -> None:
    def shuffle(units: int, rate: float, noise: Noise) -> Any:
        return np.argsort(noise.words(units)) < round(rate * units)

    patch.setattr(dp_sgd, "sample_poisson", shuffle)


def steps_miscounted(patch: Patch) -> None:
    own = DpSgdConfig.event.fget

    def event(self: DpSgdConfig) -> Any:
        whole = own(self)  # type: ignore[misc]
        return type(whole)(whole.event, whole.count - 1)

    patch.setattr(DpSgdConfig, "event", property(event))


def stopping_by_a_score(patch: Patch) -> None:
    own = DpSgdStep.take
    scores = iter([3.0, 2.0, 1.0, 1.5, 1.6, 1.7])

    def take(self: DpSgdStep, losses: Any, *public: Any) -> None:
        if next(scores) > 1.2:  # after the best score nothing is learned any more
            return
        own(self, losses, *public)

    patch.setattr(DpSgdStep, "take", take)


def no_fake_loss(patch: Patch) -> None:
    own = DpSgdStep.take
    patch.setattr(DpSgdStep, "take", lambda self, losses, public=None: own(self, losses))


def warm_start_on_real_rows(patch: Patch) -> None:
    own = gan.prepare_dp_sgd

    def prepared(model: Any, *rest: Any) -> Any:
        start = own(model, *rest)
        return replace(start, drawn=start.rows.tokens(model.codec_)[:, model.active_])

    patch.setattr(gan, "prepare_dp_sgd", prepared)


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


def search_by_raw_rows(patch: Patch) -> None:
    own = recurring_differences.measure_recurring_differences

    def measure(schema: Any, grids: Any, codec: Any, read_column: Any, rows: float, source: Any) -> Any:
        return own(schema, grids, codec, read_column, float(len(read_column("bill"))), source)

    patch.setattr(recurring_differences, "measure_recurring_differences", measure)


def raw_rows(patch: Patch) -> None:
    after_a_fit(patch, lambda model, frame: setattr(model, "rows_", len(frame)))


def rate_of_raw_rows(patch: Patch) -> None:
    own = masked_private.fit_masked

    def fit(model: Any, frame: pd.DataFrame, *rest: Any) -> None:
        within = DpSgdConfig.from_budget.__func__  # type: ignore[attr-defined]
        rows = len(frame)

        def counted(cls: Any, ledger: Any, **facts: Any) -> Any:
            return within(cls, ledger, **facts | {"rate": min(30 / rows, 1.0)})

        patch.setattr(DpSgdConfig, "from_budget", classmethod(counted))
        own(model, frame, *rest)
        patch.setattr(DpSgdConfig, "from_budget", classmethod(within))

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

    own = clamping.private_column

    def warning(values: pd.Series, column: Any) -> pd.Series:
        if column.name == "sex" and values.isna().any():
            warnings.warn("some are missing", UserWarning, stacklevel=2)
        return own(values, column)

    patch.setattr(clamping, "private_column", warning)


def products_without_noise(patch: Patch) -> None:
    def exact(own: Any) -> Any:
        return lambda signs, tuples, measured, share: own(signs, tuples, replace(measured, source=ExactCounts()), share)

    for module in (correlations, triples):
        patch.setattr(module, "measure_products", exact(module.measure_products))


def signs_beyond_one(patch: Patch) -> None:
    def scaled(own: Any) -> Any:
        return lambda marginal, n_ordered: 2 * own(marginal, n_ordered)

    for module in (correlations, triples):
        patch.setattr(module, "balanced_signs", scaled(module.balanced_signs))


def dependence_without_noise(patch: Patch) -> None:
    own = dependence.measure_products
    patch.setattr(
        dependence,
        "measure_products",
        lambda signs, tuples, measured, share: own(signs, tuples, replace(measured, source=ExactCounts()), share),
    )


def cells_divided_by_the_data(patch: Patch) -> None:
    own = CellRows.replace_grid

    def between_the_ends(self: CellRows, name: str, grid: Any) -> None:
        line = self.line(name)
        own(self, name, replace(grid, low=np.maximum(grid.low, line.min()), high=np.minimum(grid.high, line.max())))

    patch.setattr(CellRows, "replace_grid", between_the_ends)
