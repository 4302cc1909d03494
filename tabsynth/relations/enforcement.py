"""What holds between the numbers of a row: discovered above the codec, and enforced where tokens become numbers again.

A number is drawn inside its token, then placed by a recurring difference to another, then by exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import numeric_columns
from tabsynth.codec.numeric_encoder import QuantileCoder, TokenRange
from tabsynth.codec.rare_value_pooling import person_codes
from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.data.table import Table
from tabsynth.relations.arithmetic import ArithmeticRelation, enforce, relation_from_dict
from tabsynth.relations.arithmetic_discovery import discover_relations
from tabsynth.relations.recurring_differences import (
    RecurringDifference,
    difference_from_state,
    difference_state,
    discover_differences,
)
from tabsynth.schema.columns import Datetime

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Relations:
    """Relations between the columns of a table; find them with ``Relations.discover``.

    Attributes:
        differences: Columns whose numbers are placed by their difference to an earlier column's.
        arithmetic: Columns whose numbers are computed from others', each after those that it reads.
    """

    differences: Mapping[str, RecurringDifference] = field(default_factory=dict)
    arithmetic: tuple[ArithmeticRelation, ...] = ()

    @classmethod
    def discover(cls, table: Table, codec: Codec) -> Relations:
        """The relations that hold in a training table.

        Args:
            table: The training rows.
            codec: Their vocabulary.
        """
        persons = person_codes(table, codec.min_group)
        lines = numeric_columns(table.frame, codec.schema, codec.coders)
        laws = discover_relations(lines)
        return cls(_discover_differences(lines, laws, codec, persons), laws)

    def describe(self) -> list[str]:
        """The exact relations as formulas, such as ``total = net + tax``."""
        return [str(law) for law in self.arithmetic]

    def decode(
        self,
        codec: Codec,
        tokens: Tokens,
        rng: np.random.Generator,
        *,
        ranges: Mapping[str, TokenRange] = NOTHING,
        numbers: Mapping[str, Floats] = NOTHING,
        given: Mapping[str, Floats] | None = None,
        keys: int | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> pd.DataFrame:
        """A frame of tokens in which the relations hold.

        Args:
            codec: The vocabulary of the tokens.
            tokens: Shape (n, slots), none negative.
            rng: Draws positions inside tokens and fresh identifiers.
            ranges: Columns whose values must lie in a range, which their tokens reach.
            numbers: Numbers of a column that were decided elsewhere, NaN where the token decides.
            given: Those of them that no relation may change; by default all.
            keys: Seed of the identifiers; rows decoded in chunks share it, so that no identifier comes twice.
            rows: The numbers of the rows in the whole sample, by which they get their identifiers; by default from 0.
        """
        seed = int(rng.integers(2**63)) if keys is None else keys
        coders = codec.numeric_coders
        own = {name: codec.column_tokens(tokens, name) for name in coders}
        pinned = numbers if given is None else given
        placed = decode_numbers(coders, own, self.differences, self.arithmetic, ranges, numbers, pinned, rng)
        rows = np.arange(len(tokens)) if rows is None else rows
        return codec.to_frame(tokens, placed, rng, keys=seed, rows=rows)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """What ``from_state`` needs: plain data and arrays."""
        config: dict[str, Any] = {"ties": [], "laws": [asdict(law) for law in self.arithmetic]}
        arrays: Arrays = {}
        for i, (name, tie) in enumerate(self.differences.items()):
            plain, held = difference_state(tie)
            config["ties"].append({"column": name, **plain})
            arrays |= {f"tie.{i}.{key}": array for key, array in held.items()}
        return config, arrays

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Relations:
        """Rebuild relations from their state."""
        ties = {}
        for i, plain in enumerate(config["ties"]):
            prefix = f"tie.{i}."
            held = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
            ties[plain["column"]] = difference_from_state(plain, held)
        return cls(ties, tuple(relation_from_dict(plain) for plain in config.get("laws", [])))


def combined_state(codec: Codec, relations: Relations) -> tuple[dict[str, Any], Arrays]:
    """The state of a codec with that of the relations, as model files hold them: in one mapping."""
    config, arrays = codec.state()
    more, held = relations.state()
    return {**config, **more}, {**arrays, **held}


def _discover_differences(
    lines: Mapping[str, Floats], laws: Sequence[ArithmeticRelation], codec: Codec, persons: npt.NDArray[np.int64] | None
) -> dict[str, RecurringDifference]:
    """Recurring differences between columns of one unit that no other relation computes.

    Numbers are of one unit, and so are datetimes of one resolution.
    """
    computed = {law.column for law in laws}
    units: dict[str, dict[str, Floats]] = {}
    for name in [name for name in lines if name not in computed]:
        column = codec.schema[name]
        unit = f"datetime {column.resolution}" if isinstance(column, Datetime) else "number"
        units.setdefault(unit, {})[name] = lines[name]
    out: dict[str, RecurringDifference] = {}
    for same in units.values():
        out |= discover_differences(same, codec.numeric_coders, min_group=codec.min_group, persons=persons)
    return out


def decode_numbers(
    coders: Mapping[str, QuantileCoder],
    tokens: Mapping[str, Tokens],
    ties: Mapping[str, RecurringDifference],
    laws: Sequence[ArithmeticRelation],
    ranges: Mapping[str, TokenRange],
    numbers: Mapping[str, Floats],
    given: Mapping[str, Floats],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Numbers of every column on a line, shape (n,) each, NaN where missing.

    Args:
        coders: The columns' coders.
        tokens: Their tokens, shape (n,) each.
        ties: Columns placed by their difference to another.
        laws: Columns that follow from others.
        ranges: Columns whose numbers must lie in a range.
        numbers: Numbers decided elsewhere, NaN where the token decides.
        given: Those of them that no law may change.
        rng: Draws positions inside tokens.
    """
    out: dict[str, Floats] = {}
    for name, coder in coders.items():
        data = ranges[name].decode(coder, tokens[name], rng) if name in ranges else coder.decode(tokens[name], rng)
        known = numbers.get(name)
        out[name] = data if known is None else np.where(np.isnan(known), data, coder.round_to_step(known))
    for name, tie in ties.items():
        if name not in ranges:
            known = numbers.get(tie.partner)
            free = np.full(len(out[name]), tie.partner not in ranges) if known is None else np.isnan(known)
            pair, fixed = (tie.partner, name), out[name]
            out[tie.partner], out[name] = tie.sample(
                (coders[pair[0]], coders[name]), (tokens[pair[0]], tokens[name]), (out[pair[0]], fixed), free, rng
            )
            if name in numbers:
                out[name] = np.where(np.isnan(numbers[name]), out[name], fixed)
    if not laws:
        return out
    pinned = {
        name: np.full(len(data), name in ranges) | (~np.isnan(given[name]) if name in given else False)
        for name, data in out.items()
    }
    return enforce(laws, coders, out, pinned)
