"""Encoded tables: integer codes and numbers, with a common encoding for all tables of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.errors import DataError
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_instants, to_numbers

N_BINS = 10
"""Number of equal-width bins of a continuous column, as in SDMetrics' ContingencySimilarity."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """Encoding that is common to the tables of an evaluation.

    Attributes:
        names: The d scored columns, in the schema's order. Identifiers and free text are not scored.
        continuous: Whether each is numeric or datetime (a number) rather than a category.
        sizes: Number of codes of each column, including 0 for missing.
        labels: Labels of the codes 1, 2, ... of a category; empty for a continuous column.
    """

    names: tuple[str, ...]
    continuous: npt.NDArray[np.bool_]
    sizes: Integers
    labels: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """Scored columns of a table.

    Attributes:
        encoding: The encoding of the codes.
        codes: Codes, shape (n, d); 0 is missing. A continuous column is coded by its bin.
        values: Numbers of the continuous columns, shape (n, c), NaN for missing; datetimes in seconds since 1970.
    """

    encoding: Encoding
    codes: Integers
    values: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: npt.NDArray[np.generic]) -> EncodedTable:
        """Select rows by number or by mask."""
        return EncodedTable(self.encoding, self.codes[rows], self.values[rows])

    def select(self, columns: Integers) -> EncodedTable:
        """Select columns by position, in ascending order."""
        encoding = self.encoding
        chosen = Encoding(
            tuple(encoding.names[j] for j in columns),
            encoding.continuous[columns],
            encoding.sizes[columns],
            tuple(encoding.labels[j] for j in columns),
        )
        places = (np.cumsum(encoding.continuous) - 1)[columns][chosen.continuous]
        return EncodedTable(chosen, self.codes[:, columns], self.values[:, places])

    def features(self) -> Floats:
        """Return features for tree ensembles, shape (n, d): numbers, and codes of categories; NaN where missing."""
        out = self.codes.astype(np.float64)
        out[self.codes == 0] = np.nan
        out[:, self.encoding.continuous] = self.values
        return out


def scored_columns(schema: Schema) -> list[str]:
    """Return the scored columns: all but identifiers and free text."""
    return [name for name, column in schema.items() if not isinstance(column, (Identifier, Text))]


def encode_tables(frames: Sequence[pd.DataFrame], schema: Schema) -> list[EncodedTable]:
    """Encode tables with a common encoding; the bins cover the range of the first frame, the real one.

    Args:
        frames: Validated tables with the schema's columns.
        schema: Kinds of the columns.

    Returns:
        One ``EncodedTable`` for each frame.

    Raises:
        DataError: A category has different types in two tables, or no column can be scored.
    """
    names = scored_columns(schema)
    if not names:
        raise DataError("no column can be scored: identifiers and free text are left out; check the schema's kinds")
    codes: list[list[Integers]] = [[] for _ in frames]
    values: list[list[Floats]] = [[] for _ in frames]
    sizes, labels, continuous = [], [], []
    for name in names:
        column = schema[name]
        series = [frame[name] for frame in frames]
        if isinstance(column, (Numeric, Datetime)):
            data = [_floats(item, column) for item in series]
            edges = _edges(data[0])
            coded = [_bin_numbers(item, edges) for item in data]
            for store, item in zip(values, data, strict=True):
                store.append(item)
            encoding: tuple[str, ...] = ()
            size = len(edges)
        else:
            coded, encoding = _categories(series, column)
            size = len(encoding) + 1
        for code_store, coded_item in zip(codes, coded, strict=True):
            code_store.append(coded_item)
        sizes.append(size)
        labels.append(encoding)
        continuous.append(isinstance(column, (Numeric, Datetime)))
    shared = Encoding(tuple(names), np.array(continuous, dtype=bool), np.array(sizes, dtype=np.int64), tuple(labels))
    return [
        EncodedTable(shared, np.column_stack(c), np.column_stack(v) if v else np.empty((len(frame), 0)))
        for frame, c, v in zip(frames, codes, values, strict=True)
    ]


def _floats(values: pd.Series, column: Column) -> Floats:
    """Return a continuous column as float64; datetimes in seconds since 1970."""
    if not isinstance(column, Datetime):
        return to_numbers(values)
    moments = to_instants(values, column.format).to_numpy()
    seconds = (moments - np.datetime64(0, "s")) / np.timedelta64(1, "s")
    return np.asarray(seconds, dtype=np.float64)


def _edges(values: Floats) -> Floats:
    """Return the edges of ``N_BINS`` equal-width bins over the present values, shape (BINS + 1,)."""
    return np.histogram_bin_edges(values[~np.isnan(values)], N_BINS)


def _bin_numbers(values: Floats, edges: Floats) -> Integers:
    """Bin numbers from 1, with open outer bins; 0 for missing."""
    out = np.searchsorted(edges[1:-1], values, side="right").astype(np.int64) + 1
    out[np.isnan(values)] = 0
    return out


def _categories(series: Sequence[pd.Series], column: Column) -> tuple[list[Integers], tuple[str, ...]]:
    """Return the codes of a category in every table, and the labels of the codes from 1.

    Codes follow the schema's order for ordered categories, otherwise the frequency in all rows, so that a tree can
    separate frequent from rare categories. Each row counts once, whatever table it is in. An order by the shares in
    each table would give a rare category a code that reveals which table has it, and a classifier would use it.
    """
    parts = [_factorise(item, column) for item in series]
    kinds = [kind for _, _, kind in parts if kind]
    if len(set(kinds)) > 1 and not _are_codes(parts):
        raise DataError(
            f"column {column.name!r} holds {kinds[0]} in one table and {next(k for k in kinds if k != kinds[0])} in "
            "another; convert it to one type in all of them"
        )
    rows: dict[str, int] = {}
    for codes, labels, _ in parts:
        counts = np.bincount(codes + 1, minlength=len(labels) + 1)[1:]
        for label, count in zip(labels, counts.tolist(), strict=True):
            rows[label] = rows.get(label, 0) + count
    if isinstance(column, Categorical) and column.ordered and column.values is not None:
        order = [_label(value) for value in column.values]
    else:
        order = []
    order += sorted(set(rows) - set(order), key=lambda label: (-rows[label], label))
    number = {label: i + 1 for i, label in enumerate(order)}
    coded = []
    for codes, labels, _ in parts:
        table = np.array([0, *(number[label] for label in labels)], dtype=np.int64)
        coded.append(table[codes + 1])
    return coded, tuple(order)


def _are_codes(parts: Sequence[tuple[Integers, list[str], str]]) -> bool:
    """Return whether text and numbers are codes of digits: a file of them without leading zeros is read as integers."""
    digits = {"text": any, "numbers": all}
    return all(
        kind in digits and digits[kind](label.isascii() and label.isdigit() for label in labels)
        for _, labels, kind in parts
        if kind
    )


def _factorise(values: pd.Series, column: Column) -> tuple[Integers, list[str], str]:
    """Return codes from 0 (missing -1), their labels, and the family of the values ("" if all are missing)."""
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    if isinstance(column, Boolean):
        labels = ["true" if bool(value) else "false" for value in uniques]
        kind = ""
    else:
        labels = [_label(value) for value in uniques]
        kind = _kind(uniques[0]) if len(uniques) else ""
    return codes.astype(np.int64), labels, kind


def _label(value: object) -> str:
    """Return a category as text; 1.0 and 1 are equal, because pandas converts integers with missing cells to floats."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _kind(value: object) -> str:
    """Return the family of a category's values."""
    if isinstance(value, (bool, np.bool_)):
        return "booleans"
    if isinstance(value, (int, float, np.number)):
        return "numbers"
    return "text" if isinstance(value, str) else "other values"
