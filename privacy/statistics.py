"""Statistics of a private model with confidence intervals for sampling error, privacy noise and model error.

An interval that treats synthetic rows as real ones is far too short. This module uses the parametric bootstrap (Efron
and Tibshirani 1993, chapter 6; for private statistics Ferrando, Wang and Sheldon, arXiv 2006.07749): it samples tables
of the original size from the fitted model, fits a model to each under the same budget, and takes the deviations of
their statistics from the model's own as the error distribution. Their mean estimates the bias of the procedure and is
subtracted. With a tiny budget the dependence between columns is weakened, and intervals of coefficients may still miss
the truth. All of this is post-processing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import clone

from tabsynth.errors import InputError, PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.measured_spending import fit_share
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.columns import Identifier
from tabsynth.schema.schema import Schema

Statistic = Callable[[pd.DataFrame], Mapping[str, float]]


class Model(Protocol):
    """A fitted private synthesizer."""

    schema_: Schema
    rows_: int

    @property
    def ledger_(self) -> PrivacyLedger:
        """The ledger of the fit."""

    def sample(
        self,
        n: int | None = None,
        *,
        seed: int | None = None,
        progress: bool | None = None,
        calibrate: bool = True,
        stratify: bool = True,
    ) -> pd.DataFrame:
        """Draw rows."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval.

    Attributes:
        name: Name of the estimate.
        value: The bias-corrected estimate.
        interval: Confidence interval at the requested level.
        naive: The statistic of the synthetic rows, without correction.
    """

    name: str
    value: float
    interval: tuple[float, float]
    naive: float


@dataclass(frozen=True, eq=False)
class Replicates:
    """Bootstrap replicates of a private fit.

    Attributes:
        tables: Synthetic tables of the model itself; statistics are averaged over them.
        again: Synthetic tables of models that were fitted to synthetic rows of the model.
        level: Coverage probability of the intervals.
    """

    tables: tuple[pd.DataFrame, ...]
    again: tuple[pd.DataFrame, ...]
    level: float = 0.95

    @classmethod
    def of(
        cls, model: Model, *, tables: int = 10, replicates: int = 40, level: float = 0.95, seed: int = 0
    ) -> Replicates:
        """Fit a private model again to synthetic rows of its own, several times.

        Args:
            model: The fitted model, with its ledger.
            tables: Synthetic tables of the model itself.
            replicates: Number of refitted models; each takes as long as the first fit.
            level: Coverage probability of the intervals, between 0 and 1.
            seed: Random seed. No real row is read.

        Raises:
            InputError: Too few replicates for the level.
            PrivacyError: The model has no privacy ledger, so its noise is unknown.
        """
        if not 0 < level < 1:
            raise InputError(f"level must lie between 0 and 1, not {level!r}")
        if replicates < 10 or tables < 1:
            raise InputError(f"at least 10 replicates and 1 table are needed, not {replicates} and {tables}")
        rng = np.random.default_rng(seed)
        privacy = _get_privacy(model)
        # The replicates take the measured domain as declared, so its cost is not spent again.
        columns = {name: replace(column, origin="declared") for name, column in model.schema_.items()}
        schema = replace(model.schema_, columns=columns)
        again = []
        for _ in range(replicates):
            synthetic = _sample_persons(model, privacy, int(rng.integers(2**31)))
            seeded = replace(privacy, insecure_seed=int(rng.integers(2**31)))  # not private: the rows are synthetic
            refitted = clone(model).fit(synthetic, schema=schema, privacy=seeded, progress=False)
            again.append(refitted.sample(model.rows_, seed=int(rng.integers(2**31)), progress=False))
        drawn = [model.sample(seed=int(rng.integers(2**31)), progress=False) for _ in range(tables)]
        return cls(tuple(drawn), tuple(again), level)

    def estimate(self, statistic: Statistic) -> dict[str, Estimate]:
        """Estimate a statistic, with intervals that include sampling error, privacy noise and model error.

        Args:
            statistic: Function of a table that returns named numbers, such as ``mean("age")``.
        """
        values = pd.DataFrame([dict(statistic(table)) for table in self.tables]).mean()
        replicates = pd.DataFrame([dict(statistic(table)) for table in self.again])
        out = {}
        for name, value in values.items():
            errors = replicates[name].to_numpy(np.float64) - value
            errors = errors[np.isfinite(errors)]
            # Basic bootstrap with a normal error distribution, which needs far fewer replicates than quantiles do.
            bias, spread = float(errors.mean()), float(errors.std(ddof=1)) * np.sqrt(1 + 1 / len(errors))
            half_width = _student_t_quantile(self.level, len(errors) - 1) * spread
            centre = float(value) - bias
            out[str(name)] = Estimate(str(name), centre, (centre - half_width, centre + half_width), float(value))
        return out


def mean(column: str) -> Statistic:
    """Return the statistic: mean of a numeric column, without missing cells."""

    def statistic(table: pd.DataFrame) -> dict[str, float]:
        return {f"mean of {column}": float(pd.to_numeric(table[column]).mean())}

    return statistic


def proportion(column: str, value: Any) -> Statistic:
    """Return the statistic: share of a value among the cells that are not missing."""

    def statistic(table: pd.DataFrame) -> dict[str, float]:
        return {f"share of {column} = {value}": float((table[column].dropna() == value).mean())}

    return statistic


def regression(target: str, features: Sequence[str]) -> Statistic:
    """Return the statistic: least-squares coefficients of a number or truth value on numbers, over complete rows."""

    def statistic(table: pd.DataFrame) -> dict[str, float]:
        rows = table[[target, *features]].dropna().astype(np.float64)
        design = np.column_stack([np.ones(len(rows)), rows[list(features)].to_numpy()])
        coefficients = np.linalg.lstsq(design, rows[target].to_numpy(), rcond=None)[0]
        return {f"{target} on {name}": float(value) for name, value in zip(("1", *features), coefficients, strict=True)}

    return statistic


def _get_privacy(model: Model) -> Privacy:
    """Return the privacy that the model was fitted with."""
    ledger = model.ledger_
    epsilon, entries = fit_share(ledger)
    if not entries or not np.isfinite(epsilon):
        raise PrivacyError("the model was fitted without privacy: its ledger has no charges; fit it with privacy=")
    rows = None if ledger.unit == "row" else max(round(entry.sensitivity) for entry in entries)
    return Privacy(epsilon, ledger.delta, unit=ledger.unit, rows_per_person=rows)


def _sample_persons(model: Model, privacy: Privacy, seed: int) -> pd.DataFrame:
    """Sample as many rows as the model was fitted to; if the unit is a person, each gets the maximum number of rows."""
    # Independent draws: stratified ones would vary less than a real sample does.
    synthetic = model.sample(model.rows_, seed=seed, progress=False, calibrate=False, stratify=False)
    if privacy.rows_per_person and isinstance(model.schema_.columns.get(privacy.unit), Identifier):
        synthetic[privacy.unit] = (np.arange(len(synthetic)) // privacy.rows_per_person).astype(str)
    return synthetic


def _student_t_quantile(level: float, freedom: int) -> float:
    """Return Student's t at a two-sided level."""
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, freedom))
