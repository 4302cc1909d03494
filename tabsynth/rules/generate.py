"""Test data without real rows: a table sampled from a schema and hand-written rules."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.codec.identifiers import from_regex
from tabsynth.codec.pandas_dtypes import datetime_series, numeric_series, value_series
from tabsynth.common.validation import validate_rows, validate_seed
from tabsynth.common.yaml_files import read_yaml
from tabsynth.errors import InputError, quote
from tabsynth.rules.column_rules import DEFAULT_MISSING_SHARE, Rule, days_since_epoch, default_rule, parse_rule
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.expressions import Array
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import check_against_schema, satisfies

MAX_REDRAWS = 200
"""Maximum rounds of resampling rows outside the schema."""


MAX_DAYS = 106_751
"""Days before and after 1970 that ``datetime64[ns]`` can represent."""


def generate(
    schema: Schema, n: int, *, rules: Mapping[str, Any] | str | Path | None = None, seed: int | None = None
) -> pd.DataFrame:
    """Sample a table from a schema and rules alone.

    A rule is one of

    - ``{distribution: normal, mean: 50, sd: 10}`` (or ``lognormal: median, sigma``; ``uniform: low, high``;
      ``exponential: mean``; ``dates: low, high``; ``chance: p``; ``choice: weights``). A parameter may be a formula of
      other columns: ``mean: 20 + 0.5 * age``;
    - ``{formula: weight / (height / 100) ** 2, noise: 0.5}``; see ``tabsynth.schema.expressions`` for the language;
    - ``{by: sex, cases: {f: {...}, m: {...}}, otherwise: {...}}``, another rule for each value of another column;

    each optionally with ``missing: 0.1``, the share of missing cells. A column without a rule is uniform within its
    declared values or bounds, with 5 % missing if it is nullable. Cells are blanked last, so formulas use the values
    before that. A row outside the bounds, or one that violates a constraint, is sampled again. Identifiers are unique.

    Args:
        schema: The columns and their constraints.
        n: Number of rows.
        rules: Rules by column, as a mapping or the path of a YAML file.
        seed: Random seed; the same seed gives the same rows.

    Raises:
        InputError: A rule cannot be used, columns depend on each other in a cycle, or hardly any row fits the schema.
        SourceError: The file of rules cannot be read.

    Example:
        >>> schema = Schema.from_dict({"columns": {
        ...     "age": {"kind": "numeric", "low": 18, "high": 90, "decimals": 0},
        ...     "old": {"kind": "boolean"}}})
        >>> frame = generate(schema, 100, rules={"old": {"formula": "age > 60"}}, seed=0)
        >>> bool((frame["old"] == (frame["age"] > 60)).all())
        True
    """
    schema = Schema.of(schema)
    n = validate_rows(n)
    rng = np.random.default_rng(None if seed is None else validate_seed(seed))
    known = parse_rules(rules, schema)
    parts, left, seen = [], int(n), 0
    for _ in range(MAX_REDRAWS):
        if not left:
            break
        rows = _draw_columns(schema, known, left, rng)
        frame = pd.DataFrame({name: _series(schema[name], rows[name]) for name in rows}, index=range(left))
        good, why = _valid_rows(frame, rows, schema)
        parts.append(frame[good])
        seen, left = seen + len(frame), left - int(good.sum())
    if left:
        raise InputError(
            f"only {n - left} of {seen} rows fit the schema: most violate {why}; change the rules or widen the schema"
        )
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(index=range(0))
    frame = _assemble_frame(frame, schema, known, int(n), rng)
    if n:
        check_against_schema(frame, schema)
    return frame


def parse_rules(rules: Mapping[str, Any] | str | Path | None, schema: Schema) -> dict[str, Rule]:
    """Return the rules of all learned columns, each after the columns on which it depends.

    Raises:
        InputError: A rule cannot be used, or columns depend on each other in a cycle.
        SourceError: The file of rules cannot be read.
    """
    data = _read(rules) if isinstance(rules, (str, Path)) else ({} if rules is None else rules)
    if not isinstance(data, Mapping):
        raise InputError(f"rules are a mapping from column to rule, not {type(data).__name__}")
    unknown = [name for name in data if name not in schema]
    if unknown:
        raise InputError(f"rules for unknown columns: {quote(unknown)}; the schema has {quote(schema, 12)}")
    out = {}
    for name, column in schema.items():
        if isinstance(column, (Identifier, Text)):
            if set(data.get(name, ())) - {"missing"}:
                raise InputError(f"rules: column {name!r} is {column.kind}, which is generated; remove its rule")
            held = data.get(name)
            out[name] = Rule(missing=None if held is None else _parse_missing(held, column))
        else:
            where = f"rules: column {name!r}"
            out[name] = parse_rule(data[name], column, schema, where) if name in data else default_rule(column)
    try:
        order = list(graphlib.TopologicalSorter({name: rule.reads for name, rule in out.items()}).static_order())
    except graphlib.CycleError as error:
        raise InputError(f"rules: columns depend on each other in a cycle: {' -> '.join(error.args[1])}") from error
    return {name: out[name] for name in order}


def _read(path: str | Path) -> Any:
    """Return the content of a YAML file."""
    return read_yaml(path, "rules") or {}


def _parse_missing(data: Any, column: Column) -> float:
    """Parse the share of missing cells of an identifier or text column."""
    share = data.get("missing")
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise InputError(f"rules: column {column.name!r}: missing must be a share from 0 to 1, not {share!r}")
    if share and not column.nullable:
        raise InputError(f"rules: column {column.name!r}: the schema does not allow missing values; set nullable")
    return float(share)


def _draw_columns(schema: Schema, rules: Mapping[str, Rule], n: int, rng: np.random.Generator) -> dict[str, Array]:
    """Sample all columns but identifiers and text, rounded to the schema's decimals."""
    out: dict[str, Array] = {}
    for name, rule in rules.items():
        if isinstance(schema[name], (Identifier, Text)):
            continue
        try:
            values = rule.draw(out, n, rng)
            out[name] = _cast_values(schema[name], values)
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"rules: column {name!r}: {error}") from error
    return {name: out[name] for name in schema if name in out}


def _cast_values(column: Column, values: Array) -> Array:
    """Cast values to the type and step of their column."""
    if isinstance(column, Numeric):
        data = values.astype(np.float64)
        return data if column.decimals is None else _round_inside(data, column, column.decimals)
    if isinstance(column, Datetime):
        unit = UNIT_NANOSECONDS[_resolution(column)] / UNIT_NANOSECONDS["D"]
        if (np.abs(values.astype(np.float64)) > MAX_DAYS).any():
            raise InputError("its dates are not all from 1678 to 2261; narrow low and high to these years")
        return np.floor(np.round(values.astype(np.float64) / unit, 6)) * unit
    if isinstance(column, Boolean):
        return values.astype(bool)
    data = values.astype(object)
    if isinstance(column, Categorical) and column.values is not None:
        strange = [value for value in pd.unique(data) if value not in column.values]
        if strange:
            raise InputError(f"{quote(strange)} is not a value of the schema, which has {quote(column.values, 12)}")
        own = {value: value for value in column.values}
        data = np.array([*(own[value] for value in data), None], dtype=object)[:-1]
    return data


def _round_inside(values: Array, column: Numeric, decimals: int) -> Array:
    """Round values; one that rounding alone would move out of the bounds is rounded the other way."""
    out, step = np.round(values, decimals), 10.0**-decimals
    for end, sign in ((column.low, 1.0), (column.high, -1.0)):
        if end is not None:
            crossed = (sign * out < sign * end) & (sign * values >= sign * end)
            out = np.where(crossed, np.round(out + sign * step, decimals), out)
    return out


def _series(column: Column, values: Array) -> pd.Series:
    """Return the values as a column of the frame."""
    if isinstance(column, Numeric):
        whole = column.decimals == 0 and bool(np.isfinite(values).all()) and bool((np.abs(values) < 2**53).all())
        return numeric_series(values, "int64" if whole else "float64")
    if isinstance(column, Datetime):
        unit = UNIT_NANOSECONDS[_resolution(column)]
        steps = np.round(np.nan_to_num(values) * (UNIT_NANOSECONDS["D"] / unit)).astype(np.int64) * unit
        moments = pd.Series(steps.astype("datetime64[ns]")).where(np.isfinite(values))
        return datetime_series(moments, "object" if column.format else "datetime64[ns]", column)
    if isinstance(column, Boolean):
        return pd.Series(values, dtype=bool)
    return value_series(values, "object", [], False).infer_objects()


def _valid_rows(frame: pd.DataFrame, rows: Mapping[str, Array], schema: Schema) -> tuple[np.ndarray[Any, Any], str]:
    """Return the rows that fit the schema, and the most frequent violation of the others."""
    good, fails = np.ones(len(frame), bool), {"": 0}
    for name, column in schema.items():
        if isinstance(column, (Numeric, Datetime)):
            low, high = (days_since_epoch(end) if isinstance(end, str) else end for end in (column.low, column.high))
            inside = np.isfinite(rows[name])
            inside &= rows[name] >= (-np.inf if low is None else low)
            inside &= rows[name] <= (np.inf if high is None else high)
            fails[f"the bounds of {name!r}"] = int((~inside).sum())
            good &= inside
    for constraint in schema.constraints:
        kept = satisfies(constraint, frame, schema)
        fails[f"the constraint {constraint.to_dict()}"] = int((~kept).sum())
        good &= kept
    return good, max(fails, key=lambda what: fails[what])


def _assemble_frame(
    frame: pd.DataFrame, schema: Schema, rules: Mapping[str, Rule], n: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return all columns in the schema's order, with generated identifiers and text, and blanked cells."""
    out = {}
    for name, column in schema.items():
        if isinstance(column, Identifier):
            values = np.arange(1, n + 1) if column.pattern is None else from_regex(column.pattern, n, rng)
            out[name] = pd.Series(values, index=frame.index)
        elif isinstance(column, Text):
            out[name] = pd.Series([column.replacement] * n, index=frame.index, dtype=object)
        else:
            out[name] = frame[name] if len(frame) else pd.Series(dtype=object)
        share = rules[name].missing
        share = (DEFAULT_MISSING_SHARE if column.nullable else 0.0) if share is None else share
        blank = rng.random(n) < share
        if blank.any():
            out[name] = _blank_cells(out[name], blank)
    return pd.DataFrame(out, columns=list(schema))


def _blank_cells(values: pd.Series, blank: np.ndarray[Any, Any]) -> pd.Series:
    """Blank some cells of a column, casting to a nullable type if needed."""
    if pd.api.types.is_bool_dtype(values.dtype):
        values = values.astype(object)
    elif pd.api.types.is_integer_dtype(values.dtype):
        values = values.astype("Int64")
    return values.mask(blank, None if values.dtype == object else pd.NA if values.dtype == "Int64" else np.nan)


def _resolution(column: Datetime) -> str:
    """Return the unit of a datetime column: declared, or from its format."""
    if column.resolution:
        return column.resolution
    for unit, codes in (("s", ("%S", "%T", "%c", "%X")), ("min", ("%M",)), ("h", ("%H", "%I"))):
        if any(code in (column.format or "") for code in codes):
            return unit
    return "D"
