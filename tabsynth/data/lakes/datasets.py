"""A table in many files: folders of Parquet or Arrow files, Hive partitions and globs, read in batches."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
from pyarrow.dataset import IpcFileFormat, ParquetFileFormat, ParquetFragmentScanOptions

from tabsynth.errors import DataError, SourceError, quote

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".arrow": "ipc", ".feather": "ipc"}
"""Format of a file by its suffix; other files of a folder are ignored."""

_FILE_FORMATS = {
    # A buffer holds all that was read of a file until its end.
    "parquet": ParquetFileFormat(default_fragment_scan_options=ParquetFragmentScanOptions(pre_buffer=False)),
    "ipc": IpcFileFormat(),
}


def is_dataset(path: str | Path) -> bool:
    """Return whether a path names many files: it is a folder, or a pattern such as ``visits/*.parquet``."""
    try:
        return Path(path).is_dir() or (glob.has_magic(str(path)) and not Path(path).exists())
    except (OSError, ValueError):
        return False


def read_dataset(path: str | Path) -> pa.Table:
    """Return all rows of the files.

    Raises:
        SourceError: There are no files, or one is damaged.
        DataError: The files have different columns, nested ones or no rows.
    """
    batches = list(dataset_batches(path))
    if not batches:
        raise DataError(f"{str(path)!r} has columns but no rows")
    return pa.Table.from_batches(batches)


def dataset_batches(
    path: str | Path, columns: Sequence[str] | None = None, rows: int = 1 << 16
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the files in batches, file by file in the order of their names.

    Args:
        path: The folder or pattern.
        columns: The columns; all by default.
        rows: Maximum rows of a batch.

    Raises:
        SourceError: There are no files, or one is damaged.
        DataError: The files have different columns, or nested ones.
    """
    dataset = _open(path)
    try:
        # One batch and one file ahead: the default reads ahead as much as it can, and holds it in memory.
        scan = dataset.to_batches(
            columns=None if columns is None else list(columns),
            batch_size=rows,
            batch_readahead=1,
            fragment_readahead=1,
        )
        yield from (batch for batch in scan if batch.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"a file of {str(path)!r} is damaged or cut short: {error}") from error


def dataset_names(path: str | Path) -> list[str]:
    """Return the columns of the files, partitions last."""
    return list(_open(path).schema.names)


def _open(path: str | Path) -> pyarrow.dataset.Dataset:
    files = _files(Path(path))
    kinds = {FORMATS[file.suffix.lower()] for file in files}
    if len(kinds) > 1:
        raise SourceError(f"{str(path)!r} has files of Parquet and of Arrow; name one kind, such as '*.parquet'")
    base = Path(path) if Path(path).is_dir() else _fixed_part(Path(path))
    try:
        names, form = [str(file) for file in files], _FILE_FORMATS[kinds.pop()]
        place = {"partitioning": "hive", "partition_base_dir": str(base)}
        dataset = pyarrow.dataset.dataset(names, format=form, **place)
        parts = [fragment.physical_schema for fragment in dataset.get_fragments()]
        schema = pa.unify_schemas([*parts, dataset.schema], promote_options="permissive")
        dataset = pyarrow.dataset.dataset(names, schema=schema, format=form, **place)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"the files of {str(path)!r} are damaged, or not of one table: {error}") from error
    for file, part in zip(files, parts, strict=True):
        if sorted(part.names) != sorted(parts[0].names):
            odd = sorted({*part.names} ^ {*parts[0].names}) or part.names
            raise DataError(
                f"{str(files[0])!r} and {str(file)!r} have different columns: {quote(odd)}; give every file the same"
            )
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested:
        raise DataError(f"{str(path)!r} has nested columns: {quote(nested)}; flatten or drop them")
    return dataset


def _files(path: Path) -> list[Path]:
    """Return the files in the order of their names; hidden ones are left out."""
    found = path.rglob("*") if path.is_dir() else map(Path, glob.iglob(str(path), recursive=True))  # noqa: PTH207 - an absolute pattern
    base = path if path.is_dir() else _fixed_part(path)
    files = sorted(
        file
        for file in found
        if file.suffix.lower() in FORMATS
        and file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(base).parts)
    )
    if not files:
        raise SourceError(f"{str(path)!r} matches no file that ends in {', '.join(FORMATS)}; correct the pattern")
    return files


def _fixed_part(pattern: Path) -> Path:
    """Return the folder of a pattern before its first wildcard."""
    parts = pattern.parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:fixed]) if fixed else Path()
