"""What the token models share: codec in, codec out, conditions, and the slots that are worth learning."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec import Codec
from tabsynth.coders import Tokens
from tabsynth.synthesizers.base import Arrays, Given, Run, Synthesizer
from tabsynth.table import Table
from tabsynth.training.layout import Layout


class TokenSynthesizer(Synthesizer):
    """A model of tokens. A subclass learns tokens and draws tokens given fixed ones; the rest is here.

    Attributes:
        codec_: The vocabulary.
        layout_: The learned slots; slots that can hold only one token are left out.
        active_: Positions of the learned slots in the codec's token matrix.
    """

    min_group: int
    codec_: Codec
    active_: list[int]
    layout_: Layout

    def _fit(self, table: Table, run: Run) -> None:
        self.codec_ = Codec.measure(table, min_group=self.min_group)
        tokens = self.codec_.encode(table.frame)
        self._prepare(self._slot_counts(tokens))
        self._learn(tokens[:, self.active_], run)

    def _slot_counts(self, tokens: Tokens) -> list[npt.NDArray[np.int64]]:
        """Training rows of each token of each slot."""
        return [np.bincount(tokens[:, i], minlength=size) for i, size in enumerate(self.codec_.sizes)]

    def _prepare(self, counts: list[npt.NDArray[np.int64]]) -> None:
        """Choose the slots to learn."""
        self.counts_ = counts
        slots = self.codec_.slots
        self.active_ = [i for i, slot in enumerate(slots) if self._emitted(i).sum() > 1]
        lines = [self.codec_.coders[slot.column].line if slot.digit is None else 0 for slot in slots]
        self.layout_ = Layout(
            tuple(slots[i].size for i in self.active_),
            tuple(lines[i] for i in self.active_),
            tuple(counts[i] for i in self.active_),
        )

    def _emitted(self, position: int) -> npt.NDArray[np.bool_]:
        """Which tokens of a slot a synthetic row may hold, shape (size,)."""
        slot = self.codec_.slots[position]
        emit = self.codec_.coders[slot.column].emit
        seen = self.counts_[position] > 0
        return (emit & seen) if slot.digit is None else seen

    @cached_property
    def _emit(self) -> list[npt.NDArray[np.bool_]]:
        """``_emitted`` of every learned slot."""
        return [self._emitted(position) for position in self.active_]

    def _sample(self, n: int, given: Given | None, rng: np.random.Generator, progress: bool | None) -> pd.DataFrame:
        return self._rows_of(n, given, rng, progress, calibrate=True, stratify=True)

    def _rows_of(
        self,
        n: int,
        given: Given | None,
        rng: np.random.Generator,
        progress: bool | None,
        *,
        calibrate: bool,
        stratify: bool,
    ) -> pd.DataFrame:
        """Draw tokens and decode them."""
        tokens = self._full(n)
        if n and self.active_:
            fixed = np.full((n, len(self.active_)), -1, np.int32)
            tokens[:, self.active_] = self._draw(fixed, rng, progress, calibrate=calibrate, stratify=stratify)
        return self.codec_.decode(tokens, rng)

    def _full(self, n: int) -> Tokens:
        """The token matrix with its one possible token in every slot that was not learned."""
        only = [int(np.argmax(self._emitted(i))) for i in range(len(self.codec_.slots))]
        return np.tile(np.array(only, np.int32), (n, 1))

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        config, arrays = self.codec_.state()
        learned, weights = self._learned()
        arrays = arrays | {f"count.{i}": counts for i, counts in enumerate(self.counts_)}
        return {"codec": config, "learned": learned}, arrays | {f"net.{name}": a for name, a in weights.items()}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.codec_ = Codec.from_state(config["codec"], arrays)
        self._prepare([arrays[f"count.{i}"] for i in range(len(self.codec_.slots))])
        weights = {name.removeprefix("net."): a for name, a in arrays.items() if name.startswith("net.")}
        self._relearn(config["learned"], weights)

    def card(self) -> dict[str, Any]:
        """The model card: what a reader of the synthetic table should know of its model."""
        return {**super().card(), "vocabulary": self.codec_.card()}

    @abstractmethod
    def _learn(self, tokens: Tokens, run: Run) -> None:
        """Learn tokens, shape (rows, learned slots)."""

    @abstractmethod
    def _draw(
        self, fixed: Tokens, rng: np.random.Generator, progress: bool | None, *, calibrate: bool, stratify: bool
    ) -> Tokens:
        """Draw the tokens that are -1 in ``fixed``, shape (rows, learned slots)."""

    @abstractmethod
    def _learned(self) -> tuple[dict[str, Any], Arrays]:
        """What ``_relearn`` needs: plain data and arrays."""

    @abstractmethod
    def _relearn(self, config: dict[str, Any], arrays: Arrays) -> None:
        """Take back what ``_learned`` gave."""
