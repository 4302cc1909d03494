"""Formulas in the expression language in which a schema declares rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tabsynth.relations.formulas.expressions import Formula, divisor_of

MAX_CASES = 40
"""Maximum number of values of a column for each of which an expression states a formula."""


@dataclass(frozen=True)
class Spelling:
    """Writes the formulas of a table as expressions.

    Attributes:
        columns: Spelling of each column.
        labels: Values of the columns that select a formula, for each number or token, as the table has them.
        unit: Factor of the constants: days in a unit of dates, 1 for numbers.
    """

    columns: Callable[[str], str]
    labels: Callable[[str, float], Any]
    unit: float = 1.0

    def of(self, formula: Formula) -> str | None:
        """Return an equal expression, None if the language cannot state the formula."""
        if self.unit != 1 and formula.kind not in _OF_DATES:
            return None
        return _SPELLINGS[formula.kind](self, formula)

    def parts(self, formula: Formula) -> list[str] | None:
        """Return the expressions of the parts, None if one of them cannot be stated."""
        out = [text for part in formula.parts if (text := self.of(part)) is not None]
        return out if len(out) == len(formula.parts) else None

    def constant(self, number: float) -> str:
        """Return a constant of the unit of the columns."""
        return _number(number * self.unit)


def rounded_expression(text: str, step: float, rounding: str) -> str:
    """Return an expression rounded to multiples of a step."""
    if rounding == "nearest":
        decimals = next((own for own in range(9) if abs(step * 10**own - 1) < 1e-9), None)
        if decimals is not None:
            return f"round({without_brackets(text)}, {decimals})"
        return f"round({text} / {_number(step)}) * {_number(step)}"
    scaled = text if step == 1 else f"{text} / {_number(step)}"
    whole = f"floor({without_brackets(scaled)})" if rounding == "down" else f"-floor(-({without_brackets(scaled)}))"
    return whole if step == 1 else f"{whole} * {_number(step)}"


def _number(number: float) -> str:
    """Return a number without the error of its last digits."""
    return f"{float(f'{number:.15g}'):.16g}"


def _column(spelling: Spelling, own: Formula) -> str | None:
    return spelling.columns(own.names[0])


def _constant(spelling: Spelling, own: Formula) -> str | None:
    return spelling.constant(own.numbers[0])


def _linear(spelling: Spelling, own: Formula) -> str | None:
    parts = spelling.parts(own)
    if parts is None:
        return None
    terms = [(factor < 0, _multiple(abs(factor), text)) for factor, text in zip(own.numbers[1:], parts, strict=True)]
    if own.numbers[0]:
        terms.append((own.numbers[0] < 0, spelling.constant(abs(own.numbers[0]))))
    terms.sort(key=lambda term: term[0])  # positive terms first
    text = "".join((" - " if negative else " + ") + term for negative, term in terms)
    return "(-" + text[3:] + ")" if terms[0][0] else "(" + text[3:] + ")"


def _multiple(factor: float, text: str) -> str:
    if factor == 1:
        return text
    divisor = divisor_of(factor)
    return f"{text} / {divisor}" if divisor else f"{_number(factor)} * {text}"


def _product(spelling: Spelling, own: Formula) -> str | None:
    parts = spelling.parts(own)
    if parts is None:
        return None
    divisor = divisor_of(own.numbers[0])
    above = [_number(own.numbers[0])] * (own.numbers[0] != 1 and not divisor)
    below = [f"{divisor}"] if divisor else []
    for power, text in zip(own.numbers[1:], parts, strict=True):
        (above if power > 0 else below).append(text if abs(power) == 1 else f"{text} ** {_number(abs(power))}")
    return "(" + " / ".join([" * ".join(above) or "1", *below]) + ")"


def _power(spelling: Spelling, own: Formula) -> str | None:
    parts = spelling.parts(own)
    return None if parts is None else f"({' ** '.join(parts)})"


def _call(name: str) -> Callable[[Spelling, Formula], str | None]:
    def call(spelling: Spelling, own: Formula) -> str | None:
        parts = spelling.parts(own)
        return None if parts is None else f"{name}({', '.join(map(without_brackets, parts))})"

    return call


def _median(spelling: Spelling, own: Formula) -> str | None:
    """Return the sum of three numbers without their extremes: the language has no median."""
    parts = spelling.parts(own)
    if parts is None or len(parts) != 3:
        return None
    every = ", ".join(map(without_brackets, parts))
    return f"({' + '.join(parts)} - max({every}) - min({every}))"


def _distance(spelling: Spelling, own: Formula) -> str | None:
    parts = spelling.parts(own)
    return None if parts is None else f"sqrt({' + '.join(f'{text} ** 2' for text in parts)})"


def _by_group(spelling: Spelling, own: Formula) -> str | None:
    """Return nested conditions; the last formula is that of all other values."""
    parts = spelling.parts(own)
    if parts is None or len(parts) > MAX_CASES:
        return None
    text = without_brackets(parts[-1])
    for key, part in reversed(list(zip(own.keys[:-1], parts[:-1], strict=True))):
        equal = [
            f"{spelling.columns(name)} == {spelling.labels(name, at)!r}"
            for name, at in zip(own.names, key, strict=True)
        ]
        text = f"where({' and '.join(equal)}, {without_brackets(part)}, {text})"
    return text


def _by_interval(spelling: Spelling, own: Formula) -> str | None:
    parts = spelling.parts(own)
    if parts is None:
        return None
    text = without_brackets(parts[-1])
    for end, part in reversed(list(zip(own.numbers, parts[:-1], strict=True))):
        text = f"where({spelling.columns(own.names[0])} < {_number(end)}, {without_brackets(part)}, {text})"
    return text


def without_brackets(text: str) -> str:
    """Return an expression without the brackets around it, if they belong together."""
    if not text.startswith("("):
        return text
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if not depth:
            return text[1:-1] if at == len(text) - 1 else text
    return text


_SPELLINGS: Mapping[str, Callable[[Spelling, Formula], str | None]] = MappingProxyType(
    {
        "column": _column,
        "constant": _constant,
        "linear": _linear,
        "product": _product,
        "power": _power,
        "max": _call("max"),
        "min": _call("min"),
        "median": _median,
        "absolute": _call("abs"),
        "distance": _distance,
        "by_group": _by_group,
        "by_interval": _by_interval,
    }
)

_OF_DATES = frozenset({"column", "constant", "linear", "max", "min", "by_group"})
"""Kinds of formulas of dates: their constants are differences of dates."""
