"""Count training rows that violate a constraint, and drop, repair or keep them as the constraint declares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.rare_value_pooling import person_codes
from tabsynth.common.arrays import Bools, Integers
from tabsynth.data.table import Table
from tabsynth.errors import DataError
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.declared.satisfy import repair_frame
from tabsynth.schema.constraints import Combinations, Constraint
from tabsynth.schema.constraints.base import present
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import row_values, satisfies


@dataclass(frozen=True, eq=False)
class Violations:
    """Training rows that violate constraints.

    Attributes:
        rows: The violated constraints, each with its rows, shape (n,).
    """

    rows: tuple[tuple[Constraint, Bools], ...]

    @classmethod
    def of(cls, table: Table) -> Violations:
        """Find the violations in a table."""
        rows = [(rule, ~satisfies(rule, table.frame, table.schema)) for rule in table.schema.constraints]
        return cls(tuple((rule, broken) for rule, broken in rows if broken.any()))

    def dropped(self, n: int) -> Bools:
        """Return the rows to drop, shape (n,)."""
        chosen = [violating for rule, violating in self.rows if rule.on_violation == "drop"]
        return np.asarray(np.logical_or.reduce([np.zeros(n, bool), *chosen]), dtype=bool)

    def card(self) -> list[dict[str, Any]]:
        """Return how many rows violate each constraint, and the action taken."""
        return [
            {"rule": rule.describe(), "rows": int(violating.sum()), "on_violation": rule.on_violation}
            for rule, violating in self.rows
        ]


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """A training table prepared under its constraints.

    Attributes:
        table: The rows, with violating rows dropped or repaired; its schema lists all combinations.
        kept: Rows of the original table that are not dropped, shape (n,).
        card: Number of rows that violate each constraint, and the action taken.
    """

    table: Table
    kept: Bools
    card: list[dict[str, Any]]

    @classmethod
    def of(cls, table: Table, min_group: int, seed: int) -> TrainingRows:
        """Prepare a table."""
        schema = learn_combinations(table, min_group)
        table = replace(table, schema=schema)
        violations = Violations.of(table)
        kept_rows = ~violations.dropped(len(table))
        table = repair_rows(table, violations, np.random.default_rng([seed, 2]))
        if not kept_rows.all():
            table = replace(table, frame=table.frame[kept_rows].reset_index(drop=True))
        return cls(table, kept_rows, violations.card())

    def keep(self, weights: Any, mask: pd.DataFrame | None) -> tuple[Any, pd.DataFrame | None]:
        """Select the weights and the mask of the rows that are not dropped."""
        if self.kept.all():
            return weights, mask
        if weights is not None and not isinstance(weights, str) and len(weights) == len(self.kept):
            weights = np.asarray(weights)[self.kept]
        if isinstance(mask, pd.DataFrame) and len(mask) == len(self.kept):
            mask = mask[self.kept].reset_index(drop=True)
        return weights, mask


def learn_combinations(table: Table, min_group: int, persons: Integers | None = None) -> Schema:
    """Fill in combinations that the schema does not list from rows of at least ``min_group`` persons each.

    Args:
        table: The rows.
        min_group: Persons of a combination.
        persons: The person of each row, shape (n,); by default those of the column of role ``person``, if any.
    """
    persons = person_codes(table, min_group) if persons is None else persons
    out: list[Constraint] = []
    for rule in table.schema.constraints:
        if isinstance(rule, Combinations) and rule.values is None:
            values = row_values(table.frame, table.schema, rule.of)
            known = pd.DataFrame({str(i): values[name] for i, name in enumerate(rule.of)}, dtype=object)
            known["person"] = np.arange(len(known)) if persons is None else persons
            known = known[present(values, rule.of)]
            counts = known.groupby([str(i) for i in range(len(rule.of))], sort=False)["person"].nunique()
            frequent = counts[counts >= min_group].index.tolist()
            if not frequent:
                raise DataError(
                    f"the constraint {rule.to_dict()} lists no values, and no combination in the table has {min_group} "
                    "rows; list its values"
                )
            out.append(replace(rule, values=tuple(tuple(_plain(value) for value in key) for key in frequent)))
        else:
            out.append(rule)
    return Schema(table.schema.columns, tuple(out), table.schema.sdv, table.schema.ledger)


def repair_rows(table: Table, violations: Violations, rng: np.random.Generator) -> Table:
    """Repair the rows that violate a constraint with ``on_violation="repair"``."""
    chosen = [cells for rule, cells in violations.rows if rule.on_violation == "repair"]
    if not chosen:
        return table
    broken = np.logical_or.reduce(chosen)
    wanted = tuple(rule for rule in table.schema.constraints if rule.on_violation == "repair")
    rules = RuleSet.of(Schema(table.schema.columns, wanted))
    return Table(repair_frame(rules, table.frame, np.asarray(broken, bool), rng), table.schema)


def _plain(value: Any) -> Any:
    """Convert a value to its JSON form."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
