"""The plan of a federated fit: everything that sites and coordinator must agree on, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tabsynth.common.installed_versions import installed_versions
from tabsynth.common.validation import check_positive_integers, validate_seed
from tabsynth.errors import InputError, PrivacyError, quote
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.privacy.public_schema import private_schema, to_public_schema
from tabsynth.schema.schema import Schema

MIN_SITES = 3
"""With two, each site could subtract its own counts from the sum."""


@dataclass(frozen=True, kw_only=True)
class FederatedPlan:
    """Public parameters of a federated fit, equal at all parties.

    Attributes:
        schema: The public schema of every site's table.
        sites: Names of the sites.
        epsilon: Privacy that the fit spends at each site.
        delta: Its delta.
        unit: ``row``, or the column that identifies persons.
        rows_per_person: With persons as the unit, how many rows of each are used at most at a site.
        sites_per_person: With persons as the unit, at how many sites a person may have rows.
        curious_sites: How many sites may try, with the coordinator, to learn of the rows of another: the noise holds
            without their parts. 0 protects from the coordinator and from readers of the model alone.
        n_public: Approximate number of rows of all sites, if it is public.
        components: Components of the mixture; by default from the noisy number of rows and the budget.
        seed: Seed of the mixture's start, which decides nothing of the noise.
    """

    schema: Schema
    sites: tuple[str, ...]
    epsilon: float
    delta: float = 1e-6
    unit: str = "row"
    rows_per_person: int | None = None
    sites_per_person: int = 1
    curious_sites: int = 1
    n_public: int | None = None
    components: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sites", tuple(self.sites))
        object.__setattr__(self, "schema", to_public_schema(self.schema))
        if len(set(self.sites)) < len(self.sites) or len(self.sites) < MIN_SITES:
            raise PrivacyError(
                f"a federated fit needs at least {MIN_SITES} different sites, not {quote(self.sites)}: of two, each "
                "could subtract its own counts from the sum"
            )
        check_positive_integers(sites_per_person=self.sites_per_person, components=self.components)
        validate_seed(self.seed)
        private_schema(self.schema, self.unit)
        self.privacy()
        measured = [name for name, column in self.schema.items() if column.origin == "measured"]
        if measured:
            raise PrivacyError(f"the facts of {quote(measured)} were measured at one site; declare public ones")
        if self.unit == "row" and self.sites_per_person != 1:
            raise PrivacyError("sites_per_person needs a person as the unit: name their column with unit=")
        most = min(self.min_sites - 2, self.threshold - 1)
        if isinstance(self.curious_sites, bool) or not 0 <= self.curious_sites <= most:
            raise InputError(f"curious_sites must be from 0 to {most} for {len(self.sites)} sites")

    @property
    def threshold(self) -> int:
        """Sites that can open a round together: more than half, so that no round is opened twice."""
        return len(self.sites) // 2 + 1

    @property
    def min_sites(self) -> int:
        """Minimum number of sites in a round's sum."""
        return max(MIN_SITES, self.threshold)

    @property
    def rho(self) -> float:
        """The budget of the fit, half the squared mu of Gaussian DP."""
        return gaussian_rho(self.epsilon, self.delta)

    @property
    def max_rows_per_unit(self) -> int:
        """Maximum rows of a unit at all sites together."""
        return (self.rows_per_person or 1) * self.sites_per_person

    @property
    def parts(self) -> int:
        """Parts of the noise that protect, where no site is lost."""
        return len(self.sites) - self.curious_sites

    def privacy(self, **facts: Any) -> Privacy:
        """Return the privacy of the fit at one site; ``facts`` are those of the site, such as its ledger."""
        return Privacy(
            self.epsilon, self.delta, unit=self.unit, rows_per_person=self.rows_per_person, n_public=self.n_public,
            **facts,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            field.name: self.schema.to_dict() if field.name == "schema" else getattr(self, field.name)
            for field in fields(self)
        } | {"sites": list(self.sites)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FederatedPlan:
        """Rebuild the output of ``to_dict``.

        Raises:
            InputError: It is not a plan.
        """
        try:
            return cls(**{**data, "schema": Schema.from_dict(data["schema"]), "sites": tuple(data["sites"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a plan of a federated fit: {error}") from error

    def hash(self) -> str:
        """Return the SHA-256 of the plan and of the versions that all parties must have."""
        versions = installed_versions(("numpy", "pandas", "torch"))
        text = json.dumps([self.to_dict(), versions], sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
