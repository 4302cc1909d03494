"""Sampling of histories: all parents abreast, one sibling at a time, one slot at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.relational.context import Clock
from tabsynth.synthesizers.relational.history import GAP, History
from tabsynth.training.precision import product_autocast

MAX_ABREAST = 8192
"""Parents that are stepped at a time, those of like numbers of children together."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sampled children, sorted by parent and place.

    Attributes:
        parents: The parent's row number of each child, shape (n,).
        times: Their times; zeros for a table without order, shape (n,).
        tokens: In drawing order, shape (n, slots).
    """

    parents: Integers
    times: Floats
    tokens: Integers


def draw_histories(
    history: History,
    parent_tokens: Integers,
    counts: Integers,
    low: Floats,
    first: Floats,
    last: Floats,
    rng: np.random.Generator,
) -> Drawn:
    """Draw the children of many parents.

    Args:
        history: The fitted model of the child table.
        parent_tokens: Tokens of each parent and its parents, shape (parents, features).
        counts: Number of children of each parent, shape (parents,).
        low: Origin of each parent's history, shape (parents,).
        first: Time of its first child, shape (parents,).
        last: Time of its last child, shape (parents,).
        rng: Source of random numbers.
    """
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    parts = []
    for begin in range(0, len(order), MAX_ABREAST):
        own = order[begin : begin + MAX_ABREAST]
        parts.append(_draw_abreast(history, parent_tokens[own], own, counts[own], low[own], first[own], last[own], rng))
    if not parts:
        return Drawn(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(history.order)), np.int64))
    parents, places, times, tokens = (np.concatenate(items) for items in zip(*parts, strict=True))
    rows = np.lexsort((places, parents))
    return Drawn(parents[rows], times[rows], tokens[rows])


@torch.inference_mode()
def _draw_abreast(
    history: History,
    parent_tokens: Integers,
    numbers: Integers,
    counts: Integers,
    low: Floats,
    first: Floats,
    last: Floats,
    rng: np.random.Generator,
) -> tuple[Integers, Integers, Floats, Integers]:
    """Draw the children of parents whose counts descend, step by step."""
    net, sizes = history.network, np.array(history.sizes)
    gap = history.codec.coders.get(GAP)
    state = torch.zeros(1, len(counts), net.gru.hidden_size)
    previous = np.tile(sizes, (len(counts), 1)).astype(np.int64)
    moment, before = low.copy(), np.zeros(len(counts))
    parts: list[tuple[Integers, Integers, Floats, Integers]] = []
    for place in range(int(counts[0]) if len(counts) else 0):
        here = int(np.searchsorted(-counts, -place, side="left"))  # counts descend: those that have more than ``place``
        count, start = counts[:here], moment[:here]
        clock = Clock(np.full(here, place), count, low[:here], last[:here], start, before[:here])
        context = np.concatenate([parent_tokens[:here], history.running.early(clock)], axis=1)
        tokens = np.zeros((here, len(sizes)), np.int64)
        with product_autocast(torch.device("cpu")):
            stream = net.base(torch.from_numpy(context), torch.from_numpy(previous[:here]), state[0, :here])
            times = first[:here].copy()
            begin = 0
            if gap is not None:
                share = np.zeros(here)
                tokens[:, 0] = history.sizes[0] - 1  # missing is the last token
                free = (place > 0) & (count > place + 1)
                if free.any():
                    drawn = _draw_slot(history, stream, 0, rng)
                    tokens[free, 0] = drawn[free]
                    share[free] = np.clip(np.nan_to_num(gap.decode(drawn[free].astype(np.int32), rng)), 0.0, 1.0)
                if place > 0:
                    times = start + share * np.maximum(last[:here] - start, 0.0)
                    times = np.where(
                        count == place + 1, last[:here], _on_grid(times, start, last[:here], history.running.seconds)
                    )
                stream = stream + net.embed(torch.from_numpy(tokens[:, 0]), 0)
                begin = 1
            late = torch.from_numpy(history.running.late(clock, times))
            if begin:
                stream = stream + net.after(late)
            for slot in range(begin, len(sizes)):
                tokens[:, slot] = _draw_slot(history, stream, slot, rng)
                stream = stream + net.embed(torch.from_numpy(tokens[:, slot]), slot)
            read = net.remember(torch.from_numpy(tokens), late)
            _, state[:, :here] = _as_float(net.gru(read.float().unsqueeze(1), state[:, :here].contiguous()))
        before[:here] = 0.0 if place == 0 else times - start
        moment[:here], previous[:here] = times, tokens
        parts.append((numbers[:here], np.full(here, place), times, tokens))
    parents, places, times, tokens = (np.concatenate(items) for items in zip(*parts, strict=True))
    return parents, places, times, tokens


def _as_float(result: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """A GRU's output in float32."""
    return result[0].float(), result[1].float()


def _on_grid(times: Floats, start: Floats, last: Floats, seconds: float | None) -> Floats:
    """Dates in whole units of the axis, between the sibling before and the last child."""
    return np.clip(np.round(times), start, last) if seconds else times


def _draw_slot(history: History, stream: Tensor, slot: int, rng: np.random.Generator) -> Integers:
    """Tokens of one slot for all rows, shape (n,)."""
    net = history.network
    logits = net.logits(net.hidden(stream + net.position[slot]), slot).float()
    logits = logits + torch.from_numpy(history.bias[slot])
    logits = logits.masked_fill(~torch.from_numpy(history.allowed[slot]), -torch.inf)
    share = torch.softmax(logits, 1).numpy().astype(np.float64)
    ends = np.cumsum(share, axis=1)
    position = rng.random(len(share))[:, None] * ends[:, -1:]
    token = (ends < position).sum(1)
    return np.asarray(np.minimum(token, share.shape[1] - 1), np.int64)
