"""Convert one source to the plan's columns, units, codes and date formats. Values that cannot be parsed raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.errors import DataError, TabsynthError, quote
from tabsynth.mixing.column_types import common_type, to_arrow
from tabsynth.mixing.plan.entries import APPLIED_STATUSES, HarmonisationRule, Match, code_text, code_texts, is_by_source
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.units import conversion
from tabsynth.mixing.value_parsing import HarmonisationStats, advise_budget, parse_date_column, parse_number_column
from tabsynth.schema.kinds.datetime_detection import find_formats

N_SIGNIFICANT_DIGITS = 12
"""Significant digits kept by a conversion, which removes binary rounding errors."""


def harmonise_source(
    frame: pd.DataFrame, source: str, plan: Plan, is_batch: bool = False
) -> tuple[pd.DataFrame, dict[str, HarmonisationStats]]:
    """Convert a source to its columns of the mixed table, and count the changes.

    Args:
        frame: The source, or a batch of it.
        source: Its name.
        plan: The plan.
        is_batch: Leave the failure budgets to a later ``check_budgets`` over all batches.

    Raises:
        DataError: A code has no meaning, or a value cannot be parsed or is outside the range.
        InputError: A unit is unknown or cannot be converted.
    """
    columns, stats = {}, {}
    for name, match in plan.mapped.items():
        if source in match.sources:
            columns[name], stats[name] = _harmonise_column(frame, source, match, plan, is_batch)
    if not is_batch:
        check_budgets(source, plan, stats)
    return pd.DataFrame(columns, index=frame.index), stats


def check_budgets(source: str, plan: Plan, stats: Mapping[str, HarmonisationStats]) -> None:
    """Raise a DataError if more of a source's values failed than the budget allows."""
    for name, item in stats.items():
        where = f"{source}.{'+'.join(plan.mapped[name].sources[source])}"
        if item.codes and not item.matched:
            raise DataError(
                f"{where}: none of the codes in `values` of {name!r} occurs in this source; correct these codes under "
                "harmonise in the plan, or remove `values`"
            )
        if item.failed > _failure_budget(plan, name) * item.present:
            raise DataError(
                f"{where}: {item.failed:,} of {item.present:,} values cannot be parsed, more than the budget of "
                f"{_failure_budget(plan, name):g}; {advise_budget(item.failed, item.present)}"
            )


def check_recodings_used(plan: Plan, stats: Mapping[str, Mapping[str, HarmonisationStats]]) -> None:
    """Raise a DataError if a map of codes for all sources applies to no value of any of them."""
    for name, match in plan.mapped.items():
        own = [item[name] for item in stats.values() if name in item]
        if any(entry.values for entry in decided_entries(plan, name)) and not any(item.matched for item in own):
            raise DataError(
                f"{match.label}: none of the codes in `values` of {name!r} occurs in any source; correct these codes "
                "under harmonise in the plan, or remove `values`"
            )


def date_format_candidates(frame: pd.DataFrame, source: str, plan: Plan) -> dict[str, list[str]]:
    """Return the formats that fit all text dates of a batch, for columns without a declared format."""
    out = {}
    for name, match in plan.mapped.items():
        if (
            match.kind != "datetime"
            or source not in match.sources
            or _declared_format(decided_entries(plan, name), source)
        ):
            continue
        values, _ = _recode_column(frame, source, match, plan)
        if not pd.api.types.is_datetime64_any_dtype(values.dtype) and values.notna().any():
            out[name] = find_formats([str(value) for value in code_texts(values).dropna().unique()])
    return out


def decided_entries(plan: Plan, column: str) -> list[HarmonisationRule]:
    """Return the applied rules of a column."""
    return [entry for entry in plan.harmonise if entry.column == column and entry.status in APPLIED_STATUSES]


def _harmonise_column(
    frame: pd.DataFrame, source: str, match: Match, plan: Plan, is_batch: bool
) -> tuple[pd.Series, HarmonisationStats]:
    """Harmonise one column of one source."""
    entries = decided_entries(plan, match.to)
    where = f"{source}.{'+'.join(match.sources[source])}"
    values, stats = _recode_column(frame, source, match, plan)
    budget = _failure_budget(plan, match.to)
    if match.kind == "numeric":
        numbers = parse_number_column(values, where, budget, stats, is_batch)
        for entry in entries:
            numbers = _convert_units(numbers, entry, source, stats)
        for entry in entries:
            numbers = _apply_range(numbers, entry, where, stats)
        return numbers.rename(match.to), stats
    if match.kind == "datetime":
        return parse_date_column(values, _declared_format(entries, source), where, budget, stats).rename(
            match.to
        ), stats
    return values.rename(match.to), stats


def _recode_column(frame: pd.DataFrame, source: str, match: Match, plan: Plan) -> tuple[pd.Series, HarmonisationStats]:
    """Remove sentinels and map codes of one column."""
    entries, stats = decided_entries(plan, match.to), HarmonisationStats()
    where = f"{source}.{'+'.join(match.sources[source])}"
    own_na = [value for name in match.sources[source] for value in plan.inputs[source].na.get(name, ())]
    raw = _source_values(frame, source, match)
    values = mask_sentinels(raw, [*own_na, *_sentinel_values(entries, source)])
    stats.sentinels = int(raw.notna().sum() - values.notna().sum())
    recoding = {key: value for entry in entries for key, value in entry.recoding(source).items()}
    if recoding:
        unmapped = next((entry.unmapped for entry in entries if entry.recoding(source)), "fail")
        is_own_recoding = any(is_by_source(entry.values) and entry.recoding(source) for entry in entries)
        stats.codes = int(values.notna().sum()) if is_own_recoding else 0
        values = _apply_recoding(values, recoding, unmapped, where, match.to, stats)
    return values, stats


def _failure_budget(plan: Plan, column: str) -> float:
    """Return the maximum share of values that cannot be parsed."""
    return max([entry.budget for entry in decided_entries(plan, column)], default=0.0)


def _declared_format(entries: Sequence[HarmonisationRule], source: str) -> str | None:
    """Return the declared format of a source's dates."""
    return next((entry.dates[source] for entry in entries if source in entry.dates), None)


def _sentinel_values(entries: Sequence[HarmonisationRule], source: str) -> list[Any]:
    return [value for entry in entries for value in entry.na.get(source, ())]


def _source_values(frame: pd.DataFrame, source: str, match: Match) -> pd.Series:
    """Return the column, or its joined parts; missing where any part is missing."""
    names = list(match.sources[source])
    if len(names) == 1:
        return frame[names[0]]
    parts = frame[names]
    joined = parts.map(code_text, na_action="ignore").fillna("").agg(match.joiner.join, axis=1)
    return joined.where(parts.notna().all(axis=1), None)


def mask_sentinels(values: pd.Series, sentinels: Sequence[Any]) -> pd.Series:
    """Replace sentinels by missing; 1, 1.0 and "1" are equal."""
    if not sentinels:
        return values
    texts = {code_text(value) for value in sentinels}
    is_sentinel = code_texts(values).isin(texts) & values.notna()
    if is_sentinel.any() and pd.api.types.is_integer_dtype(values.dtype):
        values = values.astype("Int64")  # floats would round long keys
    return values.mask(is_sentinel)


def _apply_recoding(
    values: pd.Series, recoding: Mapping[str, Any], unmapped: str, where: str, column: str, stats: HarmonisationStats
) -> pd.Series:
    """Map codes to meanings; unmapped codes fail, stay or become missing."""
    keys = code_texts(values)
    is_unmapped = values.notna() & ~keys.isin(recoding)
    if is_unmapped.any() and unmapped == "fail":
        raise DataError(
            f"{where}: {keys[is_unmapped].nunique()} codes have no meaning in the plan, such as "
            f"{quote(sorted(keys[is_unmapped].unique()), 3)} ({int(is_unmapped.sum())} rows); add them to values of "
            f"{column!r}, or set unmapped to keep or missing"
        )
    stats.matched = int((values.notna() & ~is_unmapped).sum())
    out = keys.map(recoding).astype(object)
    if unmapped == "keep":
        out = out.where(~is_unmapped, values)
    elif is_unmapped.any():
        stats.unread += int(is_unmapped.sum())
    stats.recoded = {code_text(key): int(count) for key, count in out.value_counts().items()}
    return out.where(out.notna(), None)


def _convert_units(numbers: pd.Series, entry: HarmonisationRule, source: str, stats: HarmonisationStats) -> pd.Series:
    """Convert numbers to the rule's unit."""
    if entry.unit is None:
        return numbers
    out = numbers
    if source in entry.units:
        change = conversion(entry.units[source], entry.unit, entry.analyte)
        out = numbers * change.scale + change.offset
        stats.converted[entry.units[source]] = int(numbers.notna().sum())
    if source in entry.mixed:
        second_unit = entry.mixed[source]
        in_second_unit = numbers < second_unit.get("below", -np.inf)
        in_second_unit |= numbers > second_unit.get("above", np.inf)
        change = conversion(second_unit["unit"], entry.unit, entry.analyte)
        out = out.where(~in_second_unit, numbers * change.scale + change.offset)
        stats.converted[second_unit["unit"]] = stats.converted.get(second_unit["unit"], 0) + int(in_second_unit.sum())
    if out is numbers:
        return out
    return out.map(lambda value: float(f"{value:.{N_SIGNIFICANT_DIGITS}g}"), na_action="ignore")


def _apply_range(numbers: pd.Series, entry: HarmonisationRule, where: str, stats: HarmonisationStats) -> pd.Series:
    """Apply the rule's range."""
    if entry.range is None:
        return numbers
    low, high = entry.range
    is_outside = (numbers < (-np.inf if low is None else low)) | (numbers > (np.inf if high is None else high))
    if is_outside.any() and entry.outside == "fail":
        raise DataError(
            f"{where}: {int(is_outside.sum())} values are outside {low} to {high}, such as "
            f"{numbers[is_outside].iloc[0]:g}; correct the unit or the range in the plan, or set outside: missing"
        )
    stats.outside += int(is_outside.sum())
    return numbers.mask(is_outside)


def preview(match: Match, plan: Plan, frames: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.Series], list[str]]:
    """Return a column after accepting its proposals, by source, and the errors that applying them would raise."""
    accepted = [
        replace(e, status="accepted") for e in plan.harmonise if e.column == match.to and e.status != "rejected"
    ]
    single_column_plan = replace(plan, map=(replace(match, status="accepted"),), harmonise=tuple(accepted))
    out, errors = {}, []
    for source in match.sources:
        try:
            out[source] = harmonise_source(frames[source], source, single_column_plan)[0][match.to]
        except TabsynthError as error:
            errors.append(str(error))
    try:
        common_type(match.to, {source: to_arrow(values)[1] for source, values in out.items()})
    except TabsynthError as error:
        errors.append(str(error))
    return out, errors
