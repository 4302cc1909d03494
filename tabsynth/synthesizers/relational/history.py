"""Vocabulary and network of one child table, whose rows are the history of each parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays, Floats, Integers, Tokens
from tabsynth.data.table import Table
from tabsynth.relations.enforcement import Relations, combined_state
from tabsynth.schema.columns import Identifier, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.context import Clock, RunningContext
from tabsynth.synthesizers.relational.gaps import LEFT_ROWS, GapTokens, left_class, longest_shares, mean_gap_left
from tabsynth.synthesizers.relational.memory import N_MEANS
from tabsynth.synthesizers.relational.network import HistoryNetwork
from tabsynth.synthesizers.relational.timeline import sibling_gaps
from tabsynth.training.networks.layout import Layout
from tabsynth.training.variable_order import chain_order, mutual_information

GAP = "_gap"
PERSON = "_person"
MAX_TOKENS = 256
"""Tokens of a numeric column, so that it takes one slot."""


@dataclass(eq=False)
class History:
    """A child table's vocabulary and network.

    Attributes:
        codec: Vocabulary of the child's columns, dates as distances, plans of its own children included.
        relations: Relations between its numeric columns.
        order: The slots in the order in which they are drawn, the gap first.
        allowed: Tokens of each slot that may be drawn, in that order.
        running: Bins of the running numbers.
        parents: Number of tokens of each feature of the parents.
        network: The network.
        bias: Correction of each slot's logits, learned by simulation.
        ratio_bias: The same of the gap's ratios, by class of rows left, shape (classes, ratios).
        longest: Longest gap as a share of the time that is left, by class of rows left, shape (classes,).
    """

    codec: Codec
    relations: Relations
    order: list[int]
    allowed: list[npt.NDArray[np.bool_]]
    running: RunningContext
    parents: list[int]
    network: HistoryNetwork
    bias: list[npt.NDArray[np.float32]]
    ratio_bias: npt.NDArray[np.float32]
    longest: Floats

    @property
    def ordered(self) -> bool:
        """Whether the rows have a time."""
        return self.running.seconds is not None

    @property
    def sizes(self) -> list[int]:
        """Number of tokens of each slot, in drawing order."""
        return [self.codec.slots[i].size for i in self.order]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """What ``from_state`` needs: plain data and arrays."""
        config, arrays = combined_state(self.codec, self.relations)
        running, edges = self.running.state()
        weights = {f"net.{name}": w.numpy() for name, w in self.network.state_dict().items()}
        return (
            {
                "codec": config,
                "order": self.order,
                "running": running,
                "parents": self.parents,
                "width": self.network.width,
                "memory": self.network.keep.out_features // N_MEANS,
            },
            {
                **arrays,
                **{f"running.{name}": a for name, a in edges.items()},
                **{f"allowed.{i}": a for i, a in enumerate(self.allowed)},
                **{f"bias.{i}": a for i, a in enumerate(self.bias)},
                "ratio_bias": self.ratio_bias,
                "longest": self.longest,
                **weights,
            },
        )

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Self:
        """Rebuild a history from its state."""

        def under(prefix: str) -> Arrays:
            return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}

        codec = Codec.from_state(config["codec"], arrays)
        running = RunningContext.from_state(config["running"], under("running."))
        order = [int(i) for i in config["order"]]
        sizes = [codec.slots[i].size for i in order]
        context = [*config["parents"], *running.early_sizes]
        network = HistoryNetwork(
            sizes,
            context,
            running.late_sizes,
            width=config["width"],
            memory=config["memory"],
            dropout=0.0,
            generator=torch.Generator().manual_seed(0),
        )
        network.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in under("net.").items()})
        network.eval()
        allowed = [arrays[f"allowed.{i}"] for i in range(len(order))]
        bias = [arrays[f"bias.{i}"] for i in range(len(order))]
        relations = Relations.from_state(config["codec"], arrays)
        return cls(codec, relations, order, allowed, running, list(config["parents"]), network, bias, arrays["ratio_bias"], arrays["longest"])


@dataclass(frozen=True, eq=False)
class Siblings:
    """Child rows sorted by parent and time, as the network learns them.

    Attributes:
        tokens: In drawing order, shape (n, slots).
        context: Parents' and early features, shape (n, features).
        late: Late features, shape (n, features).
        previous: Tokens of the sibling before, the slot's size where there is none, shape (n, slots).
        known: Slots that the plan determines, shape (n, slots).
        starts: Row number of each parent's first child and the number of rows, shape (parents with children + 1,).
        ratios: Class of each gap token's ratio to the mean gap that is left, shape (n, tokens of the gap).
        left: Class of the number of rows left, shape (n,).
        longest: As in ``History``.
    """

    tokens: Integers
    context: Integers
    late: Integers
    previous: Integers
    known: npt.NDArray[np.bool_]
    starts: Integers
    ratios: Integers
    left: Integers
    longest: Floats


def vocabulary(
    frame: pd.DataFrame, schema: Schema, persons: Integers, *, min_group: int, tokens: int | None = None
) -> tuple[Codec, Relations]:
    """Codec and relations of a table whose rows belong to persons, without identifiers of its own.

    Args:
        frame: The rows.
        schema: Their schema.
        persons: The root's row number of each row, shape (n,): released values rest on ``min_group`` roots.
        min_group: The floor.
        tokens: About how many tokens a numeric column gets.
    """
    columns = {name: column for name, column in schema.items() if column.role != "person"}
    own = Schema({**columns, PERSON: Identifier(name=PERSON, role="person")})
    table = Table(frame[list(columns)].assign(**{PERSON: persons.astype(str)}), own)
    codec = Codec.measure(table, min_group=min_group, tokens=tokens)
    relations = Relations.discover(table, codec)
    schema = Schema({name: codec.schema[name] for name in columns})
    coders = {name: codec.coders[name] for name in columns}
    patterns = {name: pattern for name, pattern in codec.patterns.items() if name in columns}
    dtypes = {name: codec.dtypes[name] for name in columns}
    return Codec(schema, coders, dtypes, patterns, codec.rows, codec.min_group), relations


def prepare(
    frame: pd.DataFrame,
    schema: Schema,
    times: Floats | None,
    low: Floats,
    starts: Integers,
    parent_tokens: Integers,
    parents: list[int],
    persons: Integers,
    window: float,
    seconds: float | None,
    *,
    min_group: int,
) -> tuple[Codec, Relations, list[int], list[npt.NDArray[np.bool_]], RunningContext, Siblings]:
    """Vocabulary, drawing order and training rows of a child table.

    Args:
        frame: Its rows, sorted by parent and time, dates as distances.
        schema: Their schema.
        times: Their times, None for a table without order, shape (n,).
        low: Origin of each row's parent, shape (n,).
        starts: Row number of each parent's first child and the number of rows.
        parent_tokens: Tokens of each row's parents, shape (n, features).
        parents: Number of tokens of each of these features.
        persons: The root's row number of each row, shape (n,).
        window: Start of the window.
        seconds: Length of a unit of time; None without order.
        min_group: The floor on roots.
    """
    if times is not None:
        frame = frame.assign(**{GAP: sibling_gaps(times, starts)})
        decimals = 0 if seconds else None
        schema = Schema({GAP: Numeric(name=GAP, nullable=True, decimals=decimals), **schema.columns})
        frame = frame[list(schema)]
    tokens = int(np.clip(1.4 * np.sqrt(len(frame)), 16, MAX_TOKENS))
    codec, relations = vocabulary(frame, schema, persons, min_group=min_group, tokens=tokens)
    encoded = codec.encode(frame)
    order = _drawing_order(codec, encoded)
    drawn = encoded[:, order].astype(np.int64)
    count = np.repeat(np.diff(starts), np.diff(starts))
    place = np.arange(len(frame)) - np.repeat(starts[:-1], np.diff(starts))
    clock = clock_of(times, low, starts, place, count)
    moments = np.zeros(len(frame)) if times is None else times
    running = RunningContext.fit(clock, moments, window, seconds)
    sizes = np.array([codec.slots[i].size for i in order])
    first = place == 0
    previous = np.where(first[:, None], sizes, np.concatenate([drawn[:1], drawn[:-1]]))
    known = np.zeros(drawn.shape, bool)
    if times is not None:
        known[:, 0] = first | (place == count - 1)
    siblings = Siblings(
        drawn,
        np.concatenate([parent_tokens, running.early(clock)], axis=1),
        running.late(clock, moments),
        previous,
        known,
        starts,
        np.zeros((len(frame), 0), np.uint8)
        if times is None
        else GapTokens.of(codec.numeric_coders[GAP]).ratios(mean_gap_left(clock)),
        left_class(clock),
        np.ones(len(LEFT_ROWS)) if times is None else longest_shares(sibling_gaps(times, starts), clock, persons, min_group),
    )
    allowed = [_allowed(codec, encoded, i) for i in order]
    return codec, relations, order, allowed, running, siblings


def clock_of(times: Floats | None, low: Floats, starts: Integers, place: Integers, count: Integers) -> Clock:
    """Where each training row lies in its parent's history."""
    if times is None:
        nothing = np.zeros(len(place))
        return Clock(place, count, nothing, nothing, nothing, nothing, nothing)
    first = place == 0
    last = np.repeat(times[starts[1:] - 1], np.diff(starts))
    begin = np.repeat(times[starts[:-1]], np.diff(starts))
    previous = np.where(first, low, np.concatenate([times[:1], times[:-1]]))
    gaps = np.where(first, 0.0, times - previous)
    before = np.where(first | (place == 1), 0.0, np.concatenate([gaps[:1], gaps[:-1]]))
    return Clock(place, count, low, begin, last, previous, before)


def _drawing_order(codec: Codec, encoded: Tokens) -> list[int]:
    """The slots with more than one token: the gap first, then a Chow-Liu order, high digits before low ones."""
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
    """Tokens of a slot that a synthetic row may hold, shape (size,)."""
    seen = np.bincount(encoded[:, slot], minlength=codec.slots[slot].size) > 0
    if codec.slots[slot].digit is not None:
        return seen
    emit = seen & codec.coders[codec.slots[slot].column].allowed_tokens
    return emit if emit.any() else seen
