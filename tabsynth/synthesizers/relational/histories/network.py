"""Autoregressive network of a parent's children: row by row and slot by slot, with running means as memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.common.arrays import Arrays
from tabsynth.synthesizers.relational.histories.gaps import N_RATIOS
from tabsynth.synthesizers.relational.histories.memory import N_MEANS, means_before
from tabsynth.synthesizers.relational.histories.running_slots import N_AFTER
from tabsynth.synthesizers.relational.occurrences.calendar_days import N_CLASSES, CalendarGaps
from tabsynth.synthesizers.relational.occurrences.earlier_numbers import N_DISTANCES, EarlierNumber
from tabsynth.synthesizers.relational.occurrences.precedents import RowClass
from tabsynth.training.networks.layers import new_layer
from tabsynth.training.networks.masked import Block


def check_weights(weights: Arrays, width: int, memory: int, context: int) -> None:
    """Raise a ValueError unless stored weights are those of a network of these sizes, before it takes its memory."""
    if weights["keep.weight"].shape != (N_MEANS * memory, width) or context > len(weights["context.weight"]):
        raise ValueError(f"it does not contain the weights of a network of width {width} and {context} known tokens")


class HistoryNetwork(nn.Module):
    """Logits of each slot of a child row, given its context, the rows before it and the slots before it.

    A first block computes features that all slots of a row share; a second block computes the features of each slot
    from these and the slots before it. In an ordered table, the first slot is the gap. Its logits are the sum of logits
    of its tokens and of logits of their ratios to the mean remaining gap, because gaps recur as lengths (a week) but
    vary as ratios; gaps of whole days also have logits of the days that they reach. Numbers that depend on an earlier
    sibling's number have additional logits by the distance from it.

    Args:
        sizes: Number of tokens of each slot of a row.
        context: Number of tokens of each feature that is known before the row.
        late: Number of tokens of each feature that is known after the first slot, the row's time.
        row_class: Slots after which the precedent is known; None for no precedents.
        earlier: Slots whose numbers depend on an earlier sibling's.
        deciding: Slots that determine a running total.
        calendar: Gaps of whole days; None if the days that they reach do not matter.
        width: Width of the residual stream.
        memory: Features of each running mean.
        dropout: Share of features and of inner units dropped in training.
        generator: Generator of the initial weights.
    """

    row_offsets: Tensor
    context_offsets: Tensor
    late_offsets: Tensor
    previous_offsets: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        context: Sequence[int],
        late: Sequence[int],
        row_class: RowClass | None = None,
        earlier: Sequence[EarlierNumber] = (),
        deciding: Sequence[int] = (),
        calendar: CalendarGaps | None = None,
        *,
        width: int,
        memory: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.sizes, self.width, self.dropout, self.row_class = list(sizes), width, dropout, row_class
        self.class_slot = None if row_class is None else row_class.last
        self.earlier = {one.slot: (at, one, torch.from_numpy(one.classes)) for at, one in enumerate(earlier)}
        self.register_buffer("row_offsets", _offsets(sizes), persistent=False)
        self.register_buffer("context_offsets", _offsets(context), persistent=False)
        self.register_buffer("late_offsets", _offsets(late), persistent=False)
        self.register_buffer("previous_offsets", _offsets([size + 1 for size in sizes]), persistent=False)
        self.context = new_layer(nn.Embedding, sum(context), width)
        self.late = new_layer(nn.Embedding, max(sum(late), 1), width)
        self.previous = new_layer(nn.Embedding, max(sum(sizes) + len(sizes), 1), width)
        rows = sum(sizes) + len(sizes) if row_class is not None else 1
        self.precedent = new_layer(nn.Embedding, rows, width)
        self.row = new_layer(nn.Embedding, max(sum(sizes), 1), width)
        self.position = nn.Parameter(torch.zeros(len(sizes), width))
        self.keep = new_layer(nn.Linear, width, N_MEANS * memory)
        self.read = new_layer(nn.Linear, N_MEANS * memory, width)
        self.heads = new_layer(nn.Linear, width, max(sum(sizes), 1))
        self.ratio = new_layer(nn.Linear, width, N_RATIOS)
        for module in (self.context, self.late, self.previous, self.precedent, self.row):
            nn.init.normal_(module.weight, std=0.1, generator=generator)
        for layer, units in ((self.keep, width), (self.read, memory), (self.heads, width), (self.ratio, width)):
            for weight in layer.parameters():
                nn.init.uniform_(weight, -(units**-0.5), units**-0.5, generator=generator)
        self.distance = nn.Parameter(torch.zeros(len(earlier), N_DISTANCES, width + 1)) if earlier else None
        self.deciding = {slot: at for at, slot in enumerate(deciding)}
        ends = np.cumsum([0, *(sizes[slot] for slot in deciding)]).tolist()
        self.after_columns = {slot: slice(ends[at], ends[at + 1]) for slot, at in self.deciding.items()}
        self.total = nn.Parameter(torch.zeros(len(deciding), N_AFTER, width + 1)) if len(deciding) else None
        lengths = np.full(0, -1) if calendar is None else calendar.lengths
        self.daily_tokens = torch.from_numpy(np.flatnonzero(lengths >= 0))
        self.daily_lengths = torch.from_numpy(lengths[lengths >= 0])
        self.calendar = None if calendar is None else nn.Parameter(torch.zeros(N_CLASSES, width + 1))
        self.trunk = Block(width, 2 * width, dropout, generator)
        self.block = Block(width, width, dropout, generator)
        self.norm = nn.LayerNorm(width)

    def shared(self, context: Tensor, previous: Tensor, memory: Tensor) -> Tensor:
        """Compute the stream that all slots share, shape (n, width), from a memory of shape (n, means, features)."""
        known = functional.embedding_bag(context + self.context_offsets, self.context.weight, mode="sum")
        before = functional.embedding_bag(previous + self.previous_offsets, self.previous.weight, mode="sum")
        out: Tensor = self.trunk(known + before + self.read(memory.flatten(1)))
        return out

    def after(self, late: Tensor) -> Tensor:
        """Compute the contribution of the row's time to later slots, shape (n, width)."""
        if not late.shape[1]:
            return torch.zeros(len(late), self.width, device=late.device)
        return functional.embedding_bag(late + self.late_offsets, self.late.weight, mode="sum")

    def recall(self, precedent: Tensor) -> Tensor:
        """Compute the contribution of precedents to the slots after the class, shape (n, width)."""
        return functional.embedding_bag(precedent + self.previous_offsets, self.precedent.weight, mode="sum")

    def embed(self, tokens: Tensor, slot: int) -> Tensor:
        """Compute the contribution of one slot's tokens to later slots, shape (n, width)."""
        out: Tensor = self.row(tokens + self.row_offsets[slot])
        return out

    def distances(self, slot: int, previous: Tensor, precedents: Tensor) -> Tensor | None:
        """Return the class of each token's distance from the earlier sibling's, shape (n, size); None for other slots.

        Args:
            slot: The slot.
            previous: Tokens of the previous sibling, shape (n, slots).
            precedents: Tokens of the last sibling of the row's class, shape (n, slots).
        """
        if slot not in self.earlier:
            return None
        _, one, classes = self.earlier[slot]
        return classes[(precedents if one.by_class else previous)[:, slot]]

    def distance_weight(self, slot: int) -> Tensor:
        """Return the weights of the classes of a slot's distances, biases last, shape (classes, width + 1)."""
        assert self.distance is not None
        return self.distance[self.earlier[slot][0]]

    def total_weight(self, slot: int) -> Tensor:
        """Return the weights of the bins of the total that a slot determines, biases last, shape (bins, width + 1)."""
        assert self.total is not None
        return self.total[self.deciding[slot]]

    def by_length(self, hidden: Tensor, reached: Tensor) -> Tensor:
        """Return the logits of the days that gaps of whole days reach, shape (n, lengths).

        Args:
            hidden: Features of the gap's slot, shape (n, width).
            reached: Classes of these days, shape (n, kinds, lengths).
        """
        assert self.calendar is not None
        scores = functional.linear(hidden, self.calendar[:, :-1], self.calendar[:, -1])
        return scores.gather(1, reached.flatten(1).long()).view(reached.shape).sum(1)

    def logits(
        self,
        stream: Tensor,
        slot: int,
        classes: Tensor | None,
        after: Tensor | None = None,
        reached: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of a slot, shape (n, size).

        Args:
            stream: Sum of the shared features and of the contributions of the slots before, shape (n, width).
            slot: The slot.
            classes: Class of each token's ratio to the mean remaining gap, or of its distance from an earlier
                number, shape (n, tokens); None for other slots.
            after: Bin of the running total after the row for each token, shape (n, tokens); None for other slots.
            reached: Classes of the days that gaps reach, shape (n, kinds, lengths); None for other slots.
        """
        hidden = self.norm(self.block(stream + self.position[slot]))
        at = slice(int(self.row_offsets[slot]), int(self.row_offsets[slot]) + self.sizes[slot])
        out = functional.linear(hidden, self.heads.weight[at], self.heads.bias[at])
        if slot in self.earlier and classes is not None:
            weight = self.distance_weight(slot)
            out = out + functional.linear(hidden, weight[:, :-1], weight[:, -1]).gather(1, classes.long())
        elif classes is not None and classes.shape[1]:
            out = out + self.ratio(hidden).gather(1, classes.long())
        if after is not None:
            weight = self.total_weight(slot)
            out = out + functional.linear(hidden, weight[:, :-1], weight[:, -1]).gather(1, after.long())
        if reached is not None and self.calendar is not None:
            own = self.by_length(hidden, reached)[:, self.daily_lengths]
            out = out.index_add(1, self.daily_tokens, own)
        return out

    def remember(self, tokens: Tensor, late: Tensor) -> Tensor:
        """Compute the memory features of whole rows, shape (n, means, features)."""
        rows: Tensor = self.row(tokens + self.row_offsets)
        kept: Tensor = functional.silu(self.keep(rows.sum(-2) + self.after(late)))
        return kept.unflatten(1, (N_MEANS, -1))  # type: ignore[no-untyped-call,no-any-return]

    def losses(self, batch: HistoryBatch) -> Tensor:
        """Return the cross-entropy of each slot that is sampled, 0 for known slots, shape (n, slots)."""
        memory = batch.rows(means_before(batch.padded(self.remember(batch.tokens, batch.late))))
        stream = self.shared(batch.context, batch.previous, memory)
        late = self.after(batch.late)
        out = []
        for slot in range(len(self.sizes)):
            is_gap = slot == 0 and batch.ratios.shape[1]
            classes = batch.ratios if is_gap else self.distances(slot, batch.previous, batch.precedents)
            after = batch.after[:, self.after_columns[slot]] if slot in self.deciding else None
            logits = self.logits(stream, slot, classes, after, batch.reached if slot == 0 else None)
            out.append(functional.cross_entropy(logits, batch.tokens[:, slot], reduction="none"))
            stream = stream + self.embed(batch.tokens[:, slot], slot)
            if slot == 0:
                stream = stream + late
            if slot == self.class_slot:
                stream = stream + self.recall(batch.precedents)
        return torch.stack(out, 1) * ~batch.known


class HistoryBatch:
    """Whole histories as tensors.

    Args:
        parts: Context, late, previous, tokens, known, ratios, precedents, after and reached of some parents' children.
        lengths: Number of children of each of these parents.

    Attributes:
        context: Shape (n, context features).
        late: Shape (n, late features).
        previous: Tokens of the previous sibling, the slot's size where there is none, shape (n, slots).
        tokens: Shape (n, slots).
        known: Slots that the plan determines, shape (n, slots).
        ratios: Class of each gap token's ratio to the mean remaining gap, shape (n, tokens of the gap).
        precedents: Tokens of the precedent, the slot's size where there is none, shape (n, slots or 0).
        after: Bin of the running total after the row for each token of the slots that decide one, shape (n, tokens).
        reached: Classes of the days that gaps of whole days reach, shape (n, kinds, lengths or 0).
    """

    def __init__(self, parts: Sequence[np.ndarray], lengths: np.ndarray) -> None:
        tensors = [torch.from_numpy(part) for part in parts]
        self.context, self.late, self.previous, self.tokens, self.known = tensors[:5]
        self.ratios, self.precedents, self.after, self.reached = tensors[5:]
        places = np.arange(int(lengths.max()))[None, :]
        self._inside = torch.from_numpy(places < lengths[:, None])

    def padded(self, rows: Tensor) -> Tensor:
        """Return the values of rows as one sequence for each parent, shape (parents, most children, ...)."""
        out = rows.new_zeros((*self._inside.shape, *rows.shape[1:]))
        out[self._inside] = rows
        return out

    def rows(self, padded: Tensor) -> Tensor:
        """Return the values of each row of padded ones, shape (n, ...)."""
        return padded[self._inside]


def _offsets(sizes: Sequence[int]) -> Tensor:
    """Return the offset of each feature's tokens in a joint embedding table."""
    return torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)[: len(sizes)])
