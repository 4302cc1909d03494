"""Expected error of each column and pair of columns by epsilon, from the planned measurements of the default model.

The marginal synthesizer splits its budget by public facts, so the noise of every table that it will count is known in
advance. A count with Gaussian noise of standard deviation sigma is off by sigma * sqrt(2 / pi) on average; half the sum
over a table's cells, as a share of the rows, is the expected total variation distance.

The expectation covers the noise alone. A fit may do better, as dependences are mostly weaker than the prior's, or
worse, where a dependence is finer than the groups on which it is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tabsynth.budget_planning.planned_noise import Pair, PlannedNoise
from tabsynth.privacy.budget import zcdp_rho
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.private_rows import public_grids
from tabsynth.synthesizers.marginal.public_facts.public_structure import PublicStructure


@dataclass(frozen=True)
class ExpectedErrors:
    """Expected total variation distances of one fit.

    Attributes:
        columns: The error of each learned column on its values or bins.
        pairs: The error of each pair on groups of values, up to eight for a column.
        counts_pairs: Whether pairs are counted; if not, columns are sampled independently and their dependence is lost.
    """

    columns: Mapping[str, float]
    pairs: Mapping[Pair, float]
    counts_pairs: bool

    @property
    def mean_pairs(self) -> float:
        """The mean error of pairs, or of the only column."""
        return float(np.mean(list((self.pairs or self.columns).values())))

    def worst_pairs(self, n: int) -> list[Pair]:
        """Return the pairs with the largest errors."""
        return sorted(self.pairs, key=lambda pair: (-self.pairs[pair], pair))[:n]

    def to_dict(self) -> dict[str, Any]:
        """Return the errors as plain data."""
        return {
            "counts_pairs": self.counts_pairs,
            "columns": dict(self.columns),
            "pairs": [{"columns": list(pair), "error": error} for pair, error in self.pairs.items()],
        }


def expected_errors(
    schema: Schema, rows: int, epsilons: Sequence[float], delta: float, rows_per_person: int = 1
) -> tuple[ExpectedErrors, ...]:
    """Compute the expected errors of fits of the marginal synthesizer from public facts, one result per epsilon.

    Args:
        schema: The declared schema with its constraints.
        rows: Approximate number of rows.
        epsilons: The budgets.
        delta: The delta of every fit.
        rows_per_person: Maximum rows per person.

    Raises:
        PrivacyError: The schema does not declare what a private fit needs, or a budget is invalid.
    """
    public = public_structure(schema)
    target = next((name for name in schema.with_role("target") if name in public.counted()), None)
    learned = [name for name in schema if name in public.grids]
    return tuple(
        _errors(
            PlannedNoise(zcdp_rho(epsilon, delta), rows, rows_per_person, public.counted()), public, target, learned
        )
        for epsilon in epsilons
    )


def _errors(plan: PlannedNoise, public: PublicStructure, target: str | None, learned: Sequence[str]) -> ExpectedErrors:
    grids = public.grids
    root = {name: public.determined[name].root if name in public.determined else name for name in grids}
    # A looked-up column has the errors of the column that it follows from, on its own values.
    sizes = {name: min(grids[name].size, plan.sizes[root[name]]) for name in grids}
    total = {name: plan.sizes[name] * variance for name, variance in plan.token_variances().items()}
    joint = plan.interaction_variances(target) if plan.counts_pairs else {}
    pairs = {}
    for a, b in combinations(learned, 2):
        if root[a] == root[b]:
            pairs[a, b] = plan.distance(total[root[a]], max(sizes[a], sizes[b]))
            continue
        first, second = (min(sizes[name], plan.groups[1]) for name in (a, b))
        key = (root[a], root[b]) if (root[a], root[b]) in joint else (root[b], root[a])
        possible = 1 - float(np.mean(public.zeros[key])) if key in public.zeros else 1.0
        variance = total[root[a]] / second + total[root[b]] / first + possible * joint.get(key, 0.0)
        pairs[a, b] = plan.distance(variance, first * second)
    columns = {name: plan.distance(total[root[name]], sizes[name]) for name in learned}
    return ExpectedErrors(columns, pairs, plan.counts_pairs)


def public_structure(schema: Schema) -> PublicStructure:
    """Return the public facts that a fit derives from a schema."""
    rules = RuleSet.of(schema)
    return PublicStructure.of(rules, rules.model_schema(), public_grids(rules.model_schema()), None)


@dataclass(frozen=True)
class StructureSavings:
    """What the constraints of a schema contribute to a fit at no cost.

    Attributes:
        determined: Columns that follow from another by a lookup and are not measured.
        forbidden: Pairs of measured columns with the share of their combinations that constraints rule out.
        without: The errors at each epsilon if the schema had no constraints.
    """

    determined: tuple[str, ...]
    forbidden: Mapping[Pair, float]
    without: tuple[ExpectedErrors, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the savings as plain data."""
        return {
            "determined": list(self.determined),
            "forbidden": [{"columns": list(pair), "share": share} for pair, share in self.forbidden.items()],
            "mean_pairs_without": [one.mean_pairs for one in self.without],
        }


def structure_savings(
    schema: Schema, rows: int, epsilons: Sequence[float], delta: float, rows_per_person: int = 1
) -> StructureSavings | None:
    """Compare a schema with the same columns without constraints; None if constraints contribute nothing."""
    public = public_structure(schema)
    if not public.determined and not public.zeros:
        return None
    without = expected_errors(Schema(schema.columns), rows, epsilons, delta, rows_per_person)
    return StructureSavings(
        tuple(public.determined), {pair: float(np.mean(own)) for pair, own in public.zeros.items()}, without
    )
