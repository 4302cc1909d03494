"""Fit and sample one child table: its history network, the vocabulary for its own children, and its dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec, default_tokens
from tabsynth.codec.column_values import local_clock_of, measure_column, numeric_values
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Floats, Integers
from tabsynth.common.progress import Progress
from tabsynth.data.table import Table
from tabsynth.relations.categories.token_rules import TokenRule, discover_token_rules
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.synthesizers.relational.histories.calibration import calibrate
from tabsynth.synthesizers.relational.histories.conditions import decode_rows, restrict
from tabsynth.synthesizers.relational.histories.history import GAP, History
from tabsynth.synthesizers.relational.histories.running_slots import RunningSlots
from tabsynth.synthesizers.relational.histories.sampling import Drawn, draw_histories
from tabsynth.synthesizers.relational.histories.training import train_history
from tabsynth.synthesizers.relational.histories.training_rows import ChildRows, Siblings, prepare
from tabsynth.synthesizers.relational.occurrences.calendar_days import DAY_SECONDS
from tabsynth.synthesizers.relational.occurrences.earlier_numbers import earlier_rows, free_numbers
from tabsynth.synthesizers.relational.occurrences.precedents import classes_of
from tabsynth.synthesizers.relational.occurrences.repeated_numbers import NumbersByClass, repeat_rate, rounding_units
from tabsynth.synthesizers.relational.occurrences.times_of_day import TimesOfDay
from tabsynth.synthesizers.relational.orphans import Orphans
from tabsynth.synthesizers.relational.plan import (
    add_orphans,
    plan_columns,
    read_class_totals,
    read_ends,
    read_plan,
)
from tabsynth.synthesizers.relational.tables import TrainingTable, history_bounds, with_orphan_bounds
from tabsynth.synthesizers.relational.timeline import Timeline

WIDTH, MEMORY, DROPOUT = 128, 24, 0.3


@dataclass(frozen=True, eq=False)
class ParentFeatures:
    """Features of the parents that a child's network reads.

    Attributes:
        tokens: Shape (parents, features).
        sizes: Number of tokens of each feature.
    """

    tokens: Integers
    sizes: list[int]

    def with_unknown(self, rows: int) -> ParentFeatures:
        """Return the features with some unknown parents, all of whose tokens are missing, appended."""
        missing = np.tile(np.array(self.sizes, np.int64) - 1, (rows, 1))
        return ParentFeatures(np.concatenate([self.tokens, missing.reshape(rows, len(self.sizes))]), self.sizes)


def fit_history(
    name: str,
    part: TrainingTable,
    above: TrainingTable,
    features: ParentFeatures,
    *,
    totals: Sequence[RunningTotal] = (),
    epochs: int | None,
    min_group: int,
    seed: int,
    progress: bool | None,
    callbacks: tuple[Callable[[Progress], None], ...],
) -> History:
    """Learn a child table.

    Args:
        name: Its name.
        part: Its rows.
        above: The parent's rows.
        features: Features of each parent.
        totals: Running totals of its columns.
        epochs: Number of epochs; by default from the number of rows.
        min_group: Minimum number of roots that share a category or a number.
        seed: Seed of the fit.
        progress: Whether to show a bar.
        callbacks: Called after every pass.
    """
    rows = part.rows
    assert rows is not None
    starts = np.append(np.flatnonzero(np.diff(rows, prepend=-1)), len(rows)).astype(np.int64)
    timeline = part.timeline
    bounds = with_orphan_bounds(history_bounds(timeline, above.frame, above.schema), timeline, part.orphans)
    features = features.with_unknown(part.orphans)
    counts = np.bincount(rows, minlength=len(above.learned))[: len(above.learned)]
    planned = _planned(above.learned, counts, part)
    rules = RuleSet.of(part.learned_schema)
    table = rules.training_table(Table(part.learned, part.learned_schema))
    child_rows = ChildRows(
        table,
        timeline,
        part.times,
        bounds[0][rows],
        starts,
        features.tokens[rows],
        part.roots,
        part.classes,
        planned[np.unique(rows)],
        totals,
        read_ends(above.learned, name, totals, part.orphans)[0][rows],
    )
    codec, relations, order, allowed, running, slots, siblings = prepare(child_rows, min_group=min_group)
    history = History.untrained(
        codec,
        relations,
        rules,
        order,
        allowed,
        running,
        features.sizes,
        slots,
        row_class=siblings.row_class,
        earlier=siblings.earlier,
        longest=siblings.longest,
        exact=_exact_numbers(child_rows, codec, order, siblings, min_group),
        functions=_token_rules(codec, order, slots, siblings.tokens, part.roots),
        calendar=siblings.calendar,
        width=WIDTH,
        memory=MEMORY,
        dropout=DROPOUT,
        seed=seed,
    )
    network = history.network
    if order:
        train_history(network, siblings, epochs=epochs, seed=seed, name=name, progress=progress, callbacks=callbacks)
    network.eval()
    parents = len(above.learned)
    history_ends = bounds[0][:parents], bounds[1][:parents]
    plan = read_plan(above.learned, name, part.timeline, history_ends)
    plan = add_orphans(plan, np.zeros(part.orphans) if part.times is None else part.times[part.linked :])
    ends = read_ends(above.learned, name, history.totals.totals, part.orphans)
    planned = _planned(above.learned, plan[0][:parents], part)
    calibrate(history, siblings, features.tokens, bounds, plan, planned, ends, seed)
    if timeline is not None and part.times is not None and timeline.axis.seconds:
        own_times = part.times

        def sample_times() -> Floats:
            rng = np.random.default_rng(seed)
            drawn_plan = read_plan(_as_sampled(above, name, min_group, rng), name, timeline, history_ends)
            drawn_plan = add_orphans(drawn_plan, own_times[part.linked :])
            return draw_histories(history, features.tokens, bounds, drawn_plan, planned, rng, ends).times

        history.day_times = TimesOfDay.fit(
            own_times,
            part.roots,
            sample_times,
            day=DAY_SECONDS / timeline.axis.seconds,
            clock=local_clock_of(timeline.axis.column, part.frame[timeline.axis.column.name]),
            min_group=min_group,
        )
    return history


def _as_sampled(above: TrainingTable, name: str, min_group: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the parents with first and last times as a model samples them, anywhere in the bins of their distances."""
    out, tokens = above.learned, default_tokens(len(above.learned))
    for plan in plan_columns(name)[1:]:
        column = above.learned_schema[plan]
        coder = measure_column(column, out[plan], tokens, min_group, above.roots)
        if isinstance(coder, QuantileCoder):
            out = out.assign(**{plan: coder.decode(coder.encode(numeric_values(column, out[plan])), rng)})
    return out


def _token_rules(
    codec: Codec, order: list[int], totals: RunningSlots, tokens: Integers, roots: Integers
) -> tuple[TokenRule, ...]:
    """Return the rules between slots in drawing order, without gaps and computed numbers."""
    slots = [codec.slots[i] for i in order]
    open_ = [
        None if one.digit is not None or one.column == GAP or at in totals.places else [codec.coders[one.column].rare]
        for at, one in enumerate(slots)
    ]
    sizes, missing = [one.size for one in slots], [one.missing for one in slots]
    n_ordered = [codec.coders[one.column].n_ordered_tokens for one in slots]
    return discover_token_rules(tokens.astype(np.int32), sizes, open_, missing, n_ordered, roots)


def sample_history(
    history: History,
    name: str,
    timeline: Timeline | None,
    parent: pd.DataFrame,
    bounds: tuple[Floats, Floats],
    features: ParentFeatures,
    orphans: Orphans,
    rng: np.random.Generator,
    given: Mapping[str, Any] | None = None,
) -> tuple[Drawn, pd.DataFrame, ParentFeatures]:
    """Sample the children of parents, and rows without a parent.

    Args:
        history: The child's model.
        name: Its name.
        timeline: Encoding of its times; None for a table without order.
        parent: The parents as the model learns them, plan columns included.
        bounds: Origin and end of each parent's history.
        features: Features of each parent.
        orphans: Number and times of rows without a parent.
        rng: Random generator.
        given: Conditions that every row must meet.

    Returns:
        The sampled tokens and times, the rows as the model learns them, and the features of their parents. Rows without
        a parent have parent numbers after the last parent.
    """
    plan = read_plan(parent, name, timeline, bounds)
    alone = orphans.draw(int(plan[0].sum()), rng)
    bounds = with_orphan_bounds(bounds, timeline, len(alone))
    features = features.with_unknown(len(alone))
    ends = read_ends(parent, name, history.totals.totals, len(alone))
    classes = history.running.classes
    planned = read_class_totals(parent, plan[0], classes.columns, classes.nesting, len(alone))
    plan = add_orphans(plan, alone)
    drawn = draw_histories(restrict(history, given), features.tokens, bounds, plan, planned, rng, ends)
    if history.day_times is not None and timeline is not None:
        inside = timeline.on_grid(bounds[0], later=True), timeline.on_grid(bounds[1], later=False)
        times = history.day_times.restore(drawn.times, drawn.parents, inside, rng)
        drawn = replace(drawn, times=timeline.on_grid(times, later=False))
    slots = history.codec.slots
    only = [int(np.argmax(history.codec.coders[slot.column].counts)) if slot.digit is None else 0 for slot in slots]
    tokens = np.tile(np.array(only, np.int32), (len(drawn.parents), 1))
    tokens[:, history.order] = drawn.tokens
    columns = [slots[i].column for i in history.order]
    numbers = {name: own for name, own in zip(columns, drawn.numbers.T, strict=True) if not np.isnan(own).all()}
    rows = decode_rows(history.codec, history.relations, history.rules, tokens, given, rng, numbers)
    return drawn, rows.drop(columns=GAP, errors="ignore"), features


def _planned(parent: pd.DataFrame, counts: Integers, part: TrainingTable) -> Floats:
    """Return the planned number of children of each class, shape (parents + orphans, classes)."""
    return read_class_totals(parent, counts, part.classes.by_column, part.classes.nesting, part.orphans)


def _exact_numbers(
    rows: ChildRows, codec: Codec, order: list[int], siblings: Siblings, min_group: int
) -> NumbersByClass:
    """Return the repetition and rounding of numbers, by class."""
    units, rates, frame = dict[int, Floats](), dict[int, Floats](), rows.table.frame
    classes, size = classes_of(siblings.row_class, siblings.tokens)
    terms = {name for total in rows.totals for name, _ in total.terms}
    earlier = {one.slot: one for one in siblings.earlier}
    for slot in free_numbers(codec, order, (), GAP):
        name = codec.slots[order[slot]].column
        if slot not in earlier and name not in terms:
            continue
        values = codec.numeric_values(name, frame[name])
        units[slot] = rounding_units(values, classes, size, rows.persons, min_group)
        if slot in earlier:
            before = earlier_rows(earlier[slot], siblings.tokens, siblings.row_class, siblings.starts)
            rates[slot] = repeat_rate(values, siblings.tokens[:, slot], before, classes, size)
    return NumbersByClass(rates, {slot: own for slot, own in units.items() if own.any()})
