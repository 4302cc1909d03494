"""Read the file of a private fit: the header is public, and any content gives a table.

Each line of a CSV file is parsed independently of all others: an unclosed quote ends with its line, bytes that are not
UTF-8 become a replacement character, and a line with fewer fields than the header is dropped (so are the lines of a
cell with a line break: write such tables as Parquet).
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tabsynth.common.formula_cells import unmark_formula
from tabsynth.common.input_files import check_regular_file
from tabsynth.data.file_formats import is_gzip
from tabsynth.data.provenance import attach_provenance, from_metadata, read_sidecar
from tabsynth.errors import DataError, SchemaError, SourceError, quote

DELIMITERS = ",;\t|"
"""Tried in order; the first that splits the header into the declared names is used."""

_LINE_END = re.compile(rb"\r\n|\r|\n")

MAX_LINE_CHARACTERS = 100_000
"""Longer lines are dropped: the standard library's reader rejects longer fields."""


def read_private(path: Path, declared: Iterable[str]) -> pd.DataFrame:
    """Read a CSV file as text, or a Parquet file, missing as None.

    Args:
        path: A CSV file (also with ``.gz``) or a Parquet file.
        declared: The columns of the schema, which the file must have.

    Raises:
        DataError: A file of another kind, or one that cannot be read as its name says.
        SchemaError: The first line of a CSV file does not name the declared columns.
        SourceError: The file is not there or not readable.
    """
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv", ".gz"):
        raise DataError(f"a private fit reads CSV and Parquet, not {str(path)!r}; read it yourself and pass the frame")
    check_regular_file(path)
    if suffix == ".parquet":
        return _read_parquet(path, set(declared))
    try:
        data = path.read_bytes()
        if is_gzip(path):
            data = gzip.decompress(data)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{str(path)!r} cannot be decompressed; compress the table again") from error
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    return attach_provenance(_parse_lines(data.removeprefix(b"\xef\xbb\xbf"), path, set(declared)), read_sidecar(path))


def _parse_lines(data: bytes, path: Path, declared: set[str]) -> pd.DataFrame:
    """Parse the lines of a CSV file."""
    end = _LINE_END.search(data)
    header, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    headers = {sign: _split_line(header, sign) or [] for sign in DELIMITERS}
    delimiter = next((sign for sign, names in headers.items() if sorted(names) == sorted(declared)), DELIMITERS[0])
    names = headers[delimiter]
    if sorted(names) != sorted(declared):
        # The message must not quote it: without a header, the first line is a row.
        raise SchemaError(
            f"the first line of {str(path)!r} does not name the schema's {len(declared)} columns: it has {len(names)} "
            f"fields, and {quote(sorted(declared - set(names))) or 'none'} of the schema is not among them"
        )
    lines = body.split(b"\r" if end and end[0] == b"\r" else b"\n")
    rows = list(_complete_rows(lines, delimiter, len(names)))
    return pd.DataFrame({n: pd.Series([row[i] or None for row in rows], dtype=object) for i, n in enumerate(names)})


def _complete_rows(lines: Iterable[bytes], delimiter: str, width: int) -> Iterator[list[str]]:
    """Yield the fields of each line with as many as the header; further empty ones are ignored."""
    for line in lines:
        fields = _split_line(line, delimiter)
        if fields is not None and len(fields) >= width and not any(fields[width:]):
            yield fields[:width]


def _split_line(line: bytes, delimiter: str) -> list[str] | None:
    """Split one line; None if it is empty or too long."""
    text = line.decode("utf-8", errors="replace").removesuffix("\r").replace("\r", " ")
    if not text or len(text) > MAX_LINE_CHARACTERS:
        return None
    fields = text.split(delimiter) if '"' not in text else next(csv.reader([text], delimiter=delimiter), None)
    return None if fields is None else [unmark_formula(field) for field in fields]


def _read_parquet(path: Path, declared: set[str]) -> pd.DataFrame:
    """Read a Parquet file; no cell affects the type of its column."""
    try:
        table = pyarrow.parquet.read_table(path)
    except FileNotFoundError as error:
        raise SourceError(f"cannot read {str(path)!r}: there is no such file") from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{str(path)!r} cannot be read as Parquet; write the table again") from error
    kept = [name for name in table.column_names if name in declared or not name.startswith("__index_level_")]
    columns = [_to_series(table.column(name)).rename(name) for name in kept]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    return attach_provenance(frame, from_metadata(table.schema))


def _to_series(values: pa.ChunkedArray) -> pd.Series:
    """Convert a column: integers stay integers, dates may have any year, and text any bytes."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s") if pa.types.is_date32(values.type) else pa.timestamp("ms"))
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        cells = [
            None if cell is None else cell.decode("utf-8", "replace") for cell in values.cast(pa.binary()).to_pylist()
        ]
        return pd.Series(cells, dtype=object)
    return pd.Series(values.to_pandas(types_mapper=_NULLABLE_TYPES.get))


_NULLABLE_TYPES = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(), pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(),
}  # fmt: skip
