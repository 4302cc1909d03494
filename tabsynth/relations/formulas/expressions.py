"""Formulas of columns: what they compute in each row, and how users read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add, mul
from types import MappingProxyType
from typing import Any

import numpy as np

from tabsynth.common.arrays import Floats

MAX_FACTOR_LENGTH = 7
"""Maximum length of a factor in texts if its reciprocal is a whole number."""


@dataclass(frozen=True)
class Formula:
    """A formula of columns.

    Attributes:
        kind: A key of ``KINDS``.
        parts: The formulas that it combines.
        numbers: Constants: coefficients after the constant of a sum, exponents after the factor of a product, the value
            of a constant, or the ends of intervals.
        names: The column that it reads, or the columns that select one of its parts.
        keys: Values of these columns for each part: numbers or tokens.
    """

    kind: str
    parts: tuple[Formula, ...] = ()
    numbers: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    keys: tuple[tuple[float, ...], ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        read = (*self.names, *(name for part in self.parts for name in part.columns))
        return tuple(dict.fromkeys(read))

    def of(self, values: Mapping[str, Any]) -> Floats:
        """Return the number of each row, not finite where it is unknown, shape (n,)."""
        with np.errstate(all="ignore"):
            return _numbers(self, values)

    def __str__(self) -> str:
        """Return the formula as users read it."""
        return _TEXTS[self.kind](self)


def column(name: str) -> Formula:
    """Return the formula that reads a column."""
    return Formula("column", names=(name,))


def constant(number: float) -> Formula:
    """Return the formula of a constant."""
    return Formula("constant", numbers=(number,))


def linear(number: float, *terms: tuple[float, Formula]) -> Formula:
    """Return a constant plus multiples of formulas."""
    return Formula("linear", tuple(part for _, part in terms), (number, *(factor for factor, _ in terms)))


def product(factor: float, *terms: tuple[Formula, float]) -> Formula:
    """Return a factor times powers of formulas."""
    return Formula("product", tuple(part for part, _ in terms), (factor, *(power for _, power in terms)))


def simplified(formula: Formula) -> Formula:
    """Return an equal formula of fewer parts, if a multiple of a sum or product can be written as one."""
    if formula.kind != "linear" or len(formula.parts) != 1:
        return formula
    (number, factor), (inner,) = formula.numbers, formula.parts
    if inner.kind == "linear":
        numbers = (number + factor * inner.numbers[0], *(factor * own for own in inner.numbers[1:]))
        return Formula("linear", inner.parts, numbers)
    if number == 0.0 and factor == 1.0:
        return inner
    if number == 0.0 and inner.kind == "product":
        return Formula("product", inner.parts, (factor * inner.numbers[0], *inner.numbers[1:]))
    return formula


def formula_from_state(data: Mapping[str, Any]) -> Formula:
    """Rebuild a formula from plain data."""
    return Formula(
        str(data["kind"]),
        tuple(map(formula_from_state, data["parts"])),
        tuple(map(float, data["numbers"])),
        tuple(map(str, data["names"])),
        tuple(tuple(map(float, key)) for key in data["keys"]),
    )


def _numbers(own: Formula, values: Mapping[str, Any]) -> Floats:
    """Return the number of each row; the caller silences numpy, which takes as long as a small sum."""
    return KINDS[own.kind](own, values)


def _column(own: Formula, values: Mapping[str, Any]) -> Floats:
    return np.asarray(values[own.names[0]], dtype=np.float64)


def _constant(own: Formula, values: Mapping[str, Any]) -> Floats:
    return np.full(len(next(iter(values.values()))), own.numbers[0])


def _linear(own: Formula, values: Mapping[str, Any]) -> Floats:
    terms = zip(own.numbers[1:], own.parts, strict=True)
    return np.asarray(own.numbers[0] + reduce(add, [factor * _numbers(part, values) for factor, part in terms]))


def _product(own: Formula, values: Mapping[str, Any]) -> Floats:
    terms = zip(own.numbers[1:], own.parts, strict=True)
    return np.asarray(own.numbers[0] * reduce(mul, [_numbers(part, values) ** power for power, part in terms]))


def _power(own: Formula, values: Mapping[str, Any]) -> Floats:
    return np.asarray(_numbers(own.parts[0], values) ** _numbers(own.parts[1], values))


def _extreme(choose: Callable[[Sequence[Floats]], Any]) -> Callable[[Formula, Mapping[str, Any]], Floats]:
    """Return the evaluation of a maximum or minimum; missing numbers are ignored, as statistics packages do."""
    return lambda own, values: np.asarray(choose([_numbers(part, values) for part in own.parts]))


def _median(own: Formula, values: Mapping[str, Any]) -> Floats:
    return np.asarray(np.median([_numbers(part, values) for part in own.parts], axis=0))


def _absolute(own: Formula, values: Mapping[str, Any]) -> Floats:
    return np.abs(_numbers(own.parts[0], values))


def _distance(own: Formula, values: Mapping[str, Any]) -> Floats:
    return np.asarray(np.sqrt(np.sum([_numbers(part, values) ** 2 for part in own.parts], axis=0)))


def _by_group(own: Formula, values: Mapping[str, Any]) -> Floats:
    out = np.full(len(values[own.names[0]]), np.nan)
    for key, part in zip(own.keys, own.parts, strict=True):
        rows = np.flatnonzero(np.all([values[name] == at for name, at in zip(own.names, key, strict=True)], axis=0))
        out[rows] = _numbers(part, {name: values[name][rows] for name in own.columns})
    return out


def _by_interval(own: Formula, values: Mapping[str, Any]) -> Floats:
    data = values[own.names[0]]
    place = np.searchsorted(np.array(own.numbers), data, side="right")
    out = np.full(len(data), np.nan)
    for at, part in enumerate(own.parts):
        rows = np.flatnonzero((place == at) & ~np.isnan(data))
        out[rows] = _numbers(part, {name: values[name][rows] for name in own.columns})
    return out


KINDS: Mapping[str, Callable[[Formula, Mapping[str, Any]], Floats]] = MappingProxyType(
    {
        "column": _column,
        "constant": _constant,
        "linear": _linear,
        "product": _product,
        "power": _power,
        "max": _extreme(np.fmax.reduce),
        "min": _extreme(np.fmin.reduce),
        "median": _median,
        "absolute": _absolute,
        "distance": _distance,
        "by_group": _by_group,
        "by_interval": _by_interval,
    }
)
"""Kinds of formulas and their evaluation."""


def _in_brackets(part: Formula) -> str:
    return f"({part})" if part.kind == "linear" else str(part)


def _linear_text(own: Formula) -> str:
    terms = [_multiple_text(abs(factor), part) for factor, part in zip(own.numbers[1:], own.parts, strict=True)]
    signed = [(factor < 0, text) for factor, text in zip(own.numbers[1:], terms, strict=True)]
    signed += [(own.numbers[0] < 0, f"{abs(own.numbers[0]):g}")] if own.numbers[0] else []
    signed.sort(key=lambda term: term[0])  # positive terms first
    shown = "".join((" - " if negative else " + ") + text for negative, text in signed)
    return "-" + shown[3:] if shown.startswith(" - ") else shown[3:]


def _multiple_text(factor: float, part: Formula) -> str:
    if factor == 1:
        return _in_brackets(part)
    divisor = divisor_of(factor)
    return f"{_in_brackets(part)} / {divisor}" if divisor else f"{factor:g} * {_in_brackets(part)}"


def divisor_of(factor: float) -> int:
    """Return the whole number whose reciprocal a factor is, 0 if it has few digits itself."""
    whole = round(1 / factor) if factor else 0
    return whole if len(f"{factor:g}") > MAX_FACTOR_LENGTH and whole and abs(whole * factor - 1) < 1e-9 else 0


def _product_text(own: Formula) -> str:
    divisor = divisor_of(own.numbers[0])
    above = [f"{own.numbers[0]:g}"] * (own.numbers[0] != 1 and not divisor)
    below = [f"{divisor}"] if divisor else []
    for power, part in zip(own.numbers[1:], own.parts, strict=True):
        text = _in_brackets(part) if abs(power) == 1 else f"{_in_brackets(part)}^{abs(power):g}"
        (above if power > 0 else below).append(text)
    return " / ".join([" * ".join(above) or "1", *below])


def _call_text(name: str) -> Callable[[Formula], str]:
    return lambda own: f"{name}({', '.join(map(str, own.parts))})"


def _group_text(own: Formula) -> str:
    shapes = list(dict.fromkeys(part.columns for part in own.parts))
    read = list(dict.fromkeys(name for shape in shapes for name in shape))
    kind = "piecewise linear" if any(part.kind == "by_interval" for part in own.parts) else "linear"
    what = f"a {kind} function of {' and '.join(read)}" if read else "a number"
    return f"{what} for each of {len(own.keys)} values of {' and '.join(own.names)}"


def _interval_text(own: Formula) -> str:
    text = str(own.parts[-1])
    for end, part in reversed(list(zip(own.numbers, own.parts[:-1], strict=True))):
        text = f"where({own.names[0]} < {end:g}, {part}, {text})"
    return text


_TEXTS: Mapping[str, Callable[[Formula], str]] = MappingProxyType(
    {
        "column": lambda own: own.names[0],
        "constant": lambda own: f"{own.numbers[0]:g}",
        "linear": _linear_text,
        "product": _product_text,
        "power": lambda own: f"{_in_brackets(own.parts[0])}^{_in_brackets(own.parts[1])}",
        "max": _call_text("max"),
        "min": _call_text("min"),
        "median": _call_text("median"),
        "absolute": _call_text("abs"),
        "distance": lambda own: f"sqrt({' + '.join(f'{part}^2' for part in own.parts)})",
        "by_group": _group_text,
        "by_interval": _interval_text,
    }
)
