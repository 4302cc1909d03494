"""Sampling of private histories: all parents in parallel, one sibling at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers, Tokens
from tabsynth.relations.declared.satisfy import satisfy_linked
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.conditions import decode_rows, slot_limits
from tabsynth.synthesizers.relational.plan import read_plan
from tabsynth.synthesizers.relational.private.history_model import HistoryMarginals
from tabsynth.synthesizers.relational.private.learned_tables import gap_shares, window_bounds
from tabsynth.synthesizers.relational.tables import restore_dates
from tabsynth.synthesizers.relational.timeline import Timeline


@dataclass(frozen=True, eq=False)
class DrawnTable:
    """A sampled table.

    Attributes:
        learned: Its rows in the form in which they are learned, with plans of children.
        visible: Its rows without keys.
        tokens: The learned tokens of its rows.
        parents: The parent's row number of each row, ascending; None for the root table.
    """

    learned: pd.DataFrame
    visible: pd.DataFrame
    tokens: Tokens
    parents: Integers | None = None


def draw_children(
    model: HistoryMarginals,
    name: str,
    visible: Schema,
    timeline: Timeline | None,
    parent: DrawnTable,
    parent_schema: Schema,
    given: Mapping[str, Any] | None,
    rng: np.random.Generator,
) -> DrawnTable:
    """Sample the children of parents.

    Args:
        model: The child's model.
        name: Its name.
        visible: Its schema without keys.
        timeline: Encoding of its times, None without order.
        parent: The parents.
        parent_schema: Their schema without keys.
        given: Conditions that every row must satisfy.
        rng: Random generator.
    """
    bounds = window_bounds(timeline, parent.visible, parent_schema)
    counts, first, last = read_plan(parent.learned, name, timeline, bounds)
    plan = counts, first, np.clip(last, first, np.maximum(bounds[1], first))
    owners, times, tokens = _draw_abreast(model, parent.tokens, plan, timeline, given, rng)
    rows = decode_rows(model.codec_, model.relations_, model.rules, model.whole_tokens(tokens), given, rng)
    order = None if timeline is None else timeline.axis.column.name
    dated = restore_dates(rows, times, timeline, visible)
    return DrawnTable(rows, satisfy_linked(visible, dated, order, given or (), rng), tokens, owners)


def _draw_abreast(
    model: HistoryMarginals,
    parents: Tokens,
    plan: tuple[Integers, Floats, Floats],
    timeline: Timeline | None,
    given: Mapping[str, Any] | None,
    rng: np.random.Generator,
) -> tuple[Integers, Floats, Tokens]:
    """Sample owners, times and learned tokens of all children, sorted by owner and place."""
    counts, first, last = plan
    limits = slot_limits(model.codec_, model.active_, given)
    order = np.argsort(-counts, kind="stable")
    counts, first, last = counts[order], first[order], last[order]
    before = np.full((len(counts), len(model.active_)), -1, np.int32)
    moment, parts = first.copy(), list[tuple[Integers, Integers, Floats, Tokens]]()
    for place in range(int(counts[0]) if len(counts) else 0):
        here = slice(int(np.searchsorted(-counts, -place, side="left")))  # counts descend
        final = counts[here] == place + 1
        tokens = model.draw_next(before[here], parents[order[here]], final | (place == 0), limits, rng)
        if timeline is not None and place:
            left = counts[here] - 1 - place
            share = gap_shares(model.gap_codes(tokens, rng), left, rng)
            times = moment[here] + share * (last[here] - moment[here])
            moment[here] = np.where(final, last[here], np.round(times) if timeline.axis.seconds else times)
        before[here] = tokens
        parts.append((order[here], np.full(len(tokens), place), moment[here].copy(), tokens))
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0), before[:0]
    owners, places, moments, drawn = (np.concatenate(items) for items in zip(*parts, strict=True))
    rows = np.lexsort((places, owners))
    return owners[rows], moments[rows], drawn[rows]
