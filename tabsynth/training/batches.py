"""Training rows in shuffled batches: of a tensor in memory, or of files of tokens that do not fit there.

Every batch depends on the seed and the step only, so a resumed fit uses the batches of an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.training.validation_split import resample_rows


class Batches(Protocol):
    """Shuffled batches of training rows."""

    def at(self, step: int) -> Tensor:
        """Return the batch of a step, shape (batch, slots)."""
        ...


@dataclass(frozen=True, eq=False)
class TokenShards:
    """Training rows in files of tokens, assigned to the files at random.

    Attributes:
        files: The files: rows of ``dtype`` numbers, one for each slot of the table.
        sizes: Rows of each file.
        validation: Rows that are in no file, with the slots that are read, shape (rows, slots).
        width: Numbers of a row in the files.
        dtype: Type of the numbers.
        slots: The slots that are read; all by default.
    """

    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    validation: npt.NDArray[np.int32]
    width: int
    dtype: np.dtype[np.unsignedinteger]
    slots: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        """Training rows of all files."""
        return sum(self.sizes)

    def of_slots(self, slots: Sequence[int]) -> TokenShards:
        """Return the same rows with some of the slots; for shards of all slots."""
        return replace(self, slots=tuple(slots), validation=self.validation[:, list(slots)])

    def load(self, number: int) -> npt.NDArray[np.unsignedinteger]:
        """Return the rows of one file, shape (rows, slots)."""
        shape = self.sizes[number], self.width
        rows = np.memmap(self.files[number], dtype=self.dtype, mode="r", shape=shape)
        return np.array(rows if self.slots is None else rows[:, list(self.slots)])

    def each(self) -> Iterator[npt.NDArray[np.unsignedinteger]]:
        """Return the rows of each file in turn."""
        return (self.load(number) for number in range(len(self.files)))

    def sample(self, rows: int, seed: int) -> npt.NDArray[np.int32]:
        """Return a uniform random sample of at most ``rows`` rows in random order, shape (rows, slots)."""
        first = self.load(0)
        order = np.random.default_rng([seed, 0]).permutation(len(first))[:rows]
        return first[order].astype(np.int32)


@dataclass
class ShuffledRows:
    """Batches of rows in memory; each epoch is a permutation, or a resample by the weights.

    Attributes:
        tokens: Shape (rows, slots).
        batch: Rows of a batch.
        seed: Seed of the epochs.
        weights: Average number of times that each row occurs in an epoch.
    """

    tokens: Tensor
    batch: int
    seed: int
    weights: npt.NDArray[np.float64] | None = None
    _epoch: tuple[int, Tensor] | None = field(default=None, init=False)

    def at(self, step: int) -> Tensor:
        """Return the batch of a step, shape (batch, slots)."""
        rows = len(self.tokens)
        number, within = divmod(step, max(rows // self.batch, 1))
        if self._epoch is None or self._epoch[0] != number:
            rng = np.random.default_rng(derived_seed(self.seed, 2, number))
            order = rng.permutation(rows if self.weights is None else resample_rows(self.weights, rows, rng))
            self._epoch = number, torch.from_numpy(order).to(self.tokens.device)
        chosen = self._epoch[1][within * self.batch : (within + 1) * self.batch]
        return self.tokens.index_select(0, chosen)


@dataclass
class ShuffledShards:
    """Batches of rows in files: each epoch permutes the files, and the rows of each; one file is in memory.

    Attributes:
        shards: The files.
        batch: Rows of a batch.
        seed: Seed of the epochs.
        device: Device of the batches.
    """

    shards: TokenShards
    batch: int
    seed: int
    device: torch.device
    _loaded: tuple[int, int, npt.NDArray[np.unsignedinteger]] | None = field(default=None, init=False)

    def at(self, step: int) -> Tensor:
        """Return the batch of a step, shape (batch, slots)."""
        number, within = divmod(step, max(self.shards.rows // self.batch, 1))
        order = np.random.default_rng(derived_seed(self.seed, 2, number)).permutation(len(self.shards.files))
        ends = np.cumsum(np.array(self.shards.sizes)[order])
        start, stop = within * self.batch, min((within + 1) * self.batch, self.shards.rows)
        parts = []
        while start < stop:
            at = int(np.searchsorted(ends, start, side="right"))
            before = int(ends[at - 1]) if at else 0
            own = self._file(number, int(order[at]))[start - before : stop - before]
            parts.append(own)
            start += len(own)
        return torch.from_numpy(np.concatenate(parts).astype(np.int64)).to(self.device)

    def _file(self, epoch: int, number: int) -> npt.NDArray[np.unsignedinteger]:
        """Return the rows of one file in the order of an epoch."""
        if self._loaded is None or self._loaded[:2] != (epoch, number):
            self._loaded = None  # free the last file before the next one is read
            rng = np.random.default_rng([derived_seed(self.seed, 3, epoch), number])
            self._loaded = epoch, number, rng.permutation(self.shards.load(number))
        return self._loaded[2]


def shuffled_batches(
    tokens: Tensor | TokenShards,
    batch: int,
    seed: int,
    device: torch.device,
    weights: npt.NDArray[np.float64] | None = None,
) -> Batches:
    """Return batches of training rows, in memory or in files."""
    if isinstance(tokens, Tensor):
        return ShuffledRows(tokens, batch, seed, weights)
    return ShuffledShards(tokens, batch, seed, device)


def derived_seed(seed: int, use: int, number: int) -> int:
    """Return an independent seed for one use at one step."""
    return int(np.random.SeedSequence([seed, use, number]).generate_state(1, np.uint64)[0]) >> 1
