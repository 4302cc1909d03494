"""Training rows of a history network: tokens, context, and the remainder of each parent's plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Floats, Integers, Tokens
from tabsynth.data.table import Table
from tabsynth.relations.enforcement import Relations
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.relations.linked.slow_numbers import STEP, default_tokens
from tabsynth.schema.columns import Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.context import Clock, RunningContext
from tabsynth.synthesizers.relational.histories.gaps import (
    LEFT_ROWS,
    GapTokens,
    left_class,
    longest_shares,
    mean_gap_left,
    sibling_gaps,
)
from tabsynth.synthesizers.relational.histories.history import GAP, category_slots, vocabulary
from tabsynth.synthesizers.relational.histories.running_slots import RunningSlots
from tabsynth.synthesizers.relational.occurrences.calendar_days import (
    KINDS,
    CalendarGaps,
    day_numbers,
    recurring_classes,
)
from tabsynth.synthesizers.relational.occurrences.class_totals import ClassTotals, PlannedClasses, deciding_tokens
from tabsynth.synthesizers.relational.occurrences.earlier_numbers import (
    EarlierNumber,
    choose_earlier_numbers,
    free_numbers,
)
from tabsynth.synthesizers.relational.occurrences.precedents import (
    RowClass,
    choose_class_slots,
    classes_of,
    precedents_of,
)
from tabsynth.synthesizers.relational.timeline import Timeline
from tabsynth.training.networks.layout import Layout
from tabsynth.training.variable_order import chain_order, mutual_information


@dataclass(frozen=True, eq=False)
class Siblings:
    """Child rows in the form in which the network learns them, sorted by parent and time.

    Attributes:
        tokens: Tokens in sampling order, shape (n, slots).
        context: Features of the parents and early features, shape (n, features).
        late: Late features, shape (n, features).
        previous: Tokens of the previous sibling, the slot's size where there is none, shape (n, slots).
        known: Slots that the plan determines, shape (n, slots).
        starts: Row number of each parent's first child and the number of rows, shape (parents with children + 1,).
        ratios: Class of each gap token's ratio to the mean remaining gap, shape (n, tokens of the gap).
        precedents: Tokens of the last earlier sibling of the same class, shape (n, slots or 0).
        row_class: The class; None for no precedents.
        left: Class of the number of remaining rows, shape (n,).
        longest: As in ``History``.
        earlier: Slots whose numbers depend on an earlier sibling's.
        after: Bin of the running total after the row for each token of the slots that decide one, shape (n, tokens).
        calendar: Gaps of whole days; None if the days that they reach do not matter.
        reached: Classes of the days that gaps of whole days reach, shape (n, kinds, lengths or 0).
    """

    tokens: Integers
    context: Integers
    late: Integers
    previous: Integers
    known: npt.NDArray[np.bool_]
    starts: Integers
    ratios: npt.NDArray[np.uint8]
    precedents: Integers
    row_class: RowClass | None
    left: Integers
    longest: Floats
    earlier: tuple[EarlierNumber, ...]
    after: npt.NDArray[np.uint8]
    calendar: CalendarGaps | None
    reached: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ChildRows:
    """Rows of a child table, sorted by parent and time, and what is known of their parents.

    Attributes:
        table: The rows, with dates as distances.
        timeline: How their times are expressed; None for a table without order.
        times: Their times; None for a table without order, shape (n,).
        low: Origin of each row's parent, shape (n,).
        starts: Row number of each parent's first child and the number of rows, shape (parents with children + 1,).
        parent_tokens: Tokens of each row's parents, shape (n, features).
        persons: The root's row number of each row, shape (n,).
        classes: Classes of children whose numbers are in the plan.
        planned: These numbers, NaN where unknown, shape (parents with children, classes).
        totals: Running totals of the columns.
        opening: Initial value of the totals of each row's parent, NaN where the first row is sampled, shape (n,
            totals).
    """

    table: Table
    timeline: Timeline | None
    times: Floats | None
    low: Floats
    starts: Integers
    parent_tokens: Integers
    persons: Integers
    classes: PlannedClasses
    planned: Floats
    totals: Sequence[RunningTotal]
    opening: Floats


def prepare(
    rows: ChildRows, *, min_group: int
) -> tuple[Codec, Relations, list[int], list[npt.NDArray[np.bool_]], RunningContext, RunningSlots, Siblings]:
    """Return the vocabulary, sampling order and training rows; see ``vocabulary`` for ``min_group``."""
    frame, schema, times, starts, totals = rows.table.frame, rows.table.schema, rows.times, rows.starts, rows.totals
    window, seconds, step = 0.0, None, 0.0
    if rows.timeline is not None:
        window, seconds, step = rows.timeline.window[0], rows.timeline.axis.seconds, rows.timeline.step
    gaps = None if times is None or len(starts) > len(frame) else sibling_gaps(times, starts)
    if gaps is not None and len(np.unique(rows.persons[~np.isnan(gaps)])) < min_group:
        gaps = None  # no gap may be released; siblings, if any are sampled, have the time of the first
    if gaps is not None:
        frame = frame.assign(**{GAP: gaps})
        decimals = 0 if seconds else None
        schema = Schema(
            {GAP: Numeric(name=GAP, nullable=True, decimals=decimals), **schema.columns}, schema.constraints
        )
        frame = frame[list(schema)]
    tokens = default_tokens(len(frame))
    computed = [name for total in totals for name in (total.column, total.opening) if name]
    computed += [name for name in schema if name.endswith(STEP)]
    codec, relations = vocabulary(frame, schema, rows.persons, min_group=min_group, tokens=tokens, computed=computed)
    encoded = codec.encode(frame)
    order = _drawing_order(codec, encoded)
    sizes = [codec.slots[i].size for i in order]
    chosen = choose_class_slots(encoded[:, order].astype(np.int64), category_slots(codec, order), sizes, starts)
    leading, first = [order[at] for at in chosen], int(gaps is not None)  # right after the gap
    order = [*order[:first], *leading, *(i for i in order[first:] if i not in leading)]
    order = _totals_last(codec, order, totals)
    drawn = encoded[:, order].astype(np.int64)
    count = np.repeat(np.diff(starts), np.diff(starts))
    place = np.arange(len(frame)) - np.repeat(starts[:-1], np.diff(starts))
    moments = np.zeros(len(frame)) if times is None else times
    read = _class_totals(rows.classes, frame, codec, encoded, order)
    clock = clock_of(times, rows.low, starts, place, count, read.left_before(drawn, rows.planned, starts))
    running = RunningContext.fit(clock, moments, window, seconds, step, read)
    sizes = [codec.slots[i].size for i in order]
    row_class = RowClass.at(range(first, first + len(leading)), sizes)
    first = place == 0
    previous = np.where(first[:, None], sizes, np.concatenate([drawn[:1], drawn[:-1]]))
    known = np.zeros(drawn.shape, bool)
    ratios, longest = np.zeros((len(frame), 0), np.uint8), np.ones(len(LEFT_ROWS))
    if gaps is not None:
        ratios = GapTokens.of(codec.numeric_coders[GAP]).ratios(mean_gap_left(clock))
        longest = longest_shares(gaps, clock, rows.persons, min_group)
        known[:, 0] = first | (place == count - 1)
    late, calendar, reached = running.late(clock, moments), None, np.zeros((len(frame), len(KINDS), 0), np.uint8)
    if gaps is not None and running.daily:
        days, (classes, n_classes) = day_numbers(moments, running.seconds or 0.0), classes_of(row_class, drawn)
        recurring = recurring_classes(days, classes, n_classes, starts)
        calendar = CalendarGaps.of(codec.numeric_coders[GAP], running.seconds or 0.0, recurring)
        reached, features = calendar.of_rows(moments, classes, starts)
        late = np.concatenate([late, features], axis=1)
    slots = RunningSlots.of(codec, order, totals)
    begun = rows.opening[:, [one in slots.totals for one in totals]]
    for at, own in slots.known(first, begun).items():
        known[:, at] = own
    before, after, closing = _totals(slots, frame, starts, begun)
    slots = slots.with_edges(before, after, closing, count - place)
    siblings = Siblings(
        drawn,
        np.concatenate([rows.parent_tokens, running.early(clock), slots.early(before, closing, count - place)], axis=1),
        late,
        previous,
        known,
        starts,
        ratios,
        precedents_of(drawn, row_class, np.array(sizes), starts),
        row_class,
        left_class(clock),
        longest,
        choose_earlier_numbers(
            drawn, free_numbers(codec, order, slots.places, GAP), category_slots(codec, order), row_class, starts
        ),
        slots.after_bins(drawn, _where_known(slots, before, first, begun)),
        calendar,
        reached,
    )
    allowed = [_allowed(codec, encoded, i) for i in order]
    return codec, relations, order, allowed, running, slots, siblings


def _where_known(slots: RunningSlots, before: Floats, first: npt.NDArray[np.bool_], begun: Floats) -> Floats:
    """Return the totals before each row, NaN in first rows whose total is sampled."""
    return np.where(first[:, None] & np.isnan(begun), np.nan, before) if slots.totals else before


def _totals(slots: RunningSlots, frame: pd.DataFrame, starts: Integers, begun: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the running totals before and after each row, and of its parent's last child, shape (n, totals) each."""
    after = np.zeros((len(frame), len(slots.totals)))
    for at, one in enumerate(slots.totals):
        after[:, at] = slots.codec.numeric_values(one.column, frame[one.column])
    before = np.concatenate([after[:1], after[:-1]])
    before[starts[:-1]] = np.nan_to_num(begun[starts[:-1]])
    return before, after, np.repeat(after[starts[1:] - 1], np.diff(starts), axis=0)


def _totals_last(codec: Codec, order: list[int], totals: Sequence[RunningTotal]) -> list[int]:
    """Return the slots; those of totals follow all from which they are computed, and numbers their sign."""
    rank = {codec.slots[i].column: float(at) for at, i in enumerate(order)}
    for total in totals:
        for name, _ in total.terms:
            rank[name] = max(rank.get(name, 0.0), rank.get(total.sign, -1.0) + 0.5)
    rank |= {total.column: len(order) + number for number, total in enumerate(totals)}
    return sorted(order, key=lambda i: rank[codec.slots[i].column])


def clock_of(
    times: Floats | None, low: Floats, starts: Integers, place: Integers, count: Integers, left: Floats
) -> Clock:
    """Return the position of each training row in its parent's history."""
    if times is None:
        nothing = np.zeros(len(place))
        return Clock(place, count, nothing, nothing, nothing, nothing, nothing, left)
    first = place == 0
    last = np.repeat(times[starts[1:] - 1], np.diff(starts))
    begin = np.repeat(times[starts[:-1]], np.diff(starts))
    previous = np.where(first, low, np.concatenate([times[:1], times[:-1]]))
    gaps = np.where(first, 0.0, times - previous)
    before = np.where(first | (place == 1), 0.0, np.concatenate([gaps[:1], gaps[:-1]]))
    return Clock(place, count, low, begin, last, previous, before, left)


def _class_totals(
    classes: PlannedClasses, frame: pd.DataFrame, codec: Codec, encoded: Tokens, order: list[int]
) -> ClassTotals:
    """Return the slot and token of each class: of the first slot with a token in exactly the rows of the class.

    If another column determines a class, such as a symbol that only transfers have, its slot decides.
    """
    single = [at for at, i in enumerate(order) if codec.slots[i].digit is None]
    places, tokens = [], []
    for one in classes.by_column.values():
        rows = one.rows(frame)
        codes = encoded[int(np.argmax(rows))]
        at = next(
            at
            for at in single
            if codec.slots[order[at]].column == one.column
            or np.array_equal(encoded[:, order[at]] == codes[order[at]], rows)
        )
        places.append(at)
        tokens.append(codes[order[at]])
    totals = np.array(places, np.int64), np.array(tokens, np.int64)
    deciding = deciding_tokens(encoded[:, order].astype(np.int64), *totals, category_slots(codec, order))
    return ClassTotals(tuple(classes.by_column), *totals, classes.nesting, classes.regular, deciding)


def _drawing_order(codec: Codec, encoded: Tokens) -> list[int]:
    """Return the slots with more than one token: the gap first, then a Chow-Liu order, high digits before low ones."""
    slots = codec.slots
    learned = [i for i in range(len(slots)) if len(np.unique(encoded[:, i])) > 1 and slots[i].column != GAP]
    layout = Layout(
        tuple(slots[i].size for i in learned),
        tuple(getattr(codec.coders[slots[i].column], "line", 0) if slots[i].digit is None else 0 for i in learned),
        tuple(np.bincount(encoded[:, i], minlength=slots[i].size) for i in learned),
    )
    information = mutual_information(encoded[:, learned], layout)
    chain = [learned[i] for i in chain_order(information, layout.sizes, nearest_first=True)]
    out = [i for i in range(len(slots)) if slots[i].column == GAP]
    for i in chain:
        if slots[i].digit == 1:
            out += [j for j in (i - 1,) if j not in out and j in learned]
        out += [i] if i not in out else []
    return out


def _allowed(codec: Codec, encoded: Tokens, slot: int) -> npt.NDArray[np.bool_]:
    """Return the tokens of a slot that may occur in a synthetic row, shape (size,)."""
    seen = np.bincount(encoded[:, slot], minlength=codec.slots[slot].size) > 0
    if codec.slots[slot].digit is not None:
        return seen
    emit = seen & codec.coders[codec.slots[slot].column].allowed_tokens
    return emit if emit.any() else seen
