"""Spelling patterns of identifiers, learned from a column.

A pattern is a list of forms. A form lists the characters allowed at each place. A letter or digit is kept literally if
all values of the column share it (the ``rec-`` of ``rec-17``); the rest are classes (digits, letters), and forms of
fewer than ``min_group`` keys are dropped, so no person's key reaches a model file.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, takewhile
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tabsynth.errors import SchemaError

Part = tuple[str, int]
"""Allowed characters, and the number of consecutive places."""

OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
IPV4 = re.compile(rf"{OCTET}(?:\.{OCTET}){{3}}(?:/\d\d?|:\d{{1,5}})?", re.ASCII)
"""An IPv4 address, and a prefix length or a port."""

IPV6_LIKE = re.compile(r"(?=.*:)[\da-f:.%/\[\]]+", re.ASCII | re.IGNORECASE)
"""An IPv6 address, a hardware address or another text of hexadecimal digits and colons."""

MAX_FORMS, MAX_KEY_LENGTH = 64, 1 << 20
MAX_LEARNING_KEYS = 100_000
"""Spellings are learned from about this many keys; common prefixes and suffixes from all."""


@dataclass(frozen=True)
class Form:
    """One spelling: its share of the values, and its characters."""

    weight: float
    parts: tuple[Part, ...]

    @property
    def places(self) -> list[str]:
        """The characters allowed at each place."""
        return [chars for chars, times in self.parts for _ in range(times)]

    @property
    def capacity(self) -> int:
        """Number of distinct keys it can spell."""
        return math.prod(len(chars) ** times for chars, times in self.parts)


@dataclass(frozen=True)
class Pattern:
    """The spelling of a column's keys.

    Attributes:
        forms: The spellings.
        output: Whether a key is text or an integer.
        start: First new key of a column that counts its rows from 0 or 1; None otherwise.
        declared: Whether it comes from a regular expression, and so is never lengthened.
        sizes: Rows per key and the number of such keys; empty if no key repeats.
    """

    forms: tuple[Form, ...]
    output: Literal["text", "integer"] = "text"
    start: int | None = None
    declared: bool = False
    sizes: tuple[tuple[int, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the pattern as plain data."""
        forms = [{"weight": form.weight, "parts": [list(part) for part in form.parts]} for form in self.forms]
        sizes = {"sizes": [list(pair) for pair in self.sizes]} if self.sizes else {}
        return {"forms": forms, "output": self.output, "start": self.start, "declared": self.declared, **sizes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pattern:
        """Rebuild from ``to_dict``.

        Raises:
            SchemaError: Not such a mapping.
        """
        try:
            forms = tuple(
                Form(float(form["weight"]), tuple((str(chars), int(times)) for chars, times in form["parts"]))
                for form in data["forms"]
            )
            sizes = tuple((int(rows), int(keys)) for rows, keys in data.get("sizes", ()))
            lengths = [sum(times for _, times in form.parts) for form in forms]
            counts = [times for form in forms for _, times in form.parts] + [one for pair in sizes for one in pair]
            if max(lengths, default=0) > MAX_KEY_LENGTH or min(counts, default=0) < 0:
                raise ValueError("keys of more characters than a key may have")
            if not forms and type(data["start"]) is not int:
                raise ValueError("no forms")
            if not all(0 < form.weight < math.inf and all(chars for chars, _ in form.parts) for form in forms):
                raise ValueError("forms without keys")
            return cls(forms, data["output"], data["start"], bool(data["declared"]), sizes)
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(f"this is not a pattern of identifiers: {error!r}") from error


def integer_forms(whole: list[int], min_group: int) -> Iterator[Form]:
    """Yield a form for each frequent sign and number of digits."""
    most = max(map(abs, whole))
    lengths = Counter(len(str(abs(number))) * (-1 if number < 0 else 1) for number in whole)
    for signed, count in _frequent_lengths(lengths, min_group).items():
        length = abs(signed)
        parts: tuple[Part, ...] = ((digits[1:], 1), (digits, length - 1)) if length > 1 else ((digits[1:], 1),)
        # 64 bits do not hold every number of 19 digits that begins with a 9, nor, unsigned, of 20 that begin with 18.
        if length == 19 and most < 2**63:
            parts = ((digits[1:-1], 1), (digits, 18))
        elif length == 20 and most < 2**64:
            parts = (("1", 1), (digits[:8], 1), (digits, 18))
        yield Form(float(count), (("-", 1), *parts) if signed < 0 else parts)


def _frequent_lengths(counts: Counter[int], min_group: int) -> dict[int, int]:
    """Return the lengths of at least ``min_group`` keys; otherwise the most common one."""
    frequent = {length: count for length, count in counts.most_common(MAX_FORMS) if count >= min_group}
    return frequent or dict(counts.most_common(1))


def _shapes(text: list[str], *, coarse: bool) -> list[str]:
    """Return each text with its letters and digits replaced by their class: ``aaa-dd``, or ``www-ww`` when coarse."""
    letters, numerals = re.compile(r"[^\W\d_]"), re.compile(r"\d")
    if coarse:
        return [numerals.sub("w", letters.sub("w", value)) for value in text]
    return [numerals.sub("d", letters.sub("a", value)) for value in text]


def text_forms(every: list[str], min_group: int) -> Iterator[Form]:
    """Yield the forms of texts: letters and digits as separate classes if regular, otherwise as one."""
    head, tail = _common_prefix_length(every), _common_prefix_length([value[::-1] for value in every])
    text = every[:: len(every) // MAX_LEARNING_KEYS + 1]
    for coarse in (False, True):
        shapes = _shapes(text, coarse=coarse)
        counts = Counter(shapes)
        frequent = {shape: count for shape, count in counts.most_common(MAX_FORMS) if count >= min_group}
        if sum(frequent.values()) >= 0.95 * len(text):
            break
    classes = _alphabet(set("".join(text)))
    if not frequent:  # hardly two keys share a shape: keep only their typical length
        yield Form(1.0, ((classes or digits, max(int(np.median([len(value) for value in text])), 1)),))
        return
    keys, labels = np.array(text, dtype=object), np.array(shapes, dtype=object)
    is_address = all(IPV4.fullmatch(value) or IPV6_LIKE.fullmatch(value) for value in text)
    for shape, count in frequent.items():
        values = keys[labels == shape].astype(f"<U{len(shape)}")
        grid = values.view("<U1").reshape(len(values), len(shape))
        is_ipv4 = is_address and IPV4.fullmatch(str(values[0])) is not None
        parts = _ipv4_parts(shape, grid, head, tail) if is_ipv4 else _form_parts(shape, grid, head, tail, is_address)
        yield Form(float(count), tuple(parts))


def _common_prefix_length(text: list[str]) -> int:
    """Return the length of the common prefix of all texts."""
    pairs = zip(min(text), max(text), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _ipv4_parts(shape: str, grid: npt.NDArray[np.str_], head: int, tail: int) -> Iterator[Part]:
    """Return the parts of one shape of IPv4 addresses: no number is above 255, no prefix length above 29."""
    at = 0
    for kind, run in groupby(shape):
        begin, at = at, at + len(list(run))
        if at <= head or begin >= len(shape) - tail or not kind.isalnum():
            yield from ((chars, len(list(same))) for chars, same in groupby(map(str, grid[0, begin:at])))
        elif at - begin == 3 and "/" not in shape[:begin] and ":" not in shape[:begin]:
            first = "".join(sorted(set(np.unique(grid[:, begin]).tolist())))
            yield from ((first, 1), (digits[:5] if "2" in first else digits, 1), (digits, 1))
        else:
            leading = {"/": digits[1:3], ":": digits[1:6]}.get(shape[begin - 1 : begin], digits[1:])
            yield from ((leading if at - begin > 1 else digits, 1), (digits, at - begin - 1))[: at - begin]


def _form_parts(shape: str, grid: npt.NDArray[np.str_], head: int, tail: int, is_hex: bool = False) -> Iterator[Part]:
    """Return the parts of one shape; ``grid`` has its keys' characters, ``head`` and ``tail`` count shared ones."""
    at = 0
    for kind, run in groupby(shape):
        begin, at = at, at + len(list(run))
        shared = at <= head or begin >= len(shape) - tail
        if shared or not kind.isalnum():
            yield from ((chars, len(list(same))) for chars, same in groupby(map(str, grid[0, begin:at])))
            continue
        seen = set(np.unique(grid[:, begin:at]).tolist())
        chars = _alphabet(seen)
        if is_hex:
            chars = "".join(char for char in chars if char.lower() in "0123456789abcdef")
        own = digits_of(seen)
        if is_hex and shape[:begin].endswith("]:"):  # a port
            yield digits[1:6], 1
            begin += 1
        elif kind == "d" and at - begin > 1 and not (grid[:, begin] == own[0]).any():
            yield own[1:], 1
            begin += 1
        if begin < at:
            yield chars, at - begin


def digits_of(seen: set[str]) -> str:
    """Return the ten digits of the script whose digits were seen, such as Arabic or full-width ones; else 0 to 9."""
    zeros = {ord(char) - unicodedata.decimal(char) for char in seen if char.isdecimal()}
    return "".join(chr(zero + value) for zero in zeros for value in range(10)) if len(zeros) == 1 else digits


def _alphabet(seen: set[str]) -> str:
    """Return the letters and digits of the classes seen; hexadecimal where only those letters are."""
    out = digits_of(seen) if any(char.isdigit() for char in seen) else ""
    letters = {char for char in seen if char.isalpha()}
    few = bool(out) and len(letters) > 2 and letters <= set("abcdefABCDEF")
    if any(not char.isupper() for char in letters):
        out += ascii_lowercase[:6] if few else ascii_lowercase
    if any(char.isupper() for char in letters):
        out += ascii_uppercase[:6] if few else ascii_uppercase
    return out
