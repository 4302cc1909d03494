"""Rules that sample one column of a generated table: a distribution, a formula, or cases."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.errors import InputError, SchemaError, did_you_mean, quote
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Numeric, to_naive_utc
from tabsynth.schema.expressions import Array, Formula
from tabsynth.schema.schema import Schema

PARAMETERS: dict[str, tuple[str, ...]] = {
    "normal": ("mean", "sd"),
    "lognormal": ("median", "sigma"),
    "uniform": ("low", "high"),
    "exponential": ("mean",),
    "dates": ("low", "high"),
    "chance": ("p",),
    "choice": ("weights",),
}
"""Parameters of each distribution: numbers or formulas; ``weights`` maps values to weights."""

DISTRIBUTIONS_BY_KIND: dict[type[Column], tuple[str, ...]] = {
    Numeric: ("normal", "lognormal", "uniform", "exponential", "choice"),
    Datetime: ("dates",),
    Boolean: ("chance", "choice"),
    Categorical: ("choice",),
}
"""The distributions of each kind of column."""

DEFAULT_MISSING_SHARE = 0.05
"""Share of missing cells in a nullable column without a rule for it."""

DEFAULT_DATE_RANGE = ("2020-01-01", "2024-12-31")
"""Range of dates without bounds or a rule."""


@dataclass(frozen=True)
class Rule:
    """Rule for sampling a column. Exactly one of ``distribution``, ``formula`` and ``by`` is set.

    Attributes:
        distribution: A name of ``PARAMETERS``.
        parameters: Its parameters.
        weights: The values of a choice with their weights.
        formula: The column as a formula of others.
        noise: Deviation of normal noise on top of a formula.
        by: The column whose value decides which of ``cases`` holds; ``otherwise`` for other values.
        missing: Share of missing cells; None for the schema's default.
    """

    distribution: str = ""
    parameters: Mapping[str, Formula] | None = None
    weights: tuple[tuple[Any, float], ...] = ()
    formula: Formula | None = None
    noise: Formula | None = None
    by: str = ""
    cases: tuple[tuple[Any, Rule], ...] = ()
    otherwise: Rule | None = None
    missing: float | None = None

    @property
    def reads(self) -> set[str]:
        """The columns that must be sampled before."""
        formulas = [*(self.parameters or {}).values(), self.formula, self.noise]
        out = {name for formula in formulas if formula for name in formula.names}
        for rule in [*(rule for _, rule in self.cases), self.otherwise]:
            out |= rule.reads if rule else set()
        return out | ({self.by} if self.by else set())

    def draw(self, columns: Mapping[str, Array], n: int, rng: np.random.Generator) -> Array:
        """Sample the column, shape (n,): float64 for numbers and dates (in days since 1970), else bool or object.

        Raises:
            InputError: A formula does not work out, or a parameter is out of its range.
        """
        if self.by:
            return self._by_case(columns, n, rng)
        if self.formula is not None:
            value = self.formula.evaluate(columns, n)
            if self.noise is None:
                return value
            return np.asarray(value + rng.normal(size=n) * self.noise.evaluate(columns, n))
        if self.distribution == "choice":
            values = np.empty(len(self.weights), dtype=object)
            values[:] = [value for value, _ in self.weights]
            share = np.array([weight for _, weight in self.weights])
            return np.asarray(values[rng.choice(len(values), n, p=share / share.sum())])
        held = {name: formula.evaluate(columns, n) for name, formula in (self.parameters or {}).items()}
        match self.distribution:
            case "normal":
                return np.asarray(held["mean"] + rng.normal(size=n) * _non_negative(held["sd"], "sd"))
            case "lognormal":
                spread = rng.normal(size=n) * _non_negative(held["sigma"], "sigma")
                return np.asarray(_non_negative(held["median"], "median") * np.exp(spread))
            case "exponential":
                return np.asarray(rng.exponential(size=n) * _non_negative(held["mean"], "mean"))
            case "chance":
                return np.asarray(rng.random(n) < held["p"])
            case _:  # uniform and dates
                width = _non_negative(held["high"] - held["low"], "high minus low")
                return np.asarray(held["low"] + rng.random(n) * width)

    def _by_case(self, columns: Mapping[str, Array], n: int, rng: np.random.Generator) -> Array:
        key, left = columns[self.by], np.ones(n, bool)
        out: Array = np.full(n, None, dtype=object)
        for value, rule in [*self.cases, (None, self.otherwise)]:
            here = left & (key == value) if rule is not self.otherwise else left
            rows = np.flatnonzero(here)
            if rule is None:
                if len(rows):
                    raise InputError(f"no case for {key[rows[0]]!r} of {self.by!r}; add one, or otherwise")
                continue
            out[rows] = rule.draw({name: held[rows] for name, held in columns.items()}, len(rows), rng)
            left = left & ~here
        return out


def default_rule(column: Column) -> Rule:
    """Sample a column without a rule: uniformly within its declared values or bounds.

    Raises:
        SchemaError: A category has no declared values.
    """

    def numbers(name: str, held: dict[str, float]) -> Rule:
        return Rule(distribution=name, parameters={key: Formula.parse(float(v), ()) for key, v in held.items()})

    if isinstance(column, Boolean):
        return numbers("chance", {"p": 0.5})
    if isinstance(column, Datetime):
        low, high = (None if end is None else days_since_epoch(end) for end in (column.low, column.high))
        if low is None and high is None:
            low, high = (days_since_epoch(end) for end in DEFAULT_DATE_RANGE)
        return numbers("dates", _complete_span(low, high, 5 * 365.0))
    if isinstance(column, Numeric):
        if column.low is None and column.high is None:
            return numbers("normal", {"mean": 0, "sd": 1 if column.decimals != 0 else 10})
        return numbers("uniform", _complete_span(column.low, column.high, 100.0))
    values = column.values if isinstance(column, Categorical) else None
    if values is None:
        raise SchemaError(f"column {column.name!r} has no values to choose from: declare them, or give it a rule")
    return Rule(distribution="choice", weights=tuple((value, 1.0) for value in values))


def _complete_span(low: float | None, high: float | None, width: float) -> dict[str, float]:
    """Fill in an open end of a range."""
    low = (high or 0.0) - width if low is None else low
    return {"low": low, "high": low + width if high is None else high}


def parse_rule(data: Any, column: Column, schema: Schema, where: str) -> Rule:
    """Read and check one column's rule.

    Raises:
        InputError: A key, value or formula is not usable; the message names it, and the allowed ones.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: a rule is a mapping such as {{distribution: normal, mean: 5, sd: 1}}, not {data!r}")
    ways = [key for key in ("distribution", "formula", "by") if key in data]
    if len(ways) > 1 or (not ways and set(data) - {"missing"}):
        raise InputError(f"{where}: give just one of distribution, formula and by, not {quote(data)}")
    missing = data.get("missing")
    if missing is not None:
        if isinstance(missing, bool) or not isinstance(missing, (int, float)) or not 0 <= missing <= 1:
            raise InputError(f"{where}: missing must be a share from 0 to 1, not {missing!r}")
        if missing and not column.nullable:
            raise InputError(f"{where}: the schema does not allow missing values; set nullable or leave missing out")
    rest = {key: value for key, value in data.items() if key not in ("missing", *ways)}
    if not ways:
        return _with_missing(default_rule(column), missing)
    names = [n for n in schema if isinstance(schema[n], (Numeric, Datetime, Boolean, Categorical)) and n != column.name]
    if ways == ["formula"]:
        _check_keys(rest, ("noise",), where)
        noise = Formula.parse(rest["noise"], names, f"{where}: noise") if "noise" in rest else None
        if noise and not isinstance(column, (Numeric, Datetime)):
            raise InputError(f"{where}: noise is for numbers and dates, not for a {column.kind} column")
        return Rule(formula=Formula.parse(data["formula"], names, where), noise=noise, missing=missing)
    if ways == ["by"]:
        return _cases(data["by"], rest, column, schema, names, where, missing)
    return _with_missing(_distribution(data["distribution"], rest, column, names, where), missing)


def days_since_epoch(text: Any) -> float:
    """Return a date as days since 1970.

    Raises:
        ValueError: Not a date.
    """
    if isinstance(text, datetime.date) and not isinstance(text, datetime.datetime):
        text = text.isoformat()
    instant = text if isinstance(text, datetime.datetime) else datetime.datetime.fromisoformat(str(text))
    return (to_naive_utc(instant) - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)


def _distribution(name: Any, rest: dict[Any, Any], column: Column, names: list[str], where: str) -> Rule:
    fits = next((value for kind, value in DISTRIBUTIONS_BY_KIND.items() if isinstance(column, kind)), ())
    if name not in fits:
        raise InputError(
            f"{where}: a {column.kind} column has no distribution {name!r}; choose {', '.join(fits) or 'none'}"
        )
    _check_keys(rest, PARAMETERS[name], where)
    absent = [key for key in PARAMETERS[name] if key not in rest]
    if absent:
        raise InputError(f"{where}: the distribution {name} requires {quote(absent)}")
    if name == "choice":
        return Rule(distribution=name, weights=_weights(rest["weights"], column, where))
    held = {}
    for key, value in rest.items():
        if name == "dates":
            with suppress(ValueError):  # not a date, so parsed as a formula below
                value = days_since_epoch(value)
        held[key] = Formula.parse(value, names, f"{where}: {key}")
    return Rule(distribution=name, parameters=held)


def _weights(data: Any, column: Column, where: str) -> tuple[tuple[Any, float], ...]:
    if isinstance(data, (list, tuple)):
        data = dict.fromkeys(data, 1.0)
    if not isinstance(data, Mapping) or not data:
        raise InputError(f"{where}: weights map values to weights, such as {{a: 2, b: 1}}, not {data!r}")
    allowed = (
        column.values if isinstance(column, Categorical) else (True, False) if isinstance(column, Boolean) else None
    )
    for value, weight in data.items():
        if allowed is not None and value not in allowed:
            raise InputError(f"{where}: the schema does not have the value {value!r}; it has {quote(allowed, 12)}")
        if isinstance(column, Numeric) and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise InputError(f"{where}: {value!r} is not a number")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < np.inf:
            raise InputError(f"{where}: the weight of {value!r} must be a number of at least 0, not {weight!r}")
    if not sum(data.values()) > 0:
        raise InputError(f"{where}: all weights are 0")
    return tuple((value, float(weight)) for value, weight in data.items())


def _cases(
    by: Any, rest: dict[Any, Any], column: Column, schema: Schema, names: list[str], where: str, missing: float | None
) -> Rule:
    _check_keys(rest, ("cases", "otherwise"), where)
    if by not in names or not isinstance(schema[by], (Categorical, Boolean)):
        raise InputError(f"{where}: by must name another column of categories, not {by!r}")
    cases = rest.get("cases")
    if not isinstance(cases, Mapping) or not cases:
        raise InputError(f"{where}: cases map the values of {by!r} to rules, not {cases!r}")
    return Rule(
        by=by,
        cases=tuple((v, parse_rule(rule, column, schema, f"{where}: case {v!r}")) for v, rule in cases.items()),
        otherwise=parse_rule(rest["otherwise"], column, schema, f"{where}: otherwise") if "otherwise" in rest else None,
        missing=missing,
    )


def _with_missing(rule: Rule, missing: float | None) -> Rule:
    return Rule(rule.distribution, rule.parameters, rule.weights, missing=missing)


def _check_keys(data: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    for key in data:
        if key not in known:
            hint = did_you_mean(key, known)
            raise InputError(f"{where}: unknown key {key!r}{hint}; allowed are {quote([*known, 'missing'], 12)}")


def _non_negative(value: Array, name: str) -> Array:
    if not (value >= 0).all():
        raise InputError(f"{name} must be at least 0, but is {np.nanmin(value):g} in some row")
    return value
