"""A uniform random sample of the rows of a table, in one pass and in memory that does not grow with the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.data.batch_reader import BATCH_ROWS, Batches
from tabsynth.data.sql.urls import is_database_url

MIN_BATCH_ROWS = 1 << 11
"""Minimum rows of a batch, also for a small sample."""


def sample_rows(path: str | Path, max_rows: int, *, seed: int) -> tuple[pd.DataFrame, int]:
    """Return a uniform random sample without replacement, in the file's order, and the number of rows of the file.

    Every row gets a random number, and the rows with the smallest numbers are kept. At most twice as many rows as
    requested are in memory at any time.

    Args:
        path: A file (workbooks, Arrow and JSON files are read whole), a folder or pattern of Parquet files, or the URL
            of a database's table.
        max_rows: Rows to keep; all of a shorter file.
        seed: Seed of the sample.

    Raises:
        SourceError: The file cannot be read.
        DataError: Its content is not a table.
    """
    rng = np.random.default_rng(seed)
    frames: list[pd.DataFrame] = []
    keys: npt.NDArray[np.float64] = np.empty(0)
    total, highest = 0, 1.0
    table = str(path) if is_database_url(path) else Path(path)
    for batch in Batches(table).frames(rows=min(BATCH_ROWS, max(2 * max_rows, MIN_BATCH_ROWS))):
        drawn = rng.random(len(batch))
        total += len(batch)
        kept = drawn < highest
        if kept.any():
            frames.append(batch[kept])
            keys = np.append(keys, drawn[kept])
        if len(keys) > 2 * max_rows:
            frames, keys, highest = _smallest(frames, keys, max_rows)
    if len(keys) > max_rows:
        frames, keys, _ = _smallest(frames, keys, max_rows)
    return pd.concat(frames, ignore_index=True), total


def _smallest(
    frames: list[pd.DataFrame], keys: npt.NDArray[np.float64], count: int
) -> tuple[list[pd.DataFrame], npt.NDArray[np.float64], float]:
    """Return the rows of the smallest numbers, and the largest of these numbers."""
    highest = float(np.partition(keys, count - 1)[count - 1])
    kept = keys <= highest
    return [pd.concat(frames, ignore_index=True)[kept]], keys[kept], highest
