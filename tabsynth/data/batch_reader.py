"""Read tables larger than memory in batches, with the column types of the whole table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tabsynth.data.csv_dialects import Dialect, detect_dialect
from tabsynth.data.csv_files import MISSING_SPELLINGS, read_header, text_batches
from tabsynth.data.csv_types import infer_series
from tabsynth.data.file_formats import default_separator, file_format
from tabsynth.data.lakes.datasets import dataset_batches, dataset_names, is_dataset
from tabsynth.data.parquet_files import arrow_to_frame, open_parquet
from tabsynth.data.read_write import read
from tabsynth.data.sql.read_write import read_batches, to_frame
from tabsynth.errors import SourceError

BATCH_ROWS = 1 << 16
"""Rows of a batch."""

TEXT, EMPTY = "text", "nothing"


@dataclass(frozen=True, eq=False)
class Batches:
    """A table read in batches, more than once; the batches together equal the result of ``read``.

    CSV files are read once to infer types. Workbooks and frames are in memory.

    Attributes:
        table: A file, a frame, or the URL of a database that names its table.
    """

    table: Path | str | pd.DataFrame

    @cached_property
    def names(self) -> list[str]:
        """The column names."""
        if isinstance(self.table, pd.DataFrame):
            return [str(name) for name in self.table.columns]
        if isinstance(self.table, str):
            return list(next(read_batches(self.table)).schema.names)
        if self._kind == "dataset":
            return dataset_names(self.table)
        if self._kind == "parquet":
            with open_parquet(self.table) as file:
                return list(file.schema_arrow.names)
        return read_header(self.table, self._dialect) if self._kind == "csv" else list(self._whole.columns)

    def frames(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the batches, each with its own index.

        Args:
            columns: Columns to read; all by default.
            rows: Maximum rows of a batch.

        Raises:
            SourceError: The file cannot be read.
            DataError: Its content is not a table.
        """
        if isinstance(self.table, str):
            for batch in read_batches(self.table, columns=None if columns is None else list(columns)):
                for start in range(0, batch.num_rows, rows):
                    yield to_frame(pa.Table.from_batches([batch.slice(start, rows)]))
            return
        wanted = self.names if columns is None else list(columns)
        if isinstance(self.table, pd.DataFrame) or self._kind in ("excel", "arrow", "json"):
            for start in range(0, len(self._whole), rows):
                yield self._whole[wanted].iloc[start : start + rows].reset_index(drop=True)
        elif self._kind == "dataset":
            for batch in dataset_batches(self.table, wanted, rows):
                yield arrow_to_frame(pa.Table.from_batches([batch]))[wanted]
        elif self._kind == "parquet":
            with open_parquet(self.table) as file:
                try:
                    for batch in file.iter_batches(rows, columns=wanted):
                        yield arrow_to_frame(pa.Table.from_batches([batch]))[wanted]
                except (pa.ArrowException, OSError) as error:
                    raise SourceError(f"{str(self.table)!r} is damaged or cut short: {error}") from error
        else:
            kinds = {name: self.kinds[name] for name in wanted}
            for text in text_batches(self.table, self._dialect):
                for start in range(0, len(text), rows):
                    part = text.slice(start, rows)
                    yield pd.DataFrame({name: _cast(part[name].combine_chunks(), kind) for name, kind in kinds.items()})

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Type of each column of a CSV file."""
        assert isinstance(self.table, Path)
        found: dict[str, set[str]] = {name: set() for name in self.names}
        for text in text_batches(self.table, self._dialect):
            for name, seen in found.items():
                if TEXT not in seen:
                    seen.add(_infer_type(text[name].combine_chunks()))
        return {name: _merge_types(seen - {EMPTY}) for name, seen in found.items()}

    @cached_property
    def _dialect(self) -> Dialect:
        assert isinstance(self.table, Path)
        return detect_dialect(self.table, None, None, usual=default_separator(self.table))

    @cached_property
    def _kind(self) -> str:
        assert isinstance(self.table, Path)
        return "dataset" if is_dataset(self.table) else file_format(self.table)

    @cached_property
    def _whole(self) -> pd.DataFrame:
        if isinstance(self.table, pd.DataFrame):
            return self.table.reset_index(drop=True)
        return read(self.table).frame


def _infer_type(text: pa.Array) -> str:
    """Return the type of a batch: text, empty, or a dtype with its date format."""
    if all(value in MISSING_SPELLINGS for value in text.drop_null().unique()[: len(MISSING_SPELLINGS) + 1].to_pylist()):
        return EMPTY
    values, spelling = infer_series(text, MISSING_SPELLINGS)
    if spelling is not None:
        return f"{values.dtype} {spelling}"
    return TEXT if values.dtype == object else str(values.dtype).lower().replace("boolean", "bool")


def _merge_types(seen: set[str]) -> str:
    """Return the common type of all batches: integers and floats are floats, other combinations text."""
    if seen == {"int64", "float64"}:
        return "float64"
    return next(iter(seen)) if len(seen) == 1 else TEXT


def _cast(text: pa.Array, kind: str) -> pd.Series:
    """Convert a batch to the type of its whole column."""
    if kind == TEXT:
        return pd.Series(text.to_pandas(), dtype=object)
    dtype: Any = {"int64": "Int64", "bool": "boolean"}.get(kind, kind.partition(" ")[0])
    if _infer_type(text) == EMPTY:
        nothing = pd.NA if dtype in ("Int64", "boolean") else None
        values: pd.Series = pd.Series(nothing, index=range(len(text)), dtype=dtype)
    else:
        values = infer_series(text, MISSING_SPELLINGS)[0].astype(dtype)
    return values
