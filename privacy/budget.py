"""The requested privacy: epsilon, delta, unit and ledger."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tabsynth.common.validation import checked_constructor
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.accountant import largest_rho
from tabsynth.privacy.accounting.gaussian_dp import gdp_mu
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.noise import Noise

MAX_DEFAULT_DELTA = 1e-6
"""Default delta, unless the public number of rows gives a smaller one."""


@checked_constructor
@dataclass(frozen=True)
class Privacy:
    """The privacy that a fit must guarantee.

    Attributes:
        epsilon: Maximum privacy loss of the fit.
        delta: Probability that the guarantee fails. Default: min(1e-6, 1 / (10 n_public)).
        unit: The protected unit: ``row``, or the name of the column that identifies persons.
        rows_per_person: Maximum number of rows used of each person, if the unit is a person; chosen at random.
        ledger: The data set's ledger, or the path of its file, which is created on first use with this budget. A fit
            that would exceed the remaining budget is refused. Default: a ledger of this fit alone.
        n_public: Approximate number of rows, if it is public knowledge; never the private count itself.
        insecure_seed: Seed of the noise, for tests only. Every output is stamped NOT DP.

    Example:
        >>> Privacy(epsilon=1.0, delta=1e-6).unit
        'row'
    """

    epsilon: float
    delta: float | None = None
    unit: str = "row"
    rows_per_person: int | None = None
    ledger: str | Path | PrivacyLedger | None = None
    n_public: int | None = None
    insecure_seed: int | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.epsilon) or not 0 < self.epsilon < math.inf:
            raise PrivacyError(f"epsilon must be a finite number above 0, not {self.epsilon!r}")
        if self.delta is not None and (not _is_number(self.delta) or not 0 <= self.delta < 1):
            raise PrivacyError(f"delta must be a number from 0 to below 1, not {self.delta!r}")
        if not isinstance(self.unit, str) or not self.unit:
            raise PrivacyError(f"unit must be 'row' or the name of the column of persons, not {self.unit!r}")
        for name in ("rows_per_person", "n_public"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise PrivacyError(f"{name} must be a whole number of at least 1, not {value!r}")
        if self.unit == "row" and self.rows_per_person is not None:
            raise PrivacyError("rows_per_person needs a person as the unit: name their column with unit=")
        if self.unit != "row" and self.rows_per_person is None:
            raise PrivacyError(
                f"unit {self.unit!r} needs rows_per_person, the maximum number of rows used of each person; choose it "
                "without inspecting the data"
            )
        if self.insecure_seed is not None and (
            isinstance(self.insecure_seed, bool) or not isinstance(self.insecure_seed, int) or self.insecure_seed < 0
        ):
            raise PrivacyError(f"insecure_seed must be a whole number of at least 0, not {self.insecure_seed!r}")

    @property
    def max_rows_per_unit(self) -> int:
        """Maximum rows of a unit: the factor of every sensitivity."""
        return self.rows_per_person or 1

    @property
    def resolved_delta(self) -> float:
        """The requested delta, or the default for the public row count."""
        return default_delta(self.n_public) if self.delta is None else self.delta

    def opened(self) -> Privacy:
        """Return a copy with a resolved delta and an open ledger of this fit alone.

        If the data set has a ledger, the first charge reserves the whole epsilon there, so a fit that would exceed
        the budget is refused before it reads any data. A private fit works with this copy and settles the ledger at
        its end.

        Raises:
            PrivacyError: The data set's ledger is damaged, or counts another unit or neighbouring relation.
        """
        parent = self.ledger
        if isinstance(parent, (str, Path)):
            path = Path(parent)
            parent = (
                PrivacyLedger.open(path)
                if path.exists()
                else PrivacyLedger(self.epsilon, self.resolved_delta, unit=self.unit, path=path)
            )
        delta = self.resolved_delta
        if parent is not None and parent.unit != self.unit:
            raise PrivacyError(
                f"the data set's ledger counts by {parent.unit!r} and this fit by {self.unit!r}; use one unit"
            )
        reservation = None
        if parent is not None:
            reservation = {"type": "GaussianDpEvent", "noise_multiplier": 1 / gaussian_mu(self.epsilon, delta)}
        ledger = PrivacyLedger(self.epsilon, delta, unit=self.unit, parent=parent, whole=reservation)
        return replace(self, delta=delta, ledger=ledger)

    @property
    def open_ledger(self) -> PrivacyLedger:
        """The fit's ledger.

        Raises:
            PrivacyError: ``opened`` has not been called.
        """
        if not isinstance(self.ledger, PrivacyLedger):
            raise PrivacyError("this Privacy has no open ledger; call opened() first")
        return self.ledger

    def noise(self) -> Noise:
        """Return the noise source of this fit, from which processes that fit together draw the same noise."""
        if self.insecure_seed is not None:
            return Noise.insecure(self.insecure_seed)
        from tabsynth.common.data_parallel import shared_random_bytes  # imports torch

        return Noise.secure(shared_random_bytes)


def default_delta(n_public: int | None) -> float:
    """Return min(1e-6, 1 / (10 n)) for a public row count n; 1e-6 without one."""
    return MAX_DEFAULT_DELTA if n_public is None else min(MAX_DEFAULT_DELTA, 1 / (10 * n_public))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the largest mu of Gaussian DP that amounts to at most ``epsilon`` in the ledger.

    Raises:
        PrivacyError: No Gaussian noise gives such an epsilon and delta.
    """
    _check_budget(epsilon, delta)
    # Slightly smaller, so that rounded shares never sum to more than requested.
    return gdp_mu(float(epsilon), float(delta)) * (1 - 1e-9)


def gaussian_rho(epsilon: float, delta: float) -> float:
    """Return the budget of a fit that adds Gaussian noise only, as rho = mu^2 / 2, which adds up over its counts.

    At equal epsilon and delta it is larger than ``zcdp_rho``, because the composition is exact: by 15 % at epsilon 1
    and delta 1e-6.

    Raises:
        PrivacyError: No Gaussian noise gives such an epsilon and delta.
    """
    return gaussian_mu(epsilon, delta) ** 2 / 2


def zcdp_rho(epsilon: float, delta: float) -> float:
    """Return the largest rho whose zCDP events amount to at most ``epsilon`` in the ledger.

    Raises:
        PrivacyError: No zCDP guarantee gives such an epsilon and delta.
    """
    _check_budget(epsilon, delta)
    return largest_rho(float(epsilon), float(delta))


def _check_budget(epsilon: float, delta: float) -> None:
    if not _is_number(epsilon) or not 0 < epsilon < math.inf:
        raise PrivacyError(f"epsilon must be a finite number above 0, not {epsilon!r}")
    if not _is_number(delta) or not 0 < delta < 1:
        raise PrivacyError(f"Gaussian noise needs a delta above 0 and below 1, not {delta!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
