"""Statistics of a private model with valid intervals, which include sampling error, privacy noise and model error.

An interval computed from synthetic rows as if they were real ones is far too short. Here the whole procedure is
repeated on its own output (the parametric bootstrap; Efron and Tibshirani 1993, chapter 6; for private statistics
Ferrando, Wang and Sheldon, arXiv 2006.07749): tables of as many rows as there were are drawn from the fitted model,
each is fitted again under the same budget, and how far its statistic falls from the model's own is how far the model's
own may be from the truth. That also shows, and takes off, most of a bias that the procedure has: dependence between
columns is weakened where the budget is tiny, and there intervals of coefficients may still miss. All of it is
post-processing.
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
        """The privacy loss of the fit."""

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
        value: The estimate, with the procedure's bias taken off.
        interval: Confidence interval at the requested level.
        naive: The statistic of the synthetic rows as they are.
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
        again: Synthetic tables of models that were fitted to the model's own rows.
        level: Chance with which intervals hold.
    """

    tables: tuple[pd.DataFrame, ...]
    again: tuple[pd.DataFrame, ...]
    level: float = 0.95

    @classmethod
    def of(
        cls, model: Model, *, tables: int = 10, replicates: int = 40, level: float = 0.95, seed: int = 0
    ) -> Replicates:
        """Refit a private model repeatedly to its own rows.

        Args:
            model: The fitted model, with its ledger.
            tables: Synthetic tables of the model itself.
            replicates: Models that are fitted again; each takes as long as the first.
            level: Chance with which intervals hold, between 0 and 1.
            seed: Seed of everything; no real row is read.

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
        # The replicates take the measured domain as given: what it cost is not spent again.
        columns = {name: replace(column, origin="declared") for name, column in model.schema_.items()}
        schema = replace(model.schema_, columns=columns)
        again = []
        for _ in range(replicates):
            synthetic = _sample_persons(model, privacy, int(rng.integers(2**31)))
            own = replace(privacy, insecure_seed=int(rng.integers(2**31)))  # nothing private: the rows are synthetic
            other = clone(model).fit(synthetic, schema=schema, privacy=own, progress=False)
            again.append(other.sample(model.rows_, seed=int(rng.integers(2**31)), progress=False))
        drawn = [model.sample(seed=int(rng.integers(2**31)), progress=False) for _ in range(tables)]
        return cls(tuple(drawn), tuple(again), level)

    def estimate(self, statistic: Statistic) -> dict[str, Estimate]:
        """Return a statistic with intervals that count sample, noise and model.

        Args:
            statistic: Gives named numbers of a table, such as ``mean("age")``.
        """
        own = pd.DataFrame([dict(statistic(table)) for table in self.tables]).mean()
        others = pd.DataFrame([dict(statistic(table)) for table in self.again])
        out = {}
        for name, value in own.items():
            off = others[name].to_numpy(np.float64) - value
            off = off[np.isfinite(off)]
            # Studentless basic bootstrap with a normal shape, which needs far fewer replicates than quantiles do.
            bias, spread = float(off.mean()), float(off.std(ddof=1)) * np.sqrt(1 + 1 / len(off))
            reach = _student_t_quantile(self.level, len(off) - 1) * spread
            centre = float(value) - bias
            out[str(name)] = Estimate(str(name), centre, (centre - reach, centre + reach), float(value))
        return out


def mean(column: str) -> Statistic:
    """Return the mean of a numeric column, missing cells left out."""

    def statistic(table: pd.DataFrame) -> dict[str, float]:
        return {f"mean of {column}": float(pd.to_numeric(table[column]).mean())}

    return statistic


def proportion(column: str, value: Any) -> Statistic:
    """Return the share of a value among the cells that are not missing."""

    def statistic(table: pd.DataFrame) -> dict[str, float]:
        return {f"share of {column} = {value}": float((table[column].dropna() == value).mean())}

    return statistic


def regression(target: str, features: Sequence[str]) -> Statistic:
    """Coefficients of least squares of a number (or a true and false) on numbers; rows with missing cells left out."""

    def statistic(table: pd.DataFrame) -> dict[str, float]:
        rows = table[[target, *features]].dropna().astype(np.float64)
        design = np.column_stack([np.ones(len(rows)), rows[list(features)].to_numpy()])
        found = np.linalg.lstsq(design, rows[target].to_numpy(), rcond=None)[0]
        return {f"{target} on {name}": float(value) for name, value in zip(("1", *features), found, strict=True)}

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
    """Sample as many rows as the model was fitted to; with persons, as many of each as are allowed."""
    # Independent draws: evenly dealt ones would vary less than a real sample does.
    synthetic = model.sample(model.rows_, seed=seed, progress=False, calibrate=False, stratify=False)
    if privacy.rows_per_person and isinstance(model.schema_.columns.get(privacy.unit), Identifier):
        synthetic[privacy.unit] = (np.arange(len(synthetic)) // privacy.rows_per_person).astype(str)
    return synthetic


def _student_t_quantile(level: float, freedom: int) -> float:
    """Return Student's t at a two-sided level."""
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, freedom))
