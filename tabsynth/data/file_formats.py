"""Format and default separator of a table's file, by its suffix."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, cast

import pyarrow as pa

from tabsynth.errors import DataError, SourceError

SUFFIXES = {
    ".csv": "csv", ".csv.gz": "csv", ".tsv": "csv", ".tsv.gz": "csv",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xlsm": "excel",
    ".arrow": "arrow", ".feather": "arrow", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip


class EmptyTableError(DataError):
    """A file with columns but no rows."""


def file_format(path: Path) -> str:
    """Return ``csv``, ``parquet``, ``excel``, ``arrow`` or ``json`` (lines), by the suffix.

    Raises:
        SourceError: Unknown suffix.
    """
    name = path.name.lower()
    kind = next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), None)
    if kind is None:
        raise SourceError(f"{str(path)!r} is of an unknown kind; known suffixes are {', '.join(SUFFIXES)}")
    return kind


def default_separator(path: Path) -> str:
    """Return the default field separator of a CSV file."""
    return "\t" if ".tsv" in path.name.lower() else ","


@contextmanager
def open_binary(path: Path, mode: Literal["rb", "wb"], *, packed: bool) -> Iterator[IO[bytes]]:
    """Open a plain or gzip file; without name and date, equal tables are equal files."""
    with path.open(mode) as file:
        if not packed:
            yield file
            return
        with gzip.GzipFile(filename="", mode=mode, fileobj=file, compresslevel=6, mtime=0) as unpacked:
            yield cast("IO[bytes]", unpacked)


def is_gzip(path: Path) -> bool:
    """Return whether the suffix says that a file is compressed, in capitals too."""
    return path.name.lower().endswith(".gz")


def arrow_stream(path: Path) -> pa.NativeFile:
    """Open a plain or gzip file for Arrow, which itself recognises gzip only by a suffix in lower case."""
    return pa.input_stream(str(path), compression="gzip" if is_gzip(path) else None)


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Open a CSV file, possibly compressed, as text with its own line ends and without a byte order mark."""
    with (
        open_binary(path, "rb", packed=is_gzip(path)) as file,
        io.TextIOWrapper(file, encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as text,
    ):
        yield text
