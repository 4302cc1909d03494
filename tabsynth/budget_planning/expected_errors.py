"""Expected error of each column and pair of columns by epsilon, from the planned measurements of the default model.

The marginal synthesizer splits its budget by public facts, so the noise of every table that it will count is known in
advance. A count with Gaussian noise of standard deviation sigma is off by sigma * sqrt(2 / pi) on average; half the sum
over a table's cells, as a share of the rows, is the expected total variation distance.

Where pairs are not counted, and where noise exceeds the dependence of a pair, the fit loses the dependence. The
expected loss is that of a typical pair (``budget_allocation.REFERENCE_DEPENDENCE``). A fit may do better, as many pairs
depend less on each other, or worse, where the dependence is stronger, or finer than the groups on which it is counted.

A larger budget is never expected to err more. A fit counts pairs only if it is expected to gain by that, so the smaller
error of both ways is taken. Columns are compared on more groups where the budget is larger; an error that rises for
this reason alone is replaced by that of the smaller budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from tabsynth.budget_planning.planned_noise import Pair, PlannedNoise
from tabsynth.privacy.budget import gaussian_rho
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.budget_allocation import REFERENCE_DEPENDENCE
from tabsynth.synthesizers.marginal.private_rows import public_grids
from tabsynth.synthesizers.marginal.public_facts.public_structure import PublicStructure

CONTINGENCY = (math.pi / 2 * REFERENCE_DEPENDENCE) ** 2
"""Mean square contingency of two normal variables whose product of signs is the reference, if it is small."""


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

    def limited(self, other: ExpectedErrors) -> ExpectedErrors:
        """Return the smaller error of each column and pair."""
        return replace(
            self,
            columns={name: min(error, other.columns[name]) for name, error in self.columns.items()},
            pairs={pair: min(error, other.pairs[pair]) for pair, error in self.pairs.items()},
        )

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
    out: dict[int, ExpectedErrors] = {}
    least: ExpectedErrors | None = None
    for place in sorted(range(len(epsilons)), key=lambda at: epsilons[at]):
        plan = PlannedNoise(gaussian_rho(epsilons[place], delta), rows, rows_per_person, public.counted())
        errors = _errors(plan, public, target, learned)
        if plan.counts_pairs:
            errors = errors.limited(_errors(replace(plan, joint=False), public, target, learned))
        least = out[place] = errors if least is None else errors.limited(least)
    return tuple(out[place] for place in range(len(epsilons)))


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
        noise, signal = joint.get(key, math.inf), plan.rows**2 * CONTINGENCY / (first * second)
        lost = signal / (1 + signal / noise)
        variance = total[root[a]] / second + total[root[b]] / first + possible * lost
        pairs[a, b] = plan.distance(variance, first * second)
    columns = {name: plan.distance(total[root[name]], sizes[name]) for name in learned}
    return ExpectedErrors(columns, pairs, plan.counts_pairs)


def public_structure(schema: Schema) -> PublicStructure:
    """Return the public facts that a fit derives from a schema."""
    rules = RuleSet.of(schema)
    return PublicStructure.of(rules, rules.model_schema(), public_grids(rules.model_schema()), None)


@dataclass(frozen=True)
class StructureSavings:
    """Facts that follow from the constraints of a schema and use no budget.

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
