"""Read small input files strictly: regular files, of limited size and depth, without duplicate keys."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tabsynth.common.text import is_unicode
from tabsynth.errors import InputError, SourceError

MAX_BYTES = 1 << 26
MAX_DEPTH = 100
MAX_NODES = 5_000_000
"""Values in a document, those behind an alias counted each time."""


def check_regular_file(path: str | Path, what: str = "") -> None:
    """Raise SourceError unless a path is a regular file: reading a pipe or a device may never end."""
    name = f"the {what} {str(path)!r}" if what else repr(str(path))
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError as error:
        raise SourceError(f"cannot read {name}: there is no such file; check the path") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(mode):
        raise SourceError(f"cannot read {name}: it is a folder; give a file")
    if not stat.S_ISREG(mode):
        raise SourceError(f"cannot read {name}: it is a pipe or a device; save its content as a file")


def read_text(path: str | Path, what: str) -> str:
    """Return the UTF-8 text of a small file.

    Args:
        path: The file.
        what: Its content, for messages ("schema").

    Raises:
        SourceError: The file cannot be read, is too large, or is not UTF-8.
    """
    check_regular_file(path, what)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SourceError(f"the {what} {str(path)!r} has more than {MAX_BYTES >> 20} MB; is it another file?")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read the {what} {str(path)!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"the {what} {str(path)!r} is not UTF-8 text: {error}") from error


def read_json(path: str | Path, what: str) -> Any:
    """Return the data of a JSON file, strictly.

    Raises:
        SourceError: The file cannot be read, or is not JSON.
    """
    try:
        return parse_json(read_text(path, what))
    except ValueError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"the {what} {str(path)!r} is not JSON: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Parse JSON without duplicate keys, non-finite numbers, or deep nesting.

    Raises:
        ValueError: The text is not such JSON.
    """
    try:
        data = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_reject_constant)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from error
    check_plain(data)
    return data


def check_plain(data: Any) -> None:
    """Raise ValueError for numbers beyond float64, invalid Unicode, and too deep or too large structures."""
    level: Iterable[Any] = [data]
    nodes = 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            nodes += 1
            if isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, (list, tuple, set)):
                below += value
            elif isinstance(value, str) and not is_unicode(value):
                raise ValueError(f"the text {value[:60]!a} is not valid Unicode (half of a surrogate pair)")
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"the number {value} is not finite")
            elif isinstance(value, int) and abs(value) >= 2**1023:
                raise ValueError(f"a number of {len(str(value)[:400])} or more digits is too large")
            if nodes + len(below) > MAX_NODES:
                raise ValueError(f"it holds more than {MAX_NODES:,} values")
        if not below:
            return
        level = below
    raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def check_depth(data: Any, what: str, error: type[InputError] = InputError) -> None:
    """Raise an error of a type if data of the caller is nested too deep to be compared, copied or shown.

    Args:
        data: Plain data; its containers are dictionaries, lists, tuples and sets.
        what: Its name, for the message.
        error: The type.
    """
    containers = (Mapping, list, tuple, set, frozenset)
    level = [data] if isinstance(data, containers) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        inner = (item for value in level for item in (value.values() if isinstance(value, Mapping) else value))
        level = list({id(item): item for item in inner if isinstance(item, containers)}.values())
    raise error(f"{what} is nested deeper than {MAX_DEPTH} levels; is it other data?")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is given twice")
    return out


def _reject_constant(text: str) -> Any:
    raise ValueError(f"the number {text} is not finite")
