"""Layout of all slots' logits in one vector, so that they share a few batched operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

WASTE = 1.25
"""Maximum ratio of the largest to the smallest slot of a bucket."""

FREQUENCIES = 17
"""Number of cosine features of an ordered token's quantile."""


@dataclass(frozen=True)
class Bucket:
    """Slots padded to one width: logits ``[start, start + len(slots) * width)`` viewed as (slots, width)."""

    slots: tuple[int, ...]
    width: int
    start: int

    @property
    def stop(self) -> int:
        """Index after the last logit."""
        return self.start + len(self.slots) * self.width


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions of the tokens of all slots in a vector of logits.

    Attributes:
        sizes: Number of tokens of each slot.
        lines: Number of leading ordered tokens of each slot (0 if unordered).
        counts: Training rows of each token, one array a slot.
        slots_with_absent_rows: Slots that some training rows do not have; counts exclude these rows.
        missing: The MISSING token of each slot, None if it has none.
    """

    sizes: tuple[int, ...]
    lines: tuple[int, ...]
    counts: tuple[npt.NDArray[np.int64], ...]
    slots_with_absent_rows: frozenset[int] = frozenset()
    missing: tuple[int | None, ...] = ()

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """Slots in buckets of similar size."""
        order = sorted(range(len(self.sizes)), key=lambda i: (-self.sizes[i], i))
        groups: list[list[int]] = []
        for slot in order:
            if groups and self.sizes[groups[-1][0]] <= max(WASTE * self.sizes[slot], 8):
                groups[-1].append(slot)
            else:
                groups.append([slot])
        made, start = [], 0
        for group in groups:
            made.append(Bucket(tuple(group), self.sizes[group[0]], start))
            start = made[-1].stop
        return tuple(made)

    @cached_property
    def widths(self) -> list[int]:
        """Number of logits of each bucket."""
        return [bucket.stop - bucket.start for bucket in self.buckets]

    @property
    def total(self) -> int:
        """Length of the vector of logits, padding included."""
        return self.buckets[-1].stop

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Index of each slot's first logit."""
        at = {slot: b.start + i * b.width for b in self.buckets for i, slot in enumerate(b.slots)}
        return tuple(at[slot] for slot in range(len(self.sizes)))

    def missing_token(self, slot: int) -> int | None:
        """Return the MISSING token of a slot, None if it has none or it is unknown."""
        return self.missing[slot] if self.missing else None

    def target_marginal(self, slot: int, emit: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the target marginal of a slot when only some tokens are allowed, shape (size,).

        The mass of other tokens is distributed over the allowed values; the share of missing values is unchanged.
        """
        out = np.where(emit, self.counts[slot], 0) / max(self.counts[slot].sum(), 1)
        missing = self.missing_token(slot)
        values = np.arange(len(out)) != (-1 if missing is None else missing)
        if out[values].any():
            out[values] *= (1 - out[~values].sum()) / out[values].sum()
        return np.asarray(out / out.sum())

    @cached_property
    def bucket_order(self) -> tuple[int, ...]:
        """Slots in bucket order."""
        return tuple(slot for bucket in self.buckets for slot in bucket.slots)

    def segment(self, slot: int) -> slice:
        """Return the positions of one slot's logits."""
        return slice(self.offsets[slot], self.offsets[slot] + self.sizes[slot])

    def waves(self, taper: float = 0.0) -> Tensor:
        """Return cosine features of each token's mid-quantile, shape (total, FREQUENCIES); zero for unordered tokens.

        The k-th is shrunk by 1 / (1 + k * taper): a prior for smooth dependence.

        Raises:
            ValueError: ``taper`` is not from 0 to 1, as in an edited model file.
        """
        if not 0 <= taper <= 1:
            raise ValueError(f"the taper must be from 0 to 1, not {taper!r}")
        out = np.zeros((self.total, FREQUENCIES), dtype=np.float32)
        for slot, line in enumerate(self.lines):
            if line > 2:
                counts = self.counts[slot][:line] + 0.5
                place = (np.cumsum(counts) - counts / 2) / counts.sum()
                angles = np.pi * place[:, None] * np.arange(FREQUENCIES)
                shrunk = np.cos(angles) / (1 + np.arange(FREQUENCIES) * taper)
                out[self.offsets[slot] : self.offsets[slot] + line] = shrunk
        return torch.from_numpy(out)

    def on_line(self) -> Tensor:
        """Return whether each token has cosine features, shape (total,)."""
        return self.waves().abs().sum(1) > 0

    def log_frequencies(self) -> Tensor:
        """Return the smoothed log-frequency of each token, shape (total,); a large negative number in the padding."""
        out = np.full(self.total, -1e4, dtype=np.float32)
        for slot, counts in enumerate(self.counts):
            smooth = counts + 0.1
            out[self.segment(slot)] = np.log(smooth / smooth.sum())
        return torch.from_numpy(out)

    def groups(self, most: int) -> tuple[npt.NDArray[np.int64], int]:
        """Group of each token, shape (total,), at most ``most`` groups per slot, and the total number of groups."""
        out = np.zeros(self.total, dtype=np.int64)
        start = 0
        for slot, size in enumerate(self.sizes):
            own = coarsen_counts(self.counts[slot], self.lines[slot], most)
            out[self.segment(slot)] = start + own
            start += int(own.max()) + 1 if size else 0
        return out, start


def coarsen_counts(counts: npt.NDArray[np.int64], line: int, most: int) -> npt.NDArray[np.int64]:
    """Group of each token, at most ``most``: quantiles of ordered tokens, the most frequent of unordered ones."""
    size = len(counts)
    if size <= most:
        return np.arange(size)
    if line:
        room = max(most - (size - line), 1)
        ends = np.cumsum(counts[:line] + 1e-9)
        share = np.floor(np.clip((ends - counts[:line] / 2) / ends[-1], 0, 1 - 1e-9) * room).astype(np.int64)
        return np.concatenate([share, room + np.arange(size - line)])
    order = np.argsort(-counts, kind="stable")
    out = np.empty(size, dtype=np.int64)
    out[order] = np.minimum(np.arange(size), most - 1)
    return out


def coarsen_tokens(tokens: npt.NDArray[np.int32], layout: Layout, most: int) -> list[npt.NDArray[np.int64]]:
    """Group of each slot's tokens for counting pairs; absent tokens form a separate group."""
    out = []
    for slot in range(len(layout.sizes)):
        table = coarsen_counts(layout.counts[slot], layout.lines[slot], most)
        out.append(np.append(table, table.max() + 1)[tokens[:, slot]])
    return out
