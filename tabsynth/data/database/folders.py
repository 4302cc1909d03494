"""Read and write a folder of tables, one file each, named after the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet

from tabsynth.common.atomic_files import put_in_place, restore_previous, temporary_folder
from tabsynth.data.file_formats import SUFFIXES, EmptyTableError
from tabsynth.data.read_write import read, read_partial, write, write_chunks
from tabsynth.errors import SourceError, quote, warn_caller
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

UNREAD = (".xls", ".xlsb", ".ods", ".sav", ".dta", ".sas7bdat", ".csv.zip", ".csv.bz2", ".csv.xz", ".csv.zst")
"""Suffixes of tables that are not read."""
FORMATS = ("parquet", "csv")
"""Formats in which a folder is written."""


def holds_linked_tables(path: str | Path) -> bool:
    """Return whether a path is a folder of several tables, not one table in parts.

    A folder whose files are all Parquet with the same columns, or are in subfolders only, is one table, as in ``read``.
    """
    folder = Path(path)
    if not _is_folder(folder):
        return False
    files = [file for file in sorted(folder.iterdir()) if table_name(file) is not None]
    if not all(file.suffix.lower() in (".parquet", ".pq") for file in files):
        return True
    try:
        return len({tuple(sorted(pyarrow.parquet.read_schema(file).names)) for file in files}) > 1
    except (pyarrow.ArrowInvalid, OSError):
        return True  # the reader names the damaged file


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def table_files(folder: str | Path) -> dict[str, Path]:
    """Return the files of the tables in a folder, by the table's name; files of other kinds are ignored.

    Raises:
        SourceError: Not a folder, no table in it, or two files of one name.
    """
    source = Path(folder)
    if not _is_folder(source):
        raise SourceError(f"{str(source)!r} is not a folder of tables; name a folder with one file for each table")
    out: dict[str, Path] = {}
    for path in sorted(source.iterdir()):
        name = table_name(path)
        if name is None:
            continue
        if name in out:
            raise SourceError(f"{out[name].name!r} and {path.name!r} are both the table {name!r}; remove one of them")
        out[name] = path
    if not out:
        raise SourceError(f"the folder {str(source)!r} has no tables: no file ends in {', '.join(SUFFIXES)}")
    return out


def table_name(path: Path) -> str | None:
    """Return the name of the table that a file holds; None for other files."""
    lower = path.name.lower()
    suffix = max((s for s in SUFFIXES if lower.endswith(s)), key=len, default=None)
    if suffix is None or path.name.startswith((".", "~")) or not path.is_file():
        return None
    return path.name[: -len(suffix)] or None


def read_folder(
    folder: str | Path, schema: DatabaseSchema | None = None, options: Mapping[str, Any] | None = None
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
    """Read the tables of a folder.

    Args:
        folder: The folder.
        schema: The schema of the database, to which columns are cast; proposed by default.
        options: Keyword arguments of ``read``.

    Returns:
        The tables by name, and their schema. A table without rows is read where the schema is given.

    Raises:
        SourceError: Not a folder of tables, or a table of the schema is missing.
        InputError: A table cannot be read, or does not fit the schema.
    """
    files = table_files(folder)
    unread = [path.name for path in sorted(Path(folder).iterdir()) if path.name.lower().endswith(UNREAD)]
    if unread:
        warn_caller(f"{quote(unread, 3)} in {str(folder)!r} are not read; save them as CSV, Parquet or .xlsx")
    if schema is not None:
        missing = [name for name in schema.tables if name not in files]
        if missing:
            raise SourceError(f"the folder {str(folder)!r} has no tables {quote(missing)}; it has {quote(files, 20)}")
        return {name: _read_table(files[name], schema.tables[name], options) for name in schema.tables}, schema
    tables = {name: read(path, **(options or {})) for name, path in files.items()}
    frames = {name: table.frame for name, table in tables.items()}
    return frames, DatabaseSchema.infer(frames, {name: table.schema for name, table in tables.items()})


def _read_table(path: Path, schema: Schema, options: Mapping[str, Any] | None) -> pd.DataFrame:
    try:
        return read_partial(path, schema, options).frame
    except EmptyTableError:
        kinds = {name: _DTYPES.get(column.kind, "object") for name, column in schema.items()}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


_DTYPES = {"numeric": "float64", "datetime": "datetime64[ns]"}
"""Data types of columns without rows; object for all other kinds."""


def check_folder_output(folder: str | Path, tables: tuple[str, ...], format: str) -> None:
    """Raise early when a folder of tables could not be written later.

    Raises:
        SourceError: The parent folder is missing or not writable, a file is there, or the folder holds other files.
    """
    target = Path(os.path.realpath(folder))
    if format not in FORMATS:
        raise SourceError(f"a folder of tables is written as {' or '.join(FORMATS)}, not as {format!r}")
    if odd := [name for name in tables if name[:1] in ("", ".", "~") or "/" in name or "\0" in name]:
        raise SourceError(f"no file can be named after the tables {quote(odd, 3)}; rename them")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise SourceError(f"cannot write {str(folder)!r}: {str(target.parent)!r} is not there, or not writable")
    if not target.exists():
        return
    if not target.is_dir():
        raise SourceError(f"cannot write the folder {str(folder)!r}: a file of this name exists")
    other = [path.name for path in sorted(target.iterdir()) if table_name(path) not in tables]
    if other:
        raise SourceError(
            f"cannot replace the folder {str(folder)!r}: it holds {quote(other, 3)}, which is not a table of this "
            "database; choose another folder"
        )


def write_folder(
    tables: Mapping[str, pd.DataFrame],
    folder: str | Path,
    schema: DatabaseSchema | None = None,
    format: str = "parquet",
    *,
    keep_formulas: bool = False,
) -> None:
    """Write tables into a folder, one file each; the folder appears at the end.

    A folder that exists is replaced if it is empty or holds tables of these names only.

    Args:
        tables: The tables by name.
        folder: The folder to write.
        schema: Decides the formats of dates in CSV.
        format: ``parquet`` or ``csv``.
        keep_formulas: As for ``write``.

    Raises:
        SourceError: The folder cannot be written, or holds other files.
    """
    check_folder_output(folder, tuple(tables), format)
    with replace_folder(folder) as aside:
        for name, frame in tables.items():
            own = None if schema is None else schema.tables.get(name)
            write(frame, aside / f"{name}.{format}", own, keep_formulas=keep_formulas)


@contextmanager
def write_folder_chunks(
    folder: str | Path,
    schema: DatabaseSchema,
    format: str = "parquet",
    *,
    keep_formulas: bool = False,
) -> Iterator[Callable[[Mapping[str, pd.DataFrame]], None]]:
    """Write the tables of a database chunk by chunk into a folder, which appears at the end.

    Args:
        folder: As for ``write_folder``.
        schema: The schema of the database; decides the formats of dates in CSV.
        format: ``parquet`` or ``csv``.
        keep_formulas: As for ``write``.

    Raises:
        SourceError: The folder cannot be written, or holds other files.
        DataError: A chunk of a table differs from its first in columns or types.

    Example:
        with write_folder_chunks("synthetic", model.schema_) as append:
            for tables in model.sample_chunks(1_000_000):
                append(tables)
    """
    check_folder_output(folder, tuple(schema.tables), format)
    with replace_folder(folder) as aside, ExitStack() as stack:
        writers: dict[str, Callable[[pd.DataFrame], None]] = {}

        def append(tables: Mapping[str, pd.DataFrame]) -> None:
            for name, frame in tables.items():
                if name not in writers:
                    file = write_chunks(aside / f"{name}.{format}", schema.tables[name], keep_formulas=keep_formulas)
                    writers[name] = stack.enter_context(file)
                writers[name](frame)

        yield append


@contextmanager
def replace_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder; on success it takes the place of ``folder``, on failure it is removed."""
    target = Path(os.path.realpath(folder))
    restore_previous(target)
    with temporary_folder(f".{target.name[:32]}.", target) as aside:
        yield aside
        aside.chmod(0o755)
        put_in_place(aside, target)
