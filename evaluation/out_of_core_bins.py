"""Bin edges, quantiles and category labels for out-of-core comparison, computed with DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError, InputError, SchemaError, quote
from tabsynth.evaluation.stats.encoded_table import N_BINS, scored_columns
from tabsynth.schema.columns import Datetime, Numeric
from tabsynth.schema.schema import Schema

N_QUANTILES = 512
SAMPLE_ROWS = 100_000
"""Number of rows for the inference of the schema, and for the quantiles of numbers."""

MAX_LABELS = 5_000


@dataclass(frozen=True, eq=False)
class BinSpec:
    """Bins and quantiles of the real file, and labels of both files, for counting.

    Attributes:
        names: The d columns, continuous ones first.
        numbers: Number of continuous columns.
        edges: Inner edges of the bins of each continuous column.
        quantiles: Quantiles of each continuous column, for its distribution.
        centre: Mean and standard deviation of each continuous column, shape (numbers, 2).
        labels: Labels of each categorical column.
        select: SQL expressions of the columns.
    """

    names: tuple[str, ...]
    numbers: int
    edges: tuple[Floats, ...]
    quantiles: tuple[Floats, ...]
    centre: Floats
    labels: tuple[tuple[str, ...], ...]
    select: str

    @property
    def sizes(self) -> list[int]:
        """Number of codes of each column, including 0 for missing."""
        return [N_BINS + 1] * self.numbers + [len(labels) + 1 for labels in self.labels]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of columns that are compared by contingency tables."""
        return [(a, b) for a, b in combinations(range(len(self.names)), 2) if b >= self.numbers]


def fit_bins(base: Any, paths: list[str], schema: Schema | None) -> BinSpec:
    """Fit bins to two files, the real one first; raises the errors of ``out_of_core.file_fidelity``."""
    columns = [list(base.execute("SELECT * FROM read_parquet(?) LIMIT 0", [path]).df().columns) for path in paths]
    unmatched = sorted(set(columns[0]) ^ set(columns[1]))
    if unmatched:
        raise SchemaError(f"the files differ in their columns: {quote(unmatched)} are in one only; align them")
    for path in paths:
        if base.execute("SELECT count(*) FROM read_parquet(?)", [path]).fetchone()[0] == 0:
            raise DataError(f"{path} has no rows")
    sample = base.execute(f"SELECT * FROM read_parquet(?) LIMIT {SAMPLE_ROWS}", [paths[0]]).df()
    schema = schema if schema is not None else Schema.infer(sample)
    scored = [name for name in scored_columns(schema) if name in columns[0]]
    numeric = [name for name in scored if isinstance(schema[name], (Numeric, Datetime))]
    labelled = [name for name in scored if name not in numeric]
    if not scored:
        raise DataError("no column can be scored: identifiers and free text are left out; check the schema's kinds")
    expressions = {name: _number_expression(name, isinstance(schema[name], Datetime)) for name in numeric}
    edges, quantiles, centre = [], [], []
    for name in numeric:
        query = (
            f"SELECT min(v), max(v), avg(v), stddev_pop(v) FROM (SELECT {expressions[name]} AS v FROM read_parquet(?))"
        )
        low, high, mean, spread = base.execute(query, [paths[0]]).fetchone()
        low, high = (0.0, 1.0) if low is None else (low, high)
        edges.append(np.histogram_bin_edges(np.array([low, high]), N_BINS)[1:-1])
        values = base.execute(
            f"SELECT {expressions[name]} AS v FROM read_parquet(?) "
            f"USING SAMPLE reservoir({SAMPLE_ROWS} ROWS) REPEATABLE (0)",
            paths[:1],
        ).fetchnumpy()["v"]
        present = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
        present = present[~np.isnan(present)]
        grid = np.quantile(present, np.linspace(0, 1, N_QUANTILES), method="lower") if len(present) else np.zeros(1)
        quantiles.append(np.unique(grid))
        centre.append((mean or 0.0, spread or 1.0))
    labels = [_labels(base, paths, name) for name in labelled]
    texts = [f"{_quoted(name)}::VARCHAR::{_enum(values)}" for name, values in zip(labelled, labels, strict=True)]
    select = ", ".join(
        [f"{expressions[name]} AS n{i}" for i, name in enumerate(numeric)]
        + [f"{text} AS c{i}" for i, text in enumerate(texts)]
    )
    return BinSpec(
        (*numeric, *labelled),
        len(numeric),
        tuple(edges),
        tuple(quantiles),
        np.array(centre, dtype=np.float64).reshape(-1, 2),
        tuple(labels),
        select,
    )


def _labels(base: Any, paths: list[str], name: str) -> tuple[str, ...]:
    query = " UNION ".join(f"SELECT DISTINCT {_quoted(name)}::VARCHAR AS v FROM read_parquet(?)" for _ in paths)
    labels = [row[0] for row in base.execute(f"{query} LIMIT {MAX_LABELS + 2}", paths).fetchall() if row[0] is not None]
    if len(labels) > MAX_LABELS:
        raise DataError(
            f"column {name!r} has more than {MAX_LABELS:,} categories; declare it text, or group its values"
        )
    return tuple(sorted(labels))


def _number_expression(name: str, date: bool) -> str:
    quoted = _quoted(name)
    return f"epoch({quoted}::TIMESTAMP)::DOUBLE" if date else f"{quoted}::DOUBLE"


def _quoted(name: str) -> str:
    if "\0" in name:
        raise InputError(f"column {name!r}: DuckDB cannot read a column with a zero byte in its name")
    return '"' + name.replace('"', '""') + '"'


def _enum(values: tuple[str, ...]) -> str:
    """Return an ENUM type of the labels, with a placeholder if there are none."""
    return "ENUM(" + ", ".join("'" + value.replace("'", "''") + "'" for value in values or ("",)) + ")"
