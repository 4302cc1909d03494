"""Detect the encoding and the field separator of a CSV file."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.common.process_state import large_csv_fields
from tabsynth.data.encodings.detection import ENCODINGS, detect_encoding
from tabsynth.data.file_formats import is_gzip, open_text
from tabsynth.errors import DataError, SourceError, quote, warn_caller

N_SAMPLED_BYTES = 1 << 18
N_SAMPLED_LINES = 50
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

OTHER_SEPARATORS = "^~:\x01\x1f"
"""Separators that are not detected; a warning names one that splits all lines alike."""
OTHER_CONTENT = {
    b"PK\x03\x04": "a workbook or another ZIP archive", b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "a gzip archive", b"PAR1": "Parquet", b"%PDF": "PDF", b"SQLite format 3": "an SQLite database",
    b"<!doctype": "HTML", b"<html": "HTML", b"<table": "HTML", b"<?xml": "XML", b"[{": "JSON", b'{"': "JSON",
}  # fmt: skip
"""First bytes of files that are not CSV files, even if the suffix says so."""
MIN_NUL_SHARE = 0.2
"""Of the even or odd bytes, if ASCII is written in two bytes a character."""

TWICE = 'write quotes inside a field twice ("")'
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
SEPARATOR_LINE = re.compile("\ufeff?sep=([^\r\n])\r?\n")


@dataclass(frozen=True)
class Dialect:
    """Encoding and field separator of a CSV file.

    Attributes:
        separator: Field separator.
        encoding: Python's name of the encoding.
        declared_separator: Whether the first line is Excel's ``sep=;``, which is not a row.
        escaped: Whether quotes inside quoted fields follow a backslash; by default they are doubled.
    """

    separator: str
    encoding: str = "utf-8"
    declared_separator: bool = False
    escaped: bool = False

    def records(self, lines: Iterable[str], *, strict: bool = False) -> Iterator[list[str]]:
        """Parse lines; ``strict`` raises for text after a closing quote and for an unclosed one."""
        return csv.reader(lines, delimiter=self.separator, escapechar="\\" if self.escaped else None, strict=strict)


def detect_dialect(path: Path, separator: str | None, encoding: str | None, *, usual: str) -> Dialect:
    """Detect the properties that are not given; a warning names an unusual encoding or separator.

    Args:
        path: The file, possibly compressed.
        separator: Field separator; None detects it.
        encoding: Encoding; None detects it.
        usual: The default separator of the file's suffix.

    Raises:
        SourceError: Unknown or undetectable encoding, or a separator that is not a single character.
        DataError: Backslashes precede quotes, and other characters too.
    """
    dialect, note = _detect(path, separator, encoding, usual)
    if note:
        warn_caller(f"{path.name} is read as {note}")
    return dialect


def _detect(path: Path, separator: str | None, encoding: str | None, usual: str) -> tuple[Dialect, str]:
    """Return the properties of a file, and what is unusual about them; see ``detect_dialect``."""
    check_separator(separator)
    sample, whole = _read_sample(path)
    _check_content(path, sample)
    detected = _detect_encoding(path, sample, whole) if encoding is None else _normalise_encoding(encoding)
    text = codecs.getincrementaldecoder(detected)(errors="replace").decode(sample)
    line = SEPARATOR_LINE.match(text)
    mark = separator or (line[1] if line else _detect_separator(text, usual, whole=whole))
    notes = [f"encoded in {detected}"] if encoding is None and detected not in ("utf-8", "utf-8-sig") else []
    notes += (
        [f"separated by {SEPARATORS.get(mark, repr(mark))}"]
        if separator is None and line is None and mark != usual
        else []
    )
    dialect = Dialect(mark, detected, line is not None)
    if _has_escaped_quotes(_complete_lines(text, whole=whole), dialect):
        dialect = replace(dialect, escaped=True)
        notes.append('having backslashes before quotes inside fields (\\")')
        _check_escapes(path, dialect)
    if not notes and separator is None and (other := _other_separator(text)):
        return dialect, f"a single column: if {other!r} separates fields, give separator={other!r}"
    if not notes or (dialect.escaped and len(notes) == 1):
        return dialect, "".join(notes)
    options = "encoding= or separator= (--encoding, --separator)"
    return dialect, f"{' and '.join(notes)}; give {options} where that is wrong"


def check_separator(separator: str | None) -> None:
    """Raise SourceError for a separator that is not a single character."""
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n'):
        raise SourceError(f"separator must be one character such as ';', not {separator!r}")


def separator_of(path: Path, *, usual: str) -> str:
    """Return the detected separator of a file that was read before."""
    return _detect(path, None, None, usual)[0].separator


def _read_sample(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, and whether they are all of it."""
    try:
        with path.open("rb") as file:
            unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_gzip(path) else file
            sample = unpacked.read(N_SAMPLED_BYTES)
            return sample, not unpacked.read(1)
    except (OSError, EOFError) as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}; the file may be damaged or cut short") from error


def _check_content(path: Path, sample: bytes) -> None:
    """Raise SourceError for a file of another kind."""
    start = sample[:64].removeprefix(codecs.BOM_UTF8).lstrip()
    known = (what for mark, what in OTHER_CONTENT.items() if start.lower().startswith(mark.lower()))
    if (what := next(known, None)) is not None:
        raise SourceError(f"{str(path)!r} has the suffix of a CSV file, but it contains {what}; give it its own suffix")


def _normalise_encoding(encoding: str) -> str:
    """Return Python's name of an encoding."""
    try:
        return codecs.lookup(encoding).name
    except (LookupError, TypeError) as error:
        raise SourceError(f"encoding {encoding!r} is not known; give one such as 'utf-8' or 'cp1252'") from error


def _detect_encoding(path: Path, sample: bytes, whole: bool) -> str:
    """Return the encoding of a file's first bytes."""
    if sample.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # UTF-16 without a byte order mark: the high byte of most characters is zero.
    nul = [sample[first::2].count(0) > MIN_NUL_SHARE * len(sample) / 2 for first in (0, 1)]
    if any(nul) and not all(nul) and not (whole and len(sample) % 2):
        return "utf-16-be" if nul[0] else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=whole)
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    best = detect_encoding(sample, whole=whole)
    if best is None:
        raise SourceError(
            f"{str(path)!r} is not UTF-8, and its encoding cannot be detected; give it, such as encoding='cp1252' or "
            f"one of {quote(ENCODINGS[:6], 6)}, or save the file as UTF-8"
        )
    return codecs.lookup(best).name


def _detect_separator(text: str, usual: str, *, whole: bool) -> str:
    """Return the usual separator if it splits the first lines, else the one that gives most fields."""
    lines = text.splitlines(keepends=True)[:N_SAMPLED_LINES]
    lines = lines if whole and len(lines) < N_SAMPLED_LINES else lines[:-1] or lines
    widths = {mark: _count_fields(lines, mark) for mark in dict.fromkeys((usual, *SEPARATORS))}
    if widths[usual] > 1:
        return usual
    return max(widths, key=lambda mark: widths[mark])


def _other_separator(text: str) -> str | None:
    """Return a separator that is not detected and splits all first lines alike, if no other does."""
    lines = text.splitlines()[:N_SAMPLED_LINES][:-1]
    if len(lines) < 3 or any(mark in lines[0] for mark in SEPARATORS):
        return None
    alike = (mark for mark in OTHER_SEPARATORS if len({line.count(mark) for line in lines}) == 1 and mark in lines[0])
    return next(alike, None)


def _count_fields(lines: list[str], separator: str) -> int:
    """Return the fields of every record; 1 if records differ."""
    dialect = Dialect(separator)
    dialect = replace(dialect, escaped=_has_escaped_quotes(lines, dialect))
    try:
        records = [record for record in dialect.records(lines) if record]
    except csv.Error:
        return 1
    widths = {len(record) for record in records[:-1] or records}
    if len(records) > 1 and len(records[0]) > 1 and separator == ",":
        return len(records[0])  # a ragged row has a separate error
    return widths.pop() if len(widths) == 1 else 1


def _complete_lines(text: str, *, whole: bool) -> list[str]:
    """Return the lines of a sample, without the last one that may be cut."""
    lines = io.StringIO(text, newline="").readlines()
    return lines if whole else lines[:-1]


def _has_escaped_quotes(lines: list[str], dialect: Dialect) -> bool:
    """Return whether lines are well-formed only if a quote after a backslash is part of its field."""
    if not any('\\"' in line for line in lines):
        return False
    return not _is_well_formed(lines, dialect) and _is_well_formed(lines, replace(dialect, escaped=True))


def _is_well_formed(lines: list[str], dialect: Dialect) -> bool:
    """Return whether all records have the same width, and quotes begin and end fields."""
    widths: set[int] = set()
    try:
        for record in dialect.records(lines, strict=True):
            widths.add(len(record) if record else max(widths, default=0))
    except csv.Error as error:
        if "unexpected end" not in str(error):  # the last record of a sample may be cut
            return False
    return len(widths) == 1


def _check_escapes(path: Path, dialect: Dialect) -> None:
    """Raise DataError if backslashes precede other characters than quotes and backslashes."""
    try:
        with open_text(path, dialect.encoding) as text:
            for number, line in enumerate(text, start=1):
                other = next((match[0] for match in ESCAPE.finditer(line) if match[1] not in '"\\'), None)
                if other is not None:
                    raise DataError(
                        f"{str(path)!r}, line {number}: backslashes are before quotes inside fields, and here in "
                        f"{other!r}: such files are read in several ways; {TWICE}, and single backslashes"
                    )
    except (OSError, EOFError, UnicodeDecodeError):
        return  # reading it reports the cause


@large_csv_fields.made()
def check_quotes(path: Path, dialect: Dialect, table: pa.Table) -> None:
    """Raise DataError at the first text after a closing quote, which readers join to the field.

    Such a quote follows a backslash, so that only a table with both is checked.
    """
    if dialect.escaped or not all(_contains(table, mark) for mark in ('"', "\\")):
        return
    with open_text(path, dialect.encoding) as text:
        records = csv.reader(text, delimiter=dialect.separator, strict=True)
        if dialect.declared_separator:
            text.readline()
        try:
            for _ in records:
                pass
        except csv.Error as error:
            line = records.line_num + dialect.declared_separator
            raise DataError(f"{str(path)!r}, line {line}: text follows the end of a quoted field; {TWICE}") from error


def _contains(table: pa.Table, mark: str) -> bool:
    return any(pc.any(pc.match_substring(column, mark)).as_py() for column in table.columns)
