"""Relations between columns: discovered above the codec, and enforced when tokens are decoded.

A number is sampled inside its token, and then adjusted by recurring differences, by exact arithmetic, and by the rules
that every row satisfies.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import numeric_columns
from tabsynth.codec.rare_value_pooling import person_codes
from tabsynth.codec.token_range import TokenRange
from tabsynth.common.arrays import Arrays, Bools, Floats, Tokens
from tabsynth.data.table import Table
from tabsynth.relations.arithmetic import ArithmeticRelation, enforce, relation_from_dict
from tabsynth.relations.arithmetic_discovery import discover_relations
from tabsynth.relations.recurring_differences import (
    RecurringDifference,
    decode_numbers,
    difference_from_state,
    difference_state,
    discover_differences,
)
from tabsynth.relations.row_rules import EqualityRule
from tabsynth.relations.rule_columns import rule_columns, rule_values
from tabsynth.relations.rule_repair import RowRule, all_hold, repair, rule_from_state, rule_state
from tabsynth.relations.searches.every_rule import discover_all
from tabsynth.schema.columns import Datetime
from tabsynth.schema.constraints import RefusedRule

MAX_ROUNDS = 3
"""Rounds of repairs of the rules and of the exact relations."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Relations:
    """Relations between the columns of a table; create them with ``Relations.discover``.

    Attributes:
        differences: Columns that are decoded by a recurring difference to an earlier column.
        arithmetic: Columns that are computed from others, in the order of computation.
        rules: Rules that every row satisfies, such as orders, equalities within groups and step functions.
    """

    differences: Mapping[str, RecurringDifference] = field(default_factory=dict)
    arithmetic: tuple[ArithmeticRelation, ...] = ()
    rules: tuple[RowRule, ...] = ()

    @classmethod
    def discover(
        cls, table: Table, codec: Codec, *, without: Collection[str] = (), absent: Collection[str] = ()
    ) -> Relations:
        """Discover the relations that hold in a training table.

        Args:
            table: The training rows.
            codec: Their codec.
            without: Columns to leave out.
            absent: Columns that some sources do not have. Their empty cells do not count as missing values.
        """
        persons = person_codes(table, codec.min_group)
        numbers = numeric_columns(table.frame, codec.schema, codec.coders)
        numbers = {name: data for name, data in numbers.items() if name not in without}
        relations = discover_relations(numbers)
        computed = {relation.column: frozenset(name for name, _ in relation.terms) for relation in relations}
        refused = {constraint.rule for constraint in table.schema.constraints if isinstance(constraint, RefusedRule)}
        searched = rule_columns(table.frame, codec, numbers, persons, absent)
        categories = {name: own for name, own in searched.keys.items() if name not in numbers}
        rules = tuple(rule for rule in discover_all(searched, categories, computed) if rule.text not in refused)
        return cls(
            _discover_differences(_undetermined(numbers, rules, searched.values), relations, codec, persons),
            tuple(relation for relation in relations if str(relation) not in refused),
            rules,
        )

    @property
    def columns(self) -> frozenset[str]:
        """The columns that an exact relation or a rule may change."""
        return frozenset(name for one in (*self.arithmetic, *self.rules) for name in one.columns)

    def describe(self) -> list[str]:
        """Return the relations and rules as formulas, such as ``total = net + tax`` and ``start <= end``."""
        return [*map(str, self.arithmetic), *(rule.text for rule in self.rules)]

    def card(self) -> dict[str, Any]:
        """Return the model card's section: exact relations, and rules with their evidence in rows."""
        rules: list[dict[str, Any]] = [{"rule": rule.text, "evidence_rows": rule.evidence} for rule in self.rules]
        return {"laws": [str(relation) for relation in self.arithmetic], "rules": rules}

    def hold(self, frame: pd.DataFrame, codec: Codec) -> Bools:
        """Return which rows of a decoded frame satisfy every relation and rule, shape (n,)."""
        names = dict.fromkeys(name for one in (*self.arithmetic, *self.rules) for name in one.columns)
        values = {name: rule_values(codec, name, codec.encode_column(name, frame[name]), frame[name]) for name in names}
        good = all_hold(self.rules, values, len(frame))
        for relation in self.arithmetic:
            good &= relation.holds(values, codec.numeric_coders[relation.column])
        return good

    def decode(
        self,
        codec: Codec,
        tokens: Tokens,
        rng: np.random.Generator,
        *,
        ranges: Mapping[str, TokenRange] = NOTHING,
        numbers: Mapping[str, Floats] = NOTHING,
        given: Mapping[str, Floats] | None = None,
        fixed_tokens: Bools | None = None,
        keys: int | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> pd.DataFrame:
        """Decode tokens into a frame in which the relations hold.

        Args:
            codec: The vocabulary of the tokens.
            tokens: Shape (n, slots), none negative.
            rng: Generator for positions inside tokens and new identifiers.
            ranges: Ranges of columns; the tokens of such a column overlap its range.
            numbers: Values of a column that are already known, NaN where the token decides, shape (n,) each.
            given: The known values that no relation may change; all of ``numbers`` by default.
            fixed_tokens: Tokens that no rule may change, shape (n, slots); none by default.
            keys: Seed of the identifiers; chunks of one sample share it, so that no identifier is repeated.
            rows: Positions of the rows in the whole sample, which determine their identifiers; from 0 by default.
        """
        seed = int(rng.integers(2**63)) if keys is None else keys
        coders = codec.numeric_coders
        own = {name: codec.column_tokens(tokens, name) for name in coders}
        pinned = numbers if given is None else given
        placed = decode_numbers(coders, own, self.differences, ranges, numbers, rng)
        fixed = {
            name: ~np.isnan(pinned[name]) | (name in ranges) if name in pinned else np.full(len(data), name in ranges)
            for name, data in placed.items()
        }
        bounds = {name: (own.low, own.high) for name, own in ranges.items() if name not in pinned}
        placed = enforce(self.arithmetic, coders, placed, fixed, bounds) if self.arithmetic else placed
        if self.rules:
            tokens, placed = self._repair(codec, tokens, placed, fixed, fixed_tokens, rng, bounds)
        rows = np.arange(len(tokens)) if rows is None else rows
        return codec.to_frame(tokens, placed, rng, keys=seed, rows=rows)

    def _repair(
        self,
        codec: Codec,
        tokens: Tokens,
        numbers: Mapping[str, Floats],
        fixed: Mapping[str, Bools],
        fixed_tokens: Bools | None,
        rng: np.random.Generator,
        ranges: Mapping[str, tuple[float, float]],
    ) -> tuple[Tokens, dict[str, Floats]]:
        """Repair tokens and numbers so that the rules hold as far as possible."""
        coders, tokens = codec.numeric_coders, tokens.copy()
        labelled = dict.fromkeys(name for rule in self.rules for name in rule.columns if name not in coders)
        values = {name: rule_values(codec, name, codec.column_tokens(tokens, name)) for name in labelled}
        computed = {relation.column for relation in self.arithmetic}
        fixed_cells: dict[str, Bools] = dict(fixed)
        for name in labelled:
            at = codec.positions(name)
            held = np.zeros((len(tokens), 1), bool) if fixed_tokens is None else fixed_tokens[:, at]
            fixed_cells[name] = np.asarray(held.any(axis=1))
        out = {**numbers, **values}
        for _ in range(MAX_ROUNDS):
            out = repair(self.rules, out, coders, fixed_cells, computed, rng, ranges)
            if self.arithmetic:  # a computed column may violate a rule again
                out |= enforce(self.arithmetic, coders, {name: out[name] for name in numbers}, fixed, clip=False)
            if not self.arithmetic or all_hold(self.rules, out, len(tokens)).all():
                break
        for name in labelled:
            own = np.where(np.isnan(out[name]), codec.coders[name].missing, out[name]).astype(np.int32)
            tokens[:, codec.positions(name)] = codec.split(name, own)
        return tokens, {name: out[name] for name in numbers}

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        config: dict[str, Any] = {"ties": [], "laws": [asdict(relation) for relation in self.arithmetic]}
        config["rules"] = [rule_state(rule) for rule in self.rules]
        arrays: Arrays = {}
        for i, (name, difference) in enumerate(self.differences.items()):
            plain, difference_arrays = difference_state(difference)
            config["ties"].append({"column": name, **plain})
            arrays |= {f"tie.{i}.{key}": array for key, array in difference_arrays.items()}
        return config, arrays

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Relations:
        """Rebuild relations from their state."""
        differences = {}
        for i, plain in enumerate(config["ties"]):
            prefix = f"tie.{i}."
            own_arrays = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
            differences[plain["column"]] = difference_from_state(plain, own_arrays)
        relations = tuple(relation_from_dict(plain) for plain in config.get("laws", []))
        return cls(differences, relations, tuple(rule_from_state(plain) for plain in config.get("rules", [])))


def restored_relations(config: Mapping[str, Any], arrays: Arrays, codec: Codec) -> Relations:
    """Rebuild the relations of a model; relations that cannot be applied raise here rather than in ``sample``."""
    relations = Relations.from_state(config, arrays)
    relations.decode(codec, codec.end_tokens, np.random.default_rng(0))
    return relations


def combined_state(codec: Codec, relations: Relations) -> tuple[dict[str, Any], Arrays]:
    """Return the states of a codec and its relations in one mapping, as model files store them."""
    config, arrays = codec.state()
    more, relation_arrays = relations.state()
    return {**config, **more}, {**arrays, **relation_arrays}


def _undetermined(
    numbers: Mapping[str, Floats], rules: Sequence[RowRule], values: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return the numbers without those that equal another column by a rule: elsewhere the two need not recur."""
    out = dict(numbers)
    for rule in rules:
        if isinstance(rule, EqualityRule):
            out[rule.column] = np.where(rule.applies(values), np.nan, out[rule.column])
    return out


def _discover_differences(
    numbers: Mapping[str, Floats],
    relations: Sequence[ArithmeticRelation],
    codec: Codec,
    persons: npt.NDArray[np.int64] | None,
) -> dict[str, RecurringDifference]:
    """Discover recurring differences between columns of one unit that no other relation computes.

    All numbers have one unit, and so do datetimes of one resolution.
    """
    computed = {relation.column for relation in relations}
    units: dict[str, dict[str, Floats]] = {}
    for name in [name for name in numbers if name not in computed]:
        column = codec.schema[name]
        unit = f"datetime {column.resolution}" if isinstance(column, Datetime) else "number"
        units.setdefault(unit, {})[name] = numbers[name]
    out: dict[str, RecurringDifference] = {}
    for same in units.values():
        out |= discover_differences(same, codec.numeric_coders, min_group=codec.min_group, persons=persons)
    return out
