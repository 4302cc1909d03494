"""Fidelity of tables that do not fit in memory: Parquet files, read once each in batches, kept as counts that add up.

The definitions are those of ``tabsynth.evaluation.stats.distances``, exact for categories, pairs and correlations; a
number's Kolmogorov-Smirnov distance is taken at ``GRID`` quantiles of the real rows, so it may be too small by the
share of rows between two of them. DuckDB reads the files, within a memory limit, and spills to a folder of its own.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from tabsynth.common.arrays import Floats, Integers
from tabsynth.errors import SourceError, missing_package
from tabsynth.evaluation.out_of_core_bins import GRID, LOOK, Ruler, ruler_of
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.distances import correlation_distance, correlations_of, moments
from tabsynth.schema.schema import Schema

BLOCKS = 20
"""Blocks of rows, taken in turn, whose counts are kept apart: for intervals and for the floor."""

BATCH = 200_000


@dataclass(eq=False)
class Sketch:
    """Counts of one file by block; two sketches by one ruler add up.

    Attributes:
        rows: Rows of each block, shape (BLOCKS,).
        single: Counts of each column's values (quantile cells of numbers), shape (BLOCKS, cells) each.
        joint: Counts of each pair, shape (BLOCKS, cells) each.
        products: Sums over pairs of numbers (``distance.moments``), shape (BLOCKS, 4, numbers, numbers).
    """

    rows: Floats
    single: list[Floats]
    joint: list[Floats]
    products: Floats

    @classmethod
    def empty(cls, ruler: Ruler) -> Sketch:
        """No rows yet."""
        cells = [len(points) + 2 for points in ruler.points] + ruler.sizes[ruler.numbers :]
        single = [np.zeros((BLOCKS, size)) for size in cells]
        joint = [np.zeros((BLOCKS, ruler.sizes[a] * ruler.sizes[b])) for a, b in ruler.pairs]
        return cls(np.zeros(BLOCKS), single, joint, np.zeros((BLOCKS, 4, ruler.numbers, ruler.numbers)))

    def add(self, ruler: Ruler, values: Floats, codes: list[Integers], marks: Integers) -> None:
        """Count a batch: numbers, shape (n, numbers), codes of the categories, and the block of each row."""
        self.rows += np.bincount(marks, minlength=BLOCKS)
        every: list[Integers] = []
        for j in range(ruler.numbers):
            absent = np.isnan(values[:, j])
            fine = np.searchsorted(ruler.points[j], values[:, j], "left") + 1
            self.single[j] += _counted(np.where(absent, 0, fine), marks, self.single[j].shape[1])
            every.append(np.where(absent, 0, np.searchsorted(ruler.edges[j], values[:, j], "right") + 1))
        for j, code in enumerate(codes, ruler.numbers):
            self.single[j] += _counted(code, marks, self.single[j].shape[1])
            every.append(code)
        for at, (a, b) in enumerate(ruler.pairs):
            self.joint[at] += _counted(every[a] * ruler.sizes[b] + every[b], marks, self.joint[at].shape[1])
        scaled = (values - ruler.centre[:, 0]) / ruler.centre[:, 1]
        for block in range(BLOCKS):
            self.products[block] += moments(scaled[marks == block])

    def without(self, left_out: slice | int) -> Sketch:
        """The same without some blocks, their counts summed."""
        keep = np.ones(BLOCKS, dtype=bool)
        keep[left_out] = False
        single, joint = ([table[keep].sum(axis=0) for table in each] for each in (self.single, self.joint))
        return Sketch(self.rows[keep].sum(), single, joint, self.products[keep].sum(axis=0))


def file_fidelity(
    train: str | Path,
    synthetic: str | Path,
    *,
    schema: Schema | None = None,
    memory: str = "1GB",
    threads: int | None = None,
) -> list[Score]:
    """Shape and trend error of one Parquet file against another, in little memory.

    Args:
        train: The real rows.
        synthetic: The synthetic rows, with the same columns.
        schema: What the columns are; by default inferred from the first rows of ``train``.
        memory: DuckDB's memory limit.
        threads: DuckDB's threads; by default all cores.

    Raises:
        MissingDependencyError: DuckDB is not installed.
        SourceError: A file cannot be read.
        SchemaError: The files differ in their columns.
        DataError: A file has no rows, or a category has more than ``ruler.MOST_LABELS`` values.
    """
    if importlib.util.find_spec("duckdb") is None:
        raise missing_package("comparing files out of memory", "duckdb", "mixing")
    import duckdb

    for path in (train, synthetic):
        if not Path(path).is_file() or Path(path).suffix.lower() != ".parquet":
            raise SourceError(f"{path} is no Parquet file; write the table as Parquet first")
    with tempfile.TemporaryDirectory() as spill:
        options: dict[str, Any] = {"memory_limit": memory, "temp_directory": spill, "preserve_insertion_order": False}
        options |= {} if threads is None else {"threads": threads}
        try:
            with duckdb.connect(config=options) as base:
                ruler = ruler_of(base, [str(train), str(synthetic)], schema)
                sketches = [_sketch(base, str(path), ruler) for path in (train, synthetic)]
        except duckdb.Error as error:
            raise SourceError(f"the files cannot be compared: {str(error).splitlines()[0]}") from error
    return _scores(sketches[0], sketches[1], ruler)


def _sketch(base: Any, path: str, ruler: Ruler) -> Sketch:
    out = Sketch.empty(ruler)
    start = 0
    for batch in _batches(base, path, ruler):
        values = [np.asarray(batch.column(f"n{i}").to_numpy(zero_copy_only=False), float) for i in range(ruler.numbers)]
        codes = []
        for i in range(len(ruler.labels)):
            index = batch.column(f"c{i}").indices.to_numpy(zero_copy_only=False)
            codes.append(np.where(np.isnan(index), -1, index).astype(np.int64) + 1)
        block = np.arange(start, start + batch.num_rows) % BLOCKS
        start += batch.num_rows
        table = np.column_stack(values) if values else np.empty((batch.num_rows, 0))
        out.add(ruler, table, codes, block)
    return out


def _batches(base: Any, path: str, ruler: Ruler) -> Iterator[Any]:
    found = base.sql(f"SELECT {ruler.select} FROM read_parquet(?)", params=[path])
    # DuckDB 2 has renamed it
    reader = found.to_arrow_reader(BATCH) if hasattr(found, "to_arrow_reader") else found.fetch_arrow_reader(BATCH)
    yield from reader


def _counted(keys: Integers, marks: Integers, size: int) -> Floats:
    return np.bincount(marks * size + keys, minlength=BLOCKS * size).reshape(BLOCKS, size).astype(np.float64)


def _errors(one: Sketch, other: Sketch, ruler: Ruler) -> tuple[Floats, Floats]:
    """Shape errors, shape (d,), and trend errors, shape (d, d), of sketches whose blocks are summed."""
    d = len(ruler.names)
    shape, trend = np.zeros(d), np.zeros((d, d))
    for j in range(d):
        p, q = one.single[j] / one.rows, other.single[j] / other.rows
        if j >= ruler.numbers:
            shape[j] = 0.5 * np.abs(p - q).sum()
            continue
        present = [np.cumsum(each[1:]) / max(float(each[1:].sum()), 1e-12) for each in (p, q)]
        shape[j] = max(float(np.abs(present[0] - present[1]).max()), abs(float(p[0] - q[0])))
    if ruler.numbers > 1:
        gap = correlation_distance(correlations_of(one.products), correlations_of(other.products))
        trend[: ruler.numbers, : ruler.numbers] = gap
    for at, (a, b) in enumerate(ruler.pairs):
        trend[a, b] = trend[b, a] = 0.5 * np.abs(one.joint[at] / one.rows - other.joint[at] / other.rows).sum()
    return np.clip(shape, 0, 1), np.clip(trend, 0, 1)


def _scores(real: Sketch, made: Sketch, ruler: Ruler) -> list[Score]:
    d = len(ruler.names)
    upper = np.triu_indices(d, 1)
    nothing, half = slice(0, 0), BLOCKS // 2
    found = _errors(real.without(nothing), made.without(nothing), ruler)
    sides = real.without(slice(0, half)), real.without(slice(half, BLOCKS))
    counts = [float(sketch.rows.sum()) for sketch in (real, made)]
    halves = [max(float(np.sum(side.rows)), 1.0) for side in sides]
    scale = float(np.sqrt((1 / counts[0] + 1 / counts[1]) / (1 / halves[0] + 1 / halves[1])))
    floor = [np.minimum(each * scale, 1.0) for each in _errors(sides[0], sides[1], ruler)]
    left_out = [_errors(real.without(g), made.without(g), ruler) for g in range(BLOCKS)]
    parts: list[tuple[str, str, Floats, Floats, list[float], list[tuple[str, ...]]]] = [
        (
            "shape_error",
            "Column shapes",
            found[0],
            floor[0],
            [float(each[0].mean()) for each in left_out],
            [(name,) for name in ruler.names],
        ),
    ]
    if d > 1:
        parts.append(
            (
                "trend_error",
                "Pair trends",
                found[1][upper],
                floor[1][upper],
                [float(each[1][upper].mean()) for each in left_out],
                [(ruler.names[a], ruler.names[b]) for a, b in zip(*upper, strict=True)],
            )
        )
    out = []
    for name, title, values, floors, replicates, columns in parts:
        value = 100 * float(values.mean())
        spread = 100 * float(np.sqrt((BLOCKS - 1) * np.var(replicates))) * float(student.ppf(0.975, BLOCKS - 1))
        out.append(
            Score(
                name=name,
                title=title,
                value=value,
                interval=(max(0.0, value - spread), min(100.0, value + spread)),
                better="lower",
                target=0.0,
                floor=100 * float(floors.mean()),
                unit="%",
                description="How far the two files are from one another, on average.",
                method=f"All {counts[0]:,.0f} real and {counts[1]:,.0f} synthetic rows, as counts; distributions of "
                f"numbers at {GRID} quantiles of {LOOK:,} real rows. Interval: jackknife over {BLOCKS} blocks. Floor: "
                f"half of the real rows against the other, times {scale:.2f} for the number of rows.",
                detail=tuple(
                    Part(columns=name_, value=100 * float(v), floor=100 * float(f))
                    for name_, v, f in zip(columns, values, floors, strict=True)
                ),
            )
        )
    return out
