"""Strict parsing of text as numbers and dates; failures count against a budget."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from tabsynth.errors import DataError, quote
from tabsynth.mixing.plan.entries import code_texts
from tabsynth.schema.datetime_formats import parse_dates
from tabsynth.schema.kinds.datetime_detection import N_PROBED_TEXTS, candidate_formats, find_formats
from tabsynth.schema.number_formats import find_number_format, parse_numbers


@dataclass
class HarmonisationStats:
    """Counts of the changes to one source's column.

    Attributes:
        sentinels: Sentinels that became missing.
        converted: Converted values by unit.
        recoded: Rows by meaning.
        unread: Values that could not be parsed and became missing, within the budget.
        outside: Values outside the range that became missing.
        codes: Values to which a map of this source's codes was applied; ``matched`` of them have a code of the map.
        failed: Values charged to the budget, of ``present`` values.
    """

    sentinels: int = 0
    converted: dict[str, int] = field(default_factory=dict)
    recoded: dict[str, int] = field(default_factory=dict)
    unread: int = 0
    outside: int = 0
    failed: int = 0
    present: int = 0
    codes: int = 0
    matched: int = 0

    def add(self, other: HarmonisationStats) -> None:
        """Add the counts of another batch."""
        for name in ("sentinels", "unread", "outside", "failed", "present", "codes", "matched"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.converted, other.converted), (self.recoded, other.recoded)):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count


def parse_number_column(
    values: pd.Series, where: str, budget: float, stats: HarmonisationStats, is_batch: bool
) -> pd.Series:
    """Parse numbers, including thousands separators, decimal commas and currencies."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise DataError(f"{where} contains dates, but the plan declares it numeric; map it to a datetime column")
    plain = values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
    parsed = pd.to_numeric(plain, errors="coerce").astype("float64")
    is_unparsed = values.notna() & parsed.isna()
    number_format = (
        find_number_format([str(value).strip() for value in plain.dropna().unique()]) if is_unparsed.any() else None
    )
    if number_format is not None and number_format.has_unit:
        # Another source may have another unit.
        raise DataError(
            f"{where}: its numbers are written with a unit, as {number_format}; write them as plain numbers, and the "
            "unit in the name of the column"
        )
    if number_format is not None and is_batch:
        raise DataError(
            f"{where}: numbers seem to have the format {number_format}, such as "
            f"{quote(values[is_unparsed].unique(), 3)}, which one batch of rows cannot confirm; mix in memory (without "
            "output), or write them as plain numbers"
        )
    if number_format is not None:
        parsed = pd.Series(parse_numbers(plain, str(number_format)), index=values.index)
    _charge_failures(values, parsed, where, "numbers", budget, stats)
    return parsed


MAX_ADVISED_BUDGET = 0.5
"""A column of which a larger share cannot be parsed is probably another one."""


def advise_budget(failed: int, present: int) -> str:
    """Return the advice for values that cannot be parsed."""
    if failed > MAX_ADVISED_BUDGET * present:
        return "correct the column or its kind in map"
    budget = math.ceil(failed / present * 1e4) / 1e4
    return f"fix them, list them under na, or allow a budget of {budget:g} in harmonise"


def _charge_failures(
    values: pd.Series, parsed: pd.Series, where: str, what: str, budget: float, stats: HarmonisationStats
) -> None:
    """Count failures; raise at once without a budget."""
    is_unparsed = values.notna() & parsed.isna()
    count, present = int(is_unparsed.sum()), int(values.notna().sum())
    if count and not budget:
        raise DataError(
            f"{where}: {count} of {present} values are not {what}, such as {quote(values[is_unparsed].unique(), 3)}; "
            f"{advise_budget(count, present)}"
        )
    stats.unread += count
    stats.failed, stats.present = count, present


def closest_formats(text: pd.Series) -> tuple[list[str], list[str]]:
    """Return the formats of most dates (two if day and month are ambiguous), and the texts that do not fit."""
    distinct = [str(value) for value in text.dropna().unique()]
    formats = find_formats(distinct)
    if formats or not distinct:
        return formats, []
    step = -(-len(distinct) // N_PROBED_TEXTS)
    counts = Counter(known for value in distinct[::step] for known in candidate_formats([value]))
    for known, _ in counts.most_common(1):
        fits = parse_dates(pd.Series(distinct, dtype=object), known).notna().to_numpy()
        if fits.mean() < 1 - MAX_ADVISED_BUDGET:
            break
        fitting = find_formats([value for value, is_date in zip(distinct, fits, strict=True) if is_date])
        return fitting or [known], [value for value, is_date in zip(distinct, fits, strict=True) if not is_date]
    return [], distinct


def parse_date_column(
    values: pd.Series, declared: str | None, where: str, budget: float, stats: HarmonisationStats
) -> pd.Series:
    """Parse dates strictly by one format, declared or the only one that fits."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    text = code_texts(values)
    date_format = declared
    if date_format is None:
        formats, unparsed = closest_formats(text)
        if len(formats) > 1 and not unparsed:
            raise DataError(
                f"{where}: every date fits both {formats[0]} and {formats[1]}; declare the format under dates in "
                "harmonise"
            )
        if unparsed:
            share = float(text.isin(unparsed).sum() / text.notna().sum())
            where = f"{where}: no single format fits all dates: {quote(unparsed, 3)} do not fit"
            if not formats:
                raise DataError(f"{where}; declare the format under dates in harmonise, or correct the kind in map")
            raise DataError(
                f"{where}, but most are of the format {formats[0]}; declare it under dates in harmonise, with a budget "
                f"of {math.ceil(share * 1e4) / 1e4:g} for the others"
            )
        date_format = formats[0] if formats else "%Y-%m-%d"
    parsed = parse_dates(text, date_format)
    _charge_failures(values, parsed, where, f"dates of the format {date_format}", budget, stats)
    return parsed
