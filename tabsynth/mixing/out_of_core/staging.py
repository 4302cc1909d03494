"""A source harmonised batch by batch into a Parquet file of its own, and what its columns are when all is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tabsynth.data.batch_reader import BATCH_ROWS, Batches
from tabsynth.errors import InputError
from tabsynth.mixing.combination.combine import is_numeric
from tabsynth.mixing.harmonise import HarmonisationStats, check_budgets, harmonise_source, mask_sentinels
from tabsynth.mixing.linkage.fields import normalise_text
from tabsynth.mixing.plan.entries import code_texts
from tabsynth.mixing.plan.plan import Plan

ROW_COLUMN, KEY_COLUMN = "_n", "_key"
"""Columns of a staged file beside those of the mixed table: the row's number over all sources, and its key as text."""


@dataclass
class ColumnType:
    """What the values of one column of one source are.

    Attributes:
        type: Of the staged column.
        numbers: Whether all are numbers, also those that are read from codes.
        whole: Whether all numbers are whole, and below 2**53 in size.
    """

    type: pa.DataType
    numbers: bool = True
    whole: bool = True

    def add(self, other: ColumnType) -> None:
        """Take in a further batch."""
        self.numbers &= other.numbers
        self.whole &= other.whole


@dataclass
class StagedSource:
    """A harmonised source on disk.

    Attributes:
        path: Its file.
        start: The number of its first row over all sources.
        rows: How many rows it has.
        facts: By column.
        done: What was done to each column.
    """

    path: Path
    start: int
    rows: int = 0
    facts: dict[str, ColumnType] = field(default_factory=dict)
    done: dict[str, HarmonisationStats] = field(default_factory=dict)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Its rows in order, some columns, a batch at a time."""
        with pyarrow.parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield pa.Table.from_batches([batch])


def stage_source(source: Batches, name: str, plan: Plan, keys: Sequence[str], path: Path, start: int) -> StagedSource:
    """Harmonise a source into a file.

    Args:
        source: Its rows.
        name: Its name.
        plan: What to do.
        keys: The columns that make a row's key, under their names in the mixed table, or in the source.
        path: The file to write.
        start: The number of its first row.

    Raises:
        DataError: As ``harmonise_source`` does.
    """
    out = StagedSource(path, start)
    needed = list(dict.fromkeys(c for m in plan.mapped.values() for c in m.sources.get(name, ())))
    needed += [key for key in keys if key not in plan.mapped and key not in needed]
    writer: pyarrow.parquet.ParquetWriter | None = None
    try:
        for raw in source.frames(needed):
            made, done = harmonise_source(raw, name, plan, is_batch=True)
            columns = {}
            for column in made:
                columns[str(column)], fact = _to_arrow(made[column])
                known = out.facts.setdefault(str(column), fact)
                known.add(fact)
            for column, item in done.items():
                out.done.setdefault(column, HarmonisationStats()).add(item)
            columns[ROW_COLUMN] = pa.array(np.arange(out.start + out.rows, out.start + out.rows + len(raw)))
            columns[KEY_COLUMN] = _key_text(raw, made, name, plan, keys)
            table = pa.table(columns)
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table.cast(writer.schema))
            out.rows += len(raw)
    finally:
        if writer is not None:
            writer.close()
    check_budgets(name, plan, out.done)
    return out


def _to_arrow(values: pd.Series) -> tuple[pa.Array, ColumnType]:
    """Numbers and dates as they are, all else as text."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        found = pa.array(values, from_pandas=True)
        found = found.cast(pa.timestamp("ns", found.type.tz))
        return found, ColumnType(found.type, numbers=False)
    numeric = not pd.api.types.is_bool_dtype(values.dtype) and not isinstance(values.dtype, pd.CategoricalDtype)
    if numeric and pd.api.types.is_integer_dtype(values.dtype):
        return pa.array(values, from_pandas=True).cast(pa.int64()), ColumnType(pa.int64())
    if numeric and pd.api.types.is_float_dtype(values.dtype):
        found = pa.array(values, from_pandas=True).cast(pa.float64())
        return found, ColumnType(pa.float64(), whole=_all_whole(values.dropna()))
    numbers = is_numeric(values)
    whole = not numbers or _all_whole(pd.to_numeric(values.dropna()))
    return pa.array(code_texts(values), pa.string(), from_pandas=True), ColumnType(pa.string(), numbers, whole)


def _all_whole(numbers: pd.Series) -> bool:
    return bool((numbers % 1 == 0).all() and (not len(numbers) or numbers.abs().max() < 2**53))


def _key_text(raw: pd.DataFrame, made: pd.DataFrame, name: str, plan: Plan, keys: Sequence[str]) -> pa.Array:
    """Each row's key as text that two sources write alike; null where a part is missing or a placeholder."""
    if not keys:
        return pa.nulls(len(raw), pa.string())
    na = plan.inputs[name].na
    parts = [
        normalise_text(made[key] if key in made else mask_sentinels(raw[key], na.get(key, ())), fold=False)
        for key in keys
    ]
    return pc.binary_join_element_wise(*parts, "\x1f") if len(parts) > 1 else parts[0]


def common_type(column: str, facts: Sequence[ColumnType]) -> pa.DataType:
    """The one type that a column has in the mixed table, as ``combine.stacked`` finds it of whole columns.

    Raises:
        InputError: Some sources have dates and others have not, or their dates are of different zones.
    """
    types = {str(fact.type): fact.type for fact in facts}
    if any(pa.types.is_timestamp(kind) for kind in types.values()):
        if len(types) > 1:
            raise InputError(
                f"column {column!r} is {' and '.join(sorted(types))} in different sources; map it to a datetime "
                "column, with its dates in one zone"
            )
        return next(iter(types.values()))
    if all(fact.numbers for fact in facts):
        integers = set(types) == {"int64"} or all(fact.whole for fact in facts)
        return pa.int64() if integers else pa.float64()
    return pa.string()


def cast_to(values: Any, wanted: pa.DataType) -> Any:
    """A staged column, or a part of one, in the type that it has in the mixed table."""
    if values.type == wanted:
        return values
    if wanted == pa.string() and pa.types.is_floating(values.type):
        return pa.array(code_texts(values.to_pandas()), pa.string(), from_pandas=True)
    if wanted == pa.int64() and values.type == pa.string():
        values = values.cast(pa.float64())
    return values.cast(wanted)
