"""Days on which events recur: classes of the days that gaps reach, and histories of monthly events."""

from itertools import pairwise

import numpy as np
import pandas as pd

from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.context import MAX_MONTHS, Clock, RunningContext
from tabsynth.synthesizers.relational.occurrences.calendar_days import (
    KINDS,
    MAX_SKIPPED,
    N_LENGTHS,
    CalendarGaps,
    RecentDays,
    day_numbers,
    is_daily,
)
from tabsynth.synthesizers.relational.occurrences.class_totals import ClassTotals
from tabsynth.synthesizers.relational.occurrences.nested_shares import NestedShares
from tabsynth.synthesizers.relational.occurrences.regular_counts import RegularCounts, calendar_lengths
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer


def _days(*dates: str) -> np.ndarray:
    return np.array(dates, "datetime64[D]").astype(np.int64)


def test_only_dates_one_day_apart_are_daily() -> None:
    assert is_daily(1.0, 86_400.0)
    assert is_daily(86_400.0, 1.0)
    assert not is_daily(7.0, 86_400.0)
    assert not is_daily(1.0, 0.0)
    assert day_numbers(np.array([86_400.0, 86_399.0]), 1.0).tolist() == [1, 0]


def test_a_gap_reaches_the_day_of_an_earlier_event_or_the_end_of_a_month() -> None:
    gaps = CalendarGaps(86_400.0, np.array([0, 1]), np.ones((2, 3), bool))
    days = _days("2021-01-05", "2021-01-31", "2021-02-05", "2021-02-05", "2021-02-28", "2021-03-05")
    reached, features = gaps.of_rows(days.astype(float), np.array([0, 1, 0, 2, 1, 0]), np.array([0, 6]))
    # Day of the month, whether there was an event a month and two months before, and its class; 3 for none.
    assert features.tolist() == [[4, 0, 3], [31, 0, 3], [4, 1, 0], [4, 0, 3], [31, 1, 1], [4, 3, 0]]
    month_day, _, recurrence, ends = reached[2] - np.cumsum([0, *KINDS[:-1]])[:, None]
    assert month_day[:2].tolist() == [31, 0]  # January 31, February 1
    recurs, skipped = recurrence // (MAX_SKIPPED + 1) % 2, recurrence % (MAX_SKIPPED + 1)
    assert np.flatnonzero(recurs).tolist() == [5, 28]  # February 5 and 28, a month after January 5 and 31
    assert skipped[[5, 6, 28, 29]].tolist() == [0, 1, 1, 2]
    assert ends[[0, 28, 29, 60]].tolist() == [0, 0, 1, 2]


def test_single_steps_equal_whole_histories() -> None:
    rng, n = np.random.default_rng(0), 40
    starts = np.array([0, 7, 8, 25, n])
    times = np.concatenate([np.sort(rng.integers(18_000, 18_200, size)) for size in np.diff(starts)]).astype(float)
    classes = rng.integers(0, 3, n)
    gaps = CalendarGaps(86_400.0, np.array([0]), np.array([[1, 1, 0], [0, 1, 1]], bool))
    reached, features = gaps.of_rows(times, classes, starts)
    days = gaps.days(times)
    for begin, end in pairwise(starts.tolist()):
        recent = RecentDays(gaps, 1, int(days.min()), int(days.max()))
        for row in range(begin, end):
            if row > begin:
                np.testing.assert_array_equal(recent.reached(days[row - 1 : row])[0], reached[row])
            np.testing.assert_array_equal(recent.features(days[row : row + 1])[0], features[row])
            recent.update(days[row : row + 1], classes[row : row + 1])
    assert reached.shape == (n, len(KINDS), N_LENGTHS)


def test_numbers_of_regular_classes_fit_the_length() -> None:
    rng, n = np.random.default_rng(1), 60
    first = 18_000 + rng.integers(0, 300, n)
    lengths = calendar_lengths(first, first + rng.integers(100, 900, n))
    rent = np.where(rng.random(n) < 0.5, lengths[:, 1], 0)
    totals = np.stack([lengths[:, 0], rent, lengths[:, 0] + rent, rng.poisson(9, n)], 1).astype(float)
    regular = RegularCounts.fit(totals, lengths, min_group=5)
    assert regular.units.tolist() == [0, 1, -1, -1]
    inside = np.eye(4, dtype=bool)
    inside[2, :2] = True  # interest and rent are transfers
    nesting = NestedShares(np.array([0, 0, 1, 0]), inside, np.zeros((4, 4), bool))
    wrong = totals + np.array([3.0, 0.0, 3.0, 0.0]) + np.where(rent > 0, 1, 0)[:, None] * np.array([0, 2.0, 2.0, 0])
    counts, right = regular.corrected((wrong[:, 2] + wrong[:, 3]).astype(np.int64), wrong, lengths, nesting)
    np.testing.assert_array_equal(right, totals)
    np.testing.assert_array_equal(counts, totals[:, 2] + totals[:, 3])


def test_remaining_numbers_are_compared_with_the_remaining_months() -> None:
    """Three payments are left, and four ends of months from January to May: an order that is to begin in February."""
    days = _days("2021-01-31", "2021-02-28", "2021-05-10").astype(float)
    first, last, previous = (np.full(3, day) for day in (days[0], days[2], days[0]))
    left = np.array([[3.0], [4.0], [np.nan]])
    place, count = np.ones(3, np.int64), np.full(3, 9)
    classes = ClassTotals(("orders",), np.array([1]), np.array([0]), NestedShares.none(1), RegularCounts.none(1))
    clock = Clock(place, count, first, first, last, previous, np.zeros(3), left)
    running = RunningContext.fit(clock, days, 0.0, 86_400.0, 1.0, classes)
    assert running.monthly
    tokens = running.early(clock)
    assert tokens.shape[1] == len(running.early_sizes)
    assert tokens[:, -1].tolist() == [MAX_MONTHS - 1, MAX_MONTHS, 2 * MAX_MONTHS + 1]
    weekly = RunningContext.fit(clock, days, 0.0, 86_400.0, 7.0, classes)
    assert not weekly.monthly
    assert weekly.early(clock).shape[1] == len(weekly.early_sizes) == tokens.shape[1] - 1
    config, arrays = running.state()
    assert np.array_equal(RunningContext.from_state(config, arrays).early(clock), tokens)


def test_monthly_events_recur_on_their_day() -> None:
    """Interest on the last day of each month, a salary on the account's own day, and cash on any day."""
    rng, rows = np.random.default_rng(0), []
    for account in range(60):
        begin, months, day = (
            pd.Timestamp("2020-01-31") + pd.offsets.MonthEnd(account % 5),
            6 + account % 8,
            3 + account % 20,
        )
        for month in range(months):
            end = begin + pd.offsets.MonthEnd(month)
            rows.append((account, end, "interest"))
            if month:
                rows.append((account, end.replace(day=day), "salary"))
                rows += [(account, end.replace(day=int(rng.integers(1, 28))), "cash") for _ in range(rng.poisson(0.7))]
    payments = pd.DataFrame(rows, columns=["account", "date", "kind"]).sort_values(
        ["account", "date"], ignore_index=True
    )
    payments = payments.assign(account=[f"A{k:03d}" for k in payments.account])
    tables = {
        "accounts": pd.DataFrame({"account": payments.account.unique(), "branch": list("abc") * 20}),
        "payments": payments,
    }
    schema = DatabaseSchema(
        {name: Schema.infer(table) for name, table in tables.items()},
        {"accounts": "account"},
        (ForeignKey("payments", "account", "accounts"),),
        {"payments": "date"},
    )
    sample = RelationalSynthesizer(epochs=20).fit(tables, schema=schema, seed=0).sample(seed=1)["payments"]
    interest = sample[sample.kind == "interest"]
    assert interest.date.dt.is_month_end.mean() > 0.9
    assert interest.groupby(["account", interest.date.dt.to_period("M")]).size().eq(1).mean() > 0.95
    days = sample[sample.kind == "salary"].groupby("account").date.agg(lambda dates: dates.dt.day.mode().size == 1)
    assert days.mean() > 0.7
    assert sample.kind.eq("interest").mean() > 0.25
