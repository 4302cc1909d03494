"""Warnings about features of a worksheet that change or hide cells: formulas, merged cells, hidden rows and columns."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tabsynth.errors import quote, warn_caller

MAX_BYTES = 1 << 28
"""Larger worksheets are read without these warnings."""
FORMULA_WITHOUT_VALUE = re.compile(
    rb'<c r="([A-Z]+)\d+"[^>]*>\s*<f[^>]*?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)
ERROR = re.compile(rb'<c r="([A-Z]+)\d+"[^>]*\bt="e"')
MERGED = re.compile(rb'<mergeCell ref="([A-Z]+)(\d+):([A-Z]+)(\d+)"')
HIDDEN_COLUMN = re.compile(rb'<col [^>]*\bhidden="(?:1|true)"[^>]*>')
HIDDEN_ROW = re.compile(rb'<row [^>]*\bhidden="(?:1|true)"')


def warn_of_features(path: Path, part: str | None, names: Sequence[str]) -> None:
    """Warn of features that a reader of cell values cannot see.

    Args:
        path: The workbook.
        part: The worksheet's file inside the workbook; None if unknown.
        names: The table's columns, in the order of the sheet.
    """
    with zipfile.ZipFile(path) as archive:
        if part is None or archive.getinfo(part).file_size > MAX_BYTES:
            return
        xml = archive.read(part)
    empty = _names([match[1] for match in FORMULA_WITHOUT_VALUE.finditer(xml)], names)
    if empty:
        _warn(path, f"formulas in {quote(empty)} have no stored value and are missing; open and save it in Excel")
    errors = [match[1] for match in ERROR.finditer(xml)]
    if errors:
        _warn(path, f"{len(errors)} cells of {quote(_names(errors, names))} are errors, such as #N/A, and are missing")
    merged = [m for m in MERGED.findall(xml) if int(m[3]) > max(int(m[1]), 1) and _number(m[0]) < len(names)]
    if merged:
        cells = [f"{m[0].decode()}{int(m[1])}:{m[2].decode()}{int(m[3])}" for m in merged]
        _warn(path, f"of the merged cells {quote(cells, 3)}, all but the first are missing; unmerge and fill them")
    hidden: list[str] = []
    for tag in HIDDEN_COLUMN.findall(xml):
        first, last = (int(re.search(key + rb'="(\d+)"', tag)[1]) for key in (b"min", b"max"))  # type: ignore[index]
        hidden += names[first - 1 : last]
    if hidden:
        _warn(path, f"the hidden columns {quote(hidden)} are read too; remove them from the sheet to leave them out")
    rows = len(HIDDEN_ROW.findall(xml))
    if rows:
        _warn(path, f"{rows} hidden or filtered rows are read too; remove them from the sheet to leave them out")


def _warn(path: Path, message: str) -> None:
    warn_caller(f"{path.name}: {message}")


def _names(letters: Sequence[bytes], names: Sequence[str]) -> list[str]:
    places = sorted({_number(letter) for letter in letters})
    return [names[place] for place in places if place < len(names)]


def _number(letters: bytes) -> int:
    """Return the column number from 0 of its letters."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number - 1
