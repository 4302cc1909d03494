"""Fidelity of Parquet files that do not fit in memory: each is read once in batches and reduced to additive counts.

The definitions are those of ``tabsynth.evaluation.stats.distances``. They are exact for categories, pairs and
correlations. The Kolmogorov-Smirnov distance of a number is evaluated at ``N_QUANTILES`` quantiles of the real rows, so
it may be too small by the share of rows between two of them. DuckDB reads the files within a memory limit, and spills
to a temporary folder.
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
from tabsynth.evaluation.out_of_core_bins import N_QUANTILES, SAMPLE_ROWS, BinSpec, fit_bins
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.distances import correlation_distance, correlations_from_moments, pairwise_moments
from tabsynth.schema.schema import Schema

N_BLOCKS = 20
"""Number of interleaved blocks of rows with separate counts, for intervals and for the floor."""

BATCH_ROWS = 200_000


@dataclass(eq=False)
class BlockCounts:
    """Counts of one file by block of rows; counts with the same bins are additive.

    Attributes:
        rows: Number of rows of each block, shape (N_BLOCKS,).
        column_counts: Counts of each column's values (quantile cells of numbers), shape (N_BLOCKS, cells) each.
        pair_counts: Counts of each pair, shape (N_BLOCKS, cells) each.
        products: Sums over pairs of numbers (``distances.pairwise_moments``), shape (N_BLOCKS, 4, numbers, numbers).
    """

    rows: Floats
    column_counts: list[Floats]
    pair_counts: list[Floats]
    products: Floats

    @classmethod
    def empty(cls, bins: BinSpec) -> BlockCounts:
        """Create counts of zero."""
        cells = [len(points) + 2 for points in bins.quantiles] + bins.sizes[bins.numbers :]
        column_counts = [np.zeros((N_BLOCKS, size)) for size in cells]
        pair_counts = [np.zeros((N_BLOCKS, bins.sizes[a] * bins.sizes[b])) for a, b in bins.pairs]
        return cls(np.zeros(N_BLOCKS), column_counts, pair_counts, np.zeros((N_BLOCKS, 4, bins.numbers, bins.numbers)))

    def add(self, bins: BinSpec, values: Floats, codes: list[Integers], blocks: Integers) -> None:
        """Count a batch: numbers, shape (n, numbers), codes of the categories, and the block of each row."""
        self.rows += np.bincount(blocks, minlength=N_BLOCKS)
        codes_by_column: list[Integers] = []
        for j in range(bins.numbers):
            absent = np.isnan(values[:, j])
            fine = np.searchsorted(bins.quantiles[j], values[:, j], "left") + 1
            self.column_counts[j] += _count_by_block(np.where(absent, 0, fine), blocks, self.column_counts[j].shape[1])
            codes_by_column.append(np.where(absent, 0, np.searchsorted(bins.edges[j], values[:, j], "right") + 1))
        for j, code in enumerate(codes, bins.numbers):
            self.column_counts[j] += _count_by_block(code, blocks, self.column_counts[j].shape[1])
            codes_by_column.append(code)
        for at, (a, b) in enumerate(bins.pairs):
            self.pair_counts[at] += _count_by_block(
                codes_by_column[a] * bins.sizes[b] + codes_by_column[b], blocks, self.pair_counts[at].shape[1]
            )
        scaled = (values - bins.centre[:, 0]) / bins.centre[:, 1]
        for block in range(N_BLOCKS):
            self.products[block] += pairwise_moments(scaled[blocks == block])

    def summed_without(self, left_out: slice | int) -> BlockCounts:
        """Return the counts summed over all blocks but those left out."""
        keep = np.ones(N_BLOCKS, dtype=bool)
        keep[left_out] = False
        column_counts, pair_counts = (
            [table[keep].sum(axis=0) for table in each] for each in (self.column_counts, self.pair_counts)
        )
        return BlockCounts(self.rows[keep].sum(), column_counts, pair_counts, self.products[keep].sum(axis=0))


def file_fidelity(
    train: str | Path,
    synthetic: str | Path,
    *,
    schema: Schema | None = None,
    memory: str = "1GB",
    threads: int | None = None,
) -> list[Score]:
    """Compute shape and trend errors of one Parquet file against another, in limited memory.

    Args:
        train: The real rows.
        synthetic: The synthetic rows, with the same columns.
        schema: The schema of the columns; default: inferred from the first rows of ``train``.
        memory: DuckDB's memory limit.
        threads: Number of DuckDB threads; default: all cores.

    Raises:
        MissingDependencyError: DuckDB is not installed.
        SourceError: A file cannot be read.
        SchemaError: The files differ in their columns.
        DataError: A file has no rows, or a category has more than ``out_of_core_bins.MAX_LABELS`` values.
    """
    if importlib.util.find_spec("duckdb") is None:
        raise missing_package("comparing files out of memory", "duckdb", "mixing")
    import duckdb

    for path in (train, synthetic):
        if not Path(path).is_file() or Path(path).suffix.lower() != ".parquet":
            raise SourceError(f"{path} is not a Parquet file; write the table as Parquet first")
    with tempfile.TemporaryDirectory() as spill:
        options: dict[str, Any] = {"memory_limit": memory, "temp_directory": spill, "preserve_insertion_order": False}
        options |= {} if threads is None else {"threads": threads}
        try:
            with duckdb.connect(config=options) as base:
                bins = fit_bins(base, [str(train), str(synthetic)], schema)
                file_counts = [_count_blocks(base, str(path), bins) for path in (train, synthetic)]
        except duckdb.Error as error:
            raise SourceError(f"the files cannot be compared: {str(error).splitlines()[0]}") from error
    return _scores(file_counts[0], file_counts[1], bins)


def _count_blocks(base: Any, path: str, bins: BinSpec) -> BlockCounts:
    out = BlockCounts.empty(bins)
    start = 0
    for batch in _batches(base, path, bins):
        values = [np.asarray(batch.column(f"n{i}").to_numpy(zero_copy_only=False), float) for i in range(bins.numbers)]
        codes = []
        for i in range(len(bins.labels)):
            index = batch.column(f"c{i}").indices.to_numpy(zero_copy_only=False)
            codes.append(np.where(np.isnan(index), -1, index).astype(np.int64) + 1)
        block = np.arange(start, start + batch.num_rows) % N_BLOCKS
        start += batch.num_rows
        table = np.column_stack(values) if values else np.empty((batch.num_rows, 0))
        out.add(bins, table, codes, block)
    return out


def _batches(base: Any, path: str, bins: BinSpec) -> Iterator[Any]:
    result = base.sql(f"SELECT {bins.select} FROM read_parquet(?)", params=[path])
    # The method was renamed in DuckDB 2.
    reader = (
        result.to_arrow_reader(BATCH_ROWS)
        if hasattr(result, "to_arrow_reader")
        else result.fetch_arrow_reader(BATCH_ROWS)
    )
    yield from reader


def _count_by_block(keys: Integers, blocks: Integers, size: int) -> Floats:
    return np.bincount(blocks * size + keys, minlength=N_BLOCKS * size).reshape(N_BLOCKS, size).astype(np.float64)


def _errors(one: BlockCounts, other: BlockCounts, bins: BinSpec) -> tuple[Floats, Floats]:
    """Return shape errors, shape (d,), and trend errors, shape (d, d), from counts summed over blocks."""
    d = len(bins.names)
    shape, trend = np.zeros(d), np.zeros((d, d))
    for j in range(d):
        p, q = one.column_counts[j] / one.rows, other.column_counts[j] / other.rows
        if j >= bins.numbers:
            shape[j] = 0.5 * np.abs(p - q).sum()
            continue
        present = [np.cumsum(each[1:]) / max(float(each[1:].sum()), 1e-12) for each in (p, q)]
        shape[j] = max(float(np.abs(present[0] - present[1]).max()), abs(float(p[0] - q[0])))
    if bins.numbers > 1:
        gap = correlation_distance(correlations_from_moments(one.products), correlations_from_moments(other.products))
        trend[: bins.numbers, : bins.numbers] = gap
    for at, (a, b) in enumerate(bins.pairs):
        trend[a, b] = trend[b, a] = (
            0.5 * np.abs(one.pair_counts[at] / one.rows - other.pair_counts[at] / other.rows).sum()
        )
    return np.clip(shape, 0, 1), np.clip(trend, 0, 1)


def _scores(real: BlockCounts, synthetic_counts: BlockCounts, bins: BinSpec) -> list[Score]:
    d = len(bins.names)
    upper = np.triu_indices(d, 1)
    no_block, middle = slice(0, 0), N_BLOCKS // 2
    errors = _errors(real.summed_without(no_block), synthetic_counts.summed_without(no_block), bins)
    sides = real.summed_without(slice(0, middle)), real.summed_without(slice(middle, N_BLOCKS))
    counts = [float(side.rows.sum()) for side in (real, synthetic_counts)]
    halves = [max(float(np.sum(side.rows)), 1.0) for side in sides]
    scale = float(np.sqrt((1 / counts[0] + 1 / counts[1]) / (1 / halves[0] + 1 / halves[1])))
    floor = [np.minimum(each * scale, 1.0) for each in _errors(sides[0], sides[1], bins)]
    left_out = [_errors(real.summed_without(g), synthetic_counts.summed_without(g), bins) for g in range(N_BLOCKS)]
    parts: list[tuple[str, str, Floats, Floats, list[float], list[tuple[str, ...]]]] = [
        (
            "shape_error",
            "Column shapes",
            errors[0],
            floor[0],
            [float(each[0].mean()) for each in left_out],
            [(name,) for name in bins.names],
        ),
    ]
    if d > 1:
        parts.append(
            (
                "trend_error",
                "Pair trends",
                errors[1][upper],
                floor[1][upper],
                [float(each[1][upper].mean()) for each in left_out],
                [(bins.names[a], bins.names[b]) for a, b in zip(*upper, strict=True)],
            )
        )
    out = []
    for name, title, values, floors, replicates, columns in parts:
        value = 100 * float(values.mean())
        spread = 100 * float(np.sqrt((N_BLOCKS - 1) * np.var(replicates))) * float(student.ppf(0.975, N_BLOCKS - 1))
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
                description="Mean distance between the two files.",
                method=f"All {counts[0]:,.0f} real and {counts[1]:,.0f} synthetic rows, as counts; distributions of "
                f"numbers at {N_QUANTILES} quantiles of {SAMPLE_ROWS:,} real rows. Interval: jackknife over {N_BLOCKS} "
                f"blocks. Floor: half of the real rows against the other, times {scale:.2f} for the number of rows.",
                detail=tuple(
                    Part(columns=name_, value=100 * float(v), floor=100 * float(f))
                    for name_, v, f in zip(columns, values, floors, strict=True)
                ),
            )
        )
    return out
