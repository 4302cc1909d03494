"""Format and default separator of a table's file, by its suffix."""

from __future__ import annotations

from pathlib import Path

from tabsynth.errors import SourceError

SUFFIXES = {
    ".csv": "csv", ".csv.gz": "csv", ".tsv": "csv", ".tsv.gz": "csv",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xlsm": "excel",
}  # fmt: skip


def file_format(path: Path) -> str:
    """``csv``, ``parquet`` or ``excel``, by the suffix.

    Raises:
        SourceError: Unknown suffix.
    """
    name = path.name.lower()
    kind = next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), None)
    if kind is None:
        raise SourceError(f"{str(path)!r} is of an unknown kind; known suffixes are {', '.join(SUFFIXES)}")
    return kind


def default_separator(path: Path) -> str:
    """Default field separator of a CSV file."""
    return "\t" if ".tsv" in path.name.lower() else ","
