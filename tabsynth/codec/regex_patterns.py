"""Convert a regular expression to an identifier pattern whose texts it matches in full."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby, product
from string import ascii_letters, digits, printable
from typing import Any

from tabsynth.codec.identifier_patterns import Form, Pattern
from tabsynth.errors import SchemaError

MAX_SPELLINGS = 2048
MAX_EXTRA_REPEATS = 8
"""Maximum repetitions of ``*``, ``+`` and ``{m,}`` beyond their minimum."""

CATEGORY_CHARACTERS = {
    "CATEGORY_DIGIT": digits,
    "CATEGORY_WORD": ascii_letters + digits + "_",
    "CATEGORY_SPACE": " ",
}
ANY_CHARACTERS = "".join(char for char in printable if not char.isspace())
"""The characters of ``.`` and negated classes."""

Places = tuple[str, ...]


def parse_regex(regex: str) -> Pattern:
    r"""Expand a simple regular expression into forms.

    Supported are literals, classes, ``.``, ``\d``, ``\w``, ``\s``, groups, ``|``, ``?``, ``*``, ``+`` and ``{m,n}``,
    and the anchors of the whole.

    Raises:
        SchemaError: The expression is malformed, uses anything else, or has too many spellings.

    Example:
        >>> [form.capacity for form in parse_regex(r"[AB]-\d{2,3}").forms]
        [200, 2000]
    """
    # The parser of the standard library, because no other one agrees with ``re`` in all cases.
    from re import _parser  # type: ignore[attr-defined]

    try:
        spellings = _spellings(_parser.parse(regex), regex)
    except (re.error, RecursionError, OverflowError, TypeError) as error:
        raise SchemaError(f"the pattern {regex!r} is not a regular expression: {error}") from error
    forms = tuple(
        Form(1.0, tuple((chars, len(list(run))) for chars, run in groupby(places)))
        for places in dict.fromkeys(spellings)
        if all(places)
    )
    if not forms:
        raise SchemaError(f"the pattern {regex!r} matches no printable text; allow some characters")
    return Pattern(forms, declared=True)


def _spellings(nodes: Iterable[tuple[Any, Any]], regex: str) -> list[Places]:
    """Return all sequences of character sets of parsed nodes."""
    out: list[Places] = [()]
    for node, value in nodes:
        name = str(node)
        options = _options(name, value, regex)
        if len(out) * len(options) > MAX_SPELLINGS:
            raise SchemaError(f"the pattern {regex!r} has more than {MAX_SPELLINGS} spellings; make it simpler")
        out = [left + right for left, right in product(out, options)]
    return out


def _options(name: str, value: Any, regex: str) -> list[Places]:
    """Return all sequences of character sets of one parsed node."""
    if name == "LITERAL":
        return [(chr(value),)]
    if name == "NOT_LITERAL":
        return [(ANY_CHARACTERS.replace(chr(value), ""),)]
    if name == "ANY":
        return [(ANY_CHARACTERS,)]
    if name == "IN":
        return [(_characters(value, regex),)]
    if name == "SUBPATTERN" and value[1:3] == (0, 0):
        return _spellings(value[-1], regex)
    if name == "BRANCH":
        return [places for branch in value[1] for places in _spellings(branch, regex)]
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        low, high, inner = value
        once = _spellings(inner, regex)
        high = min(int(high), low + MAX_EXTRA_REPEATS) if str(high) == "MAXREPEAT" else int(high)
        if sum(len(once) ** min(times, 12) for times in range(low, high + 1)) > MAX_SPELLINGS or high > 256:
            raise SchemaError(f"the pattern {regex!r} repeats too often to be expanded; simplify it")
        return [sum(chosen, ()) for times in range(low, high + 1) for chosen in product(once, repeat=times)]
    if name == "AT" and str(value) in ("AT_BEGINNING", "AT_END", "AT_BEGINNING_STRING", "AT_END_STRING"):
        return [()]
    raise SchemaError(
        f"the pattern {regex!r} uses {name.lower()}, which is not supported for identifiers; "
        "use literals, classes, groups, alternatives and counts"
    )


def _characters(items: Iterable[tuple[Any, Any]], regex: str) -> str:
    """Return the characters of a class, each once."""
    chars: list[str] = []
    negated = False
    for node, value in items:
        name = str(node)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            chars.append(chr(value))
        elif name == "RANGE" and value[1] - value[0] < 4096:
            chars += [chr(code) for code in range(value[0], value[1] + 1)]
        elif name == "CATEGORY" and str(value) in CATEGORY_CHARACTERS:
            chars += CATEGORY_CHARACTERS[str(value)]
        elif name == "CATEGORY" and str(value).replace("NOT_", "") in CATEGORY_CHARACTERS:
            excluded = CATEGORY_CHARACTERS[str(value).replace("NOT_", "")]
            chars += [char for char in ANY_CHARACTERS if char not in excluded]
        else:
            raise SchemaError(
                f"the pattern {regex!r} uses a class that is not supported for identifiers; list its letters"
            )
    return "".join(char for char in ANY_CHARACTERS if char not in chars) if negated else "".join(dict.fromkeys(chars))
