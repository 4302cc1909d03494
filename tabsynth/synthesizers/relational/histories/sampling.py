"""Sampling of histories: all parents in parallel, one sibling at a time, one slot at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.categories.bounded_pairs import bounded_pairs
from tabsynth.relations.categories.determined_tokens import excluded_tokens, repair_violations
from tabsynth.synthesizers.relational.histories.context import Clock
from tabsynth.synthesizers.relational.histories.gaps import GapTokens, left_class, mean_gap_left
from tabsynth.synthesizers.relational.histories.history import GAP, History
from tabsynth.synthesizers.relational.histories.memory import N_MEANS, update_means
from tabsynth.synthesizers.relational.occurrences.calendar_days import RecentDays
from tabsynth.synthesizers.relational.occurrences.novelty import SeenTokens
from tabsynth.synthesizers.relational.occurrences.precedents import Precedents, classes_of
from tabsynth.synthesizers.relational.occurrences.repeated_numbers import SampledNumbers

MAX_ABREAST = 8192
"""Maximum number of parents that are sampled in parallel; parents with similar numbers of children are grouped."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sampled children, sorted by parent and place.

    Attributes:
        parents: The parent's row number of each child, shape (n,).
        times: Their times; zeros for a table without order, shape (n,).
        tokens: Their tokens, slots in sampling order, shape (n, slots).
        ratios: Binned ratio of each gap to the mean of the remaining gaps, shape (n,).
        numbers: The numbers of the slots from which totals are computed or that repeat, NaN where missing, shape (n,
            slots).
    """

    parents: Integers
    times: Floats
    tokens: Integers
    ratios: Integers
    numbers: Floats


def draw_histories(
    history: History,
    parent_tokens: Integers,
    bounds: tuple[Floats, Floats],
    plan: tuple[Integers, Floats, Floats],
    planned: Floats,
    rng: np.random.Generator,
    ends: tuple[Floats, Floats] | None = None,
) -> Drawn:
    """Sample the children of many parents.

    Args:
        history: The fitted model of the child table.
        parent_tokens: Tokens of each parent and its parents, shape (parents, features).
        bounds: Origin and end of each parent's history, shape (parents,) each.
        plan: Number of children of each parent, and the times of its first and last child, shape (parents,) each.
        planned: Number of its children of each class of the plan, NaN where unknown, shape (parents, classes).
        rng: Random generator.
        ends: Initial and final value of each parent's running totals, NaN if unknown, shape (parents, totals) each.
    """
    ends = (np.full((len(bounds[0]), len(history.totals.totals)), np.nan),) * 2 if ends is None else ends
    (low, high), (counts, first, last) = bounds, plan
    first, last = _reachable(history, low, high, counts, first, last)
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    parts = []
    for begin in range(0, len(order), MAX_ABREAST):
        own = order[begin : begin + MAX_ABREAST]
        spans, sums = (low[own], first[own], last[own]), (planned[own], ends[0][own], ends[1][own])
        parts.append(_draw_abreast(history, parent_tokens[own], own, counts[own], *spans, *sums, rng))
    if not parts:
        none, wide = np.zeros(0, np.int64), np.zeros((0, len(history.order)))
        return Drawn(none, np.zeros(0), wide.astype(np.int64), none, wide)
    parents, places, times, tokens, ratios, values = (np.concatenate(items) for items in zip(*parts, strict=True))
    rows = np.lexsort((places, parents))
    return Drawn(parents[rows], times[rows], tokens[rows], ratios[rows], values[rows])


def _reachable(
    history: History, low: Floats, high: Floats, counts: Integers, first: Floats, last: Floats
) -> tuple[Floats, Floats]:
    """Move first and last times so that every gap between them can lie between the shortest and the longest gap."""
    coder = history.codec.numeric_coders.get(GAP)
    if coder is None or not coder.n_ordered_tokens:
        return first, last
    least, most = coder.token_bounds()[0].min(), coder.token_bounds()[1].max()
    gaps = np.maximum(counts - 1, 0)
    last = np.clip(last, first + gaps * least, first + gaps * most)
    over = np.clip(last - high, 0.0, np.maximum(first - low, 0.0)) * (gaps > 0)
    return first - over, last - over


@torch.inference_mode()
def _draw_abreast(
    history: History,
    parent_tokens: Integers,
    numbers: Integers,
    counts: Integers,
    low: Floats,
    first: Floats,
    last: Floats,
    planned: Floats,
    totals: Floats,
    closing: Floats,
    rng: np.random.Generator,
) -> tuple[Integers, Integers, Floats, Integers, Integers, Floats]:
    """Sample, step by step, the children of parents that are sorted by descending number of children."""
    net, sizes = history.network, np.array(history.sizes)
    coder = history.codec.numeric_coders.get(GAP)
    gap = None if coder is None else GapTokens.of(coder)
    state = torch.zeros(len(counts), N_MEANS, net.keep.out_features // N_MEANS)
    previous = np.tile(sizes, (len(counts), 1)).astype(np.int64)
    moment, before = low.copy(), np.zeros(len(counts))
    left, precedents = planned.copy(), Precedents(len(counts), net.row_class, sizes)
    seen = SeenTokens(len(counts), history.categories, sizes)
    running = history.totals
    totals = totals.copy()
    recent = None
    if history.calendar is not None:
        ends = history.calendar.days(np.concatenate([low, first, last]))
        recent = RecentDays(history.calendar, len(counts), ends.min(), ends.max())
    exact = _sampled_numbers(history, len(counts))
    rules = (*history.functions, *bounded_pairs(history.relations.rules, history.codec, history.order))
    parts: list[tuple[Integers, Integers, Floats, Integers, Integers, Floats]] = []
    for place in range(int(counts[0]) if len(counts) else 0):
        here = int(np.searchsorted(-counts, -place, side="left"))  # parents with more children than ``place``
        count, start = counts[:here], moment[:here]
        clock = Clock(
            np.full(here, place), count, low[:here], first[:here], last[:here], start, before[:here], left[:here]
        )
        early = running.early(totals[:here], closing[:here], count - place)
        context = np.concatenate([parent_tokens[:here], history.running.early(clock), early], axis=1)
        tokens = np.zeros((here, len(sizes)), np.int64)
        unmasked = np.zeros(here, bool)  # rows in which a dependency left no token, so that it may be violated
        times, ratio = first[:here].copy(), np.zeros(here, np.int64)
        if not len(sizes):
            parts.append((numbers[:here], np.full(here, place), times, tokens, ratio, np.zeros(tokens.shape)))
            continue
        if gap is not None:
            tokens[:, 0] = sizes[0] - 1  # missing is the last token, the gap of a first child
        stream = net.shared(torch.from_numpy(context), torch.from_numpy(previous[:here]), state[:here])
        if gap is not None and coder is not None and place > 0:
            pinned = count == place + 1
            times = last[:here].copy()
            tokens[:, 0] = coder.encode(times - start)
            if not pinned.all():
                reached = None if recent is None else recent.reached(recent.gaps.days(start))
                length, drawn = _draw_gaps(history, gap, stream, clock, previous[:here, 0], ratio, reached, rng)
                times = np.where(pinned, times, history.running.on_grid(start + length))
                tokens[:, 0] = np.where(pinned, tokens[:, 0], drawn)
        features = history.running.late(clock, times)
        if recent is not None:
            features = np.concatenate([features, recent.features(recent.gaps.days(times))], axis=1)
        late, recalled, values = torch.from_numpy(features), previous[:here], np.full(tokens.shape, np.nan)
        for slot in range(len(sizes)):
            if (slot > 0 or gap is None) and running.is_free(slot, totals[:here]).any():
                contrary = excluded_tokens(rules, slot, tokens, sizes[slot])
                possible = history.allowed[slot] if contrary is None else history.allowed[slot] & ~contrary
                beyond = running.beyond(slot, tokens, totals[:here], possible)
                unseen = seen.unseen(slot, here)
                used = history.running.classes.used(slot, left[:here], planned[:here], sizes[slot])
                if recent is not None and net.row_class is not None and slot in net.row_class.slots:
                    due = net.row_class.token(slot, features[:, -1])  # an event that is due takes place
                    used[np.flatnonzero(due >= 0), due[due >= 0]] = False
                classes = net.distances(slot, torch.from_numpy(previous[:here]), torch.from_numpy(recalled))
                after = None
                if slot in net.deciding:
                    bins = running.after_bins(tokens, totals[:here])[:, net.after_columns[slot]]
                    after = torch.from_numpy(bins)
                logits = _corrected(history, net.logits(stream, slot, classes, after), slot, previous[:here, slot])
                if after is not None:
                    logits = logits + torch.from_numpy(running.corrections(slot, bins, history.after_bias[slot]))
                if classes is not None:
                    logits = logits + torch.from_numpy(history.distance_bias[slot])[classes.long()]
                barred = barred_tokens(history.allowed[slot], beyond, contrary, used, unmasked)
                if unseen is not None:
                    logits = logits + torch.from_numpy(unseen * history.new_bias[slot])
                tokens[:, slot] = _draw(logits.masked_fill(torch.from_numpy(barred), -torch.inf), rng)
            own = exact.draw(slot, tokens[:, slot], classes_of(net.row_class, tokens)[0], rng)
            if own is not None:
                values[:, slot] = own
            if slot in running.places:
                tokens[:, slot] = running.compute(slot, tokens, values, totals[:here], rng)
                values[:, slot] = totals[:here, running.places.index(slot)]
            stream = stream + net.embed(torch.from_numpy(tokens[:, slot]), slot)
            if slot == 0:
                stream = stream + net.after(late)
            if slot == net.class_slot:
                recalled = precedents.read(classes_of(net.row_class, tokens)[0])
                stream = stream + net.recall(torch.from_numpy(recalled))
        if unmasked.any():
            rows = tokens[unmasked]
            repair_violations(history.functions, rows, history.allowed, rng)
            tokens[unmasked] = rows
        state[:here] = update_means(state[:here], net.remember(torch.from_numpy(tokens), late), place)
        before[:here] = 0.0 if place == 0 else times - start
        moment[:here], previous[:here] = times, tokens
        precedents.update(tokens)
        seen.update(tokens)
        if recent is not None:
            recent.update(recent.gaps.days(times), classes_of(net.row_class, tokens)[0])
        left[:here] = history.running.classes.update(left[:here], tokens)
        parts.append((numbers[:here], np.full(here, place), times, tokens, ratio, values))
    parents, places, times, tokens, ratios, values = (np.concatenate(items) for items in zip(*parts, strict=True))
    return parents, places, times, tokens, ratios, values


def _sampled_numbers(history: History, parents: int) -> SampledNumbers:
    """Return the numbers that are sampled with their rows: those that a total adds up, and those that may repeat."""
    terms = {name for total in history.totals.totals for name, _ in total.terms}
    slots = {at: history.codec.slots[i] for at, i in enumerate(history.order)}
    coders = {
        at: history.codec.numeric_coders[slot.column]
        for at, slot in slots.items()
        if slot.digit is None and (slot.column in terms or at in history.exact.repeats)
    }
    by_class = [slot for slot, (_, one, _) in history.network.earlier.items() if one.by_class]
    return SampledNumbers(parents, coders, history.exact, by_class)


def _draw_gaps(
    history: History,
    gap: GapTokens,
    stream: Tensor,
    clock: Clock,
    previous: Integers,
    ratio: Integers,
    reached: npt.NDArray[np.uint8] | None,
    rng: np.random.Generator,
) -> tuple[Floats, Integers]:
    """Return the gaps within the remaining time and their tokens, shape (n,) each; writes the ratios to ``ratio``."""
    left = np.maximum(clock.last - clock.previous, 0.0)
    ratios = gap.ratios(mean_gap_left(clock))
    days = None if reached is None else torch.from_numpy(reached)
    logits = history.network.logits(stream, 0, torch.from_numpy(ratios), reached=days)
    logits = _corrected(history, logits, 0, previous)
    own = np.take_along_axis(history.ratio_bias[left_class(clock)], ratios.astype(np.int64), 1)
    least = float(np.nanmin(gap.low))
    rest = (clock.count - clock.place - 1) * least  # minimum time that the gaps of later siblings need
    limit = np.maximum(np.minimum(history.longest[left_class(clock)] * left, left - rest), least)
    beyond = ~history.allowed[0] | ~(gap.low[None, :] <= limit[:, None])
    beyond[:, int(np.nanargmin(gap.low))] = False
    logits = (logits + torch.from_numpy(own)).masked_fill(torch.from_numpy(beyond), -torch.inf)
    drawn = _draw(logits, rng)
    ratio[:] = np.take_along_axis(ratios, drawn[:, None], 1)[:, 0]
    low, length = gap.low[drawn], history.codec.numeric_coders[GAP].decode(drawn.astype(np.int32), rng)
    # The length of a token whose bin extends beyond the limit is sampled again below the limit.
    length = np.where(length <= limit, length, low + rng.random(len(left)) * (limit - low))
    return np.minimum(length, left), drawn


def _corrected(history: History, logits: Tensor, slot: int, previous: Integers) -> Tensor:
    """Add the calibration biases of the history to logits; ``previous`` is the token of the previous sibling."""
    out = logits + torch.from_numpy(history.bias[slot])
    stay = np.append(history.stay_bias[slot], np.float32(0))  # last entry: the first child has no previous sibling
    at = torch.from_numpy(np.minimum(previous, len(stay) - 2)[:, None])
    return out.scatter_add(1, at, torch.from_numpy(stay[previous][:, None]))


def barred_tokens(allowed: Bools, beyond: Bools | None, contrary: Bools | None, used: Bools, unmasked: Bools) -> Bools:
    """Return the tokens of a slot that must not be sampled, shape (n, size).

    Args:
        allowed: Tokens that may be sampled in any row, shape (size,).
        beyond: Tokens that would move a running total out of its range, shape (n, size); None for none.
        contrary: Tokens that violate a dependency, unless no other token is left.
        used: Tokens of classes that already have all their planned rows, unless no other token is left.
        unmasked: Set to True, in place, in rows in which a token that violates a dependency may be sampled, shape (n,).
    """
    barred = np.broadcast_to(~allowed if beyond is None else ~allowed | beyond, used.shape)
    if contrary is not None:
        none_left: Bools = np.all(barred | contrary, axis=1)
        unmasked |= none_left
        barred = np.where(none_left[:, None], barred, barred | contrary)
    return np.where((barred | used).all(1, keepdims=True), barred, barred | used)


def _draw(logits: Tensor, rng: np.random.Generator) -> Integers:
    """Return a token of each row, shape (n,)."""
    ends = np.cumsum(torch.softmax(logits, 1).numpy().astype(np.float64), axis=1)
    position = rng.random(len(ends))[:, None] * ends[:, -1:]
    return np.asarray(np.minimum((ends < position).sum(1), ends.shape[1] - 1), np.int64)
