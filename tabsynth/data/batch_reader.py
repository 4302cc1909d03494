"""A table read in batches, each column in the type that all of its values have: for tables larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tabsynth.data.csv_dialects import Dialect, detect
from tabsynth.data.csv_files import MISSING, header, text_batches
from tabsynth.data.csv_types import typed
from tabsynth.data.file_formats import kind_of, separator_of
from tabsynth.data.parquet_files import parquet_file, parquet_frame
from tabsynth.data.read_write import read
from tabsynth.errors import SourceError

ROWS = 1 << 16
"""Rows of a batch."""

TEXT, NOTHING = "text", "nothing"


@dataclass(frozen=True, eq=False)
class Batches:
    """A table to be read more than once, a batch at a time; together the batches are what ``read`` gives.

    CSV, which has no types, is read through once to tell them. Workbooks and frames are in memory anyway.

    Attributes:
        table: A file, or a frame.
    """

    table: Path | pd.DataFrame

    @cached_property
    def names(self) -> list[str]:
        """The columns."""
        if isinstance(self.table, pd.DataFrame):
            return [str(name) for name in self.table.columns]
        if self._kind == "parquet":
            with parquet_file(self.table) as file:
                return list(file.schema_arrow.names)
        return header(self.table, self._dialect) if self._kind == "csv" else list(self._whole.columns)

    def frames(self, columns: Sequence[str] | None = None, rows: int = ROWS) -> Iterator[pd.DataFrame]:
        """The batches, each with an index of its own.

        Args:
            columns: Which columns to read; all by default.
            rows: Most rows of a batch.

        Raises:
            SourceError: The file cannot be read.
            DataError: Its content is no table.
        """
        wanted = self.names if columns is None else list(columns)
        if isinstance(self.table, pd.DataFrame) or self._kind == "excel":
            for start in range(0, len(self._whole), rows):
                yield self._whole[wanted].iloc[start : start + rows].reset_index(drop=True)
        elif self._kind == "parquet":
            with parquet_file(self.table) as file:
                try:
                    for batch in file.iter_batches(rows, columns=wanted):
                        yield parquet_frame(pa.Table.from_batches([batch]))[wanted]
                except (pa.ArrowException, OSError) as error:
                    raise SourceError(f"{str(self.table)!r} is damaged or cut short: {error}") from error
        else:
            kinds = {name: self.kinds[name] for name in wanted}
            for text in text_batches(self.table, self._dialect):
                for start in range(0, len(text), rows):
                    part = text.slice(start, rows)
                    yield pd.DataFrame({name: _as(part[name].combine_chunks(), kind) for name, kind in kinds.items()})

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What all values of each column of a CSV file are."""
        assert isinstance(self.table, Path)
        found: dict[str, set[str]] = {name: set() for name in self.names}
        for text in text_batches(self.table, self._dialect):
            for name, seen in found.items():
                if TEXT not in seen:
                    seen.add(_kind(text[name].combine_chunks()))
        return {name: _together(seen - {NOTHING}) for name, seen in found.items()}

    @cached_property
    def _dialect(self) -> Dialect:
        assert isinstance(self.table, Path)
        return detect(self.table, None, None, usual=separator_of(self.table))

    @cached_property
    def _kind(self) -> str:
        assert isinstance(self.table, Path)
        return kind_of(self.table)

    @cached_property
    def _whole(self) -> pd.DataFrame:
        return self.table.reset_index(drop=True) if isinstance(self.table, pd.DataFrame) else read(self.table).frame


def _kind(text: pa.Array) -> str:
    """What all values of a batch are: text, nothing, or a dtype with the format of its dates."""
    if all(value in MISSING for value in text.drop_null().unique()[: len(MISSING) + 1].to_pylist()):
        return NOTHING
    values, spelling = typed(text, MISSING)
    if spelling is not None:
        return f"{values.dtype} {spelling}"
    return TEXT if values.dtype == object else str(values.dtype).lower().replace("boolean", "bool")


def _together(seen: set[str]) -> str:
    """What all batches are: integers are numbers too, and what agrees in nothing is text."""
    if seen == {"int64", "float64"}:
        return "float64"
    return next(iter(seen)) if len(seen) == 1 else TEXT


def _as(text: pa.Array, kind: str) -> pd.Series:
    """A batch as what its whole column is."""
    if kind == TEXT:
        return pd.Series(text.to_pandas(), dtype=object)
    dtype: Any = {"int64": "Int64", "bool": "boolean"}.get(kind, kind.partition(" ")[0])
    if _kind(text) == NOTHING:
        nothing = pd.NA if dtype in ("Int64", "boolean") else None
        values: pd.Series = pd.Series(nothing, index=range(len(text)), dtype=dtype)
    else:
        values = typed(text, MISSING)[0].astype(dtype)
    return values
