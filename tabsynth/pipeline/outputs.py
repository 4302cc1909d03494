"""Where results go: checked before any long work, and synthetic rows written chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tabsynth.common.atomic_files import check_writable
from tabsynth.errors import SourceError
from tabsynth.synthesizers.base import Synthesizer

CHUNK = 65_536
"""Rows drawn and written at a time."""


def check_table_output(path: str | Path) -> None:
    """Raise early when a table could not be written to a path later.

    Raises:
        SourceError: The suffix says no format of a table, or the path cannot be written.
    """
    from tabsynth.data.file_formats import SUFFIXES

    if not Path(path).name.lower().endswith(tuple(SUFFIXES)):
        raise SourceError(f"cannot write a table to {str(path)!r}: its name must end in one of {', '.join(SUFFIXES)}")
    check_writable(path)


def is_workbook(path: str | Path) -> bool:
    """Whether a path's suffix says Excel, which is not written in chunks."""
    return Path(path).suffix.lower() in (".xlsx", ".xlsm")


def check_report(path: str | Path) -> None:
    """Raise early when a report could not be written to a path later.

    Raises:
        SourceError: The suffix says no format of a report, or the path cannot be written.
    """
    if Path(path).suffix.lower() not in (".html", ".json", ".md"):
        raise SourceError(f"cannot write a report to {str(path)!r}: its name must end in .html, .json or .md")
    check_writable(path)


def write_sample(
    model: Synthesizer,
    path: str | Path,
    rows: int,
    *,
    given: Mapping[str, Any] | None = None,
    seed: int,
    keep: int = 0,
) -> pd.DataFrame:
    """Draw rows into a file, chunk by chunk, so that memory does not grow with their number.

    Args:
        model: A fitted synthesizer.
        path: The file, CSV, Parquet or Excel by its suffix; it appears when it is whole. A workbook is made at once.
        rows: How many rows.
        given: What every row must meet.
        seed: Seed of the draw.
        keep: How many of the first rows to return.

    Returns:
        The first rows (in whole chunks).
    """
    from tabsynth.data.read_write import write, write_chunks

    if is_workbook(path):
        frame = pd.concat(model.sample_chunks(rows, given=given, chunk=CHUNK, seed=seed), ignore_index=True)
        write(frame, path, model.schema_)
        return frame
    head: list[pd.DataFrame] = []
    with write_chunks(path, model.schema_) as append:
        for chunk in model.sample_chunks(rows, given=given, chunk=CHUNK, seed=seed):
            append(chunk)
            if sum(map(len, head)) < keep:
                head.append(chunk)
    return pd.concat(head, ignore_index=True) if head else pd.DataFrame()


def checkpoint_of(model_path: str | Path) -> Path:
    """Where the fit of a model file keeps its state: beside it."""
    return Path(f"{model_path}.checkpoint")
