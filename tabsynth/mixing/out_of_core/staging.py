"""Harmonise a source batch by batch into a Parquet file, and infer its column types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tabsynth.data.batch_reader import BATCH_ROWS, Batches
from tabsynth.mixing.column_types import ColumnType, to_arrow
from tabsynth.mixing.harmonise import check_budgets, harmonise_source, mask_sentinels
from tabsynth.mixing.linkage.fields import loose_keys, normalise_text
from tabsynth.mixing.out_of_core.disk_join import KEY_COLUMN, LOOSE_COLUMN
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.value_parsing import HarmonisationStats

ROW_COLUMN = "_n"
"""Column of a staged file: the row's number over all sources."""


@dataclass
class StagedSource:
    """A harmonised source on disk.

    Attributes:
        path: Its file.
        start: Number of its first row over all sources.
        rows: Number of rows.
        facts: Type by column.
        done: Counts of changes by column.
    """

    path: Path
    start: int
    rows: int = 0
    facts: dict[str, ColumnType] = field(default_factory=dict)
    done: dict[str, HarmonisationStats] = field(default_factory=dict)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows in batches, with some columns."""
        with pyarrow.parquet.ParquetFile(self.path, pre_buffer=False) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield pa.Table.from_batches([batch])


def stage_source(source: Batches, name: str, plan: Plan, keys: Sequence[str], path: Path, start: int) -> StagedSource:
    """Harmonise a source into a file.

    Args:
        source: Its rows.
        name: Its name.
        plan: The plan.
        keys: The key columns, under their names in the mixed table, or in the source.
        path: The file to write.
        start: Number of its first row.

    Raises:
        DataError: As ``harmonise_source``.
    """
    out = StagedSource(path, start)
    needed = list(dict.fromkeys(c for m in plan.mapped.values() for c in m.sources.get(name, ())))
    needed += [key for key in keys if key not in plan.mapped and key not in needed]
    writer: pyarrow.parquet.ParquetWriter | None = None
    try:
        for raw in source.frames(needed):
            harmonised, done = harmonise_source(raw, name, plan, is_batch=True)
            columns = {}
            for column in harmonised:
                columns[str(column)], fact = to_arrow(harmonised[column])
                known = out.facts.setdefault(str(column), fact)
                known.add(fact)
            for column, item in done.items():
                out.done.setdefault(column, HarmonisationStats()).add(item)
            columns[ROW_COLUMN] = pa.array(np.arange(out.start + out.rows, out.start + out.rows + len(raw)))
            columns[KEY_COLUMN], columns[LOOSE_COLUMN] = _key_texts(raw, harmonised, name, plan, keys)
            table = pa.table(columns)
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table.cast(writer.schema))
            out.rows += len(raw)
    finally:
        if writer is not None:
            writer.close()
    check_budgets(name, plan, out.done)
    return out


def _key_texts(
    raw: pd.DataFrame, harmonised: pd.DataFrame, name: str, plan: Plan, keys: Sequence[str]
) -> tuple[pa.Array, pa.Array]:
    """Return each row's normalised key, and its loose form; null where a part is missing or a placeholder."""
    if not keys:
        return pa.nulls(len(raw), pa.string()), pa.nulls(len(raw), pa.string())
    na = plan.inputs[name].na
    parts = [
        normalise_text(harmonised[key] if key in harmonised else mask_sentinels(raw[key], na.get(key, ())), fold=False)
        for key in keys
    ]
    loose = [loose_keys(part) for part in parts]
    return pc.binary_join_element_wise(*parts, "\x1f"), pc.binary_join_element_wise(*loose, "\x1f")
