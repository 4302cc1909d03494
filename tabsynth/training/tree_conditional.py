"""One slot of few tokens given all others, by boosted trees.

Trees predict a column from the others better than a network of all columns does in the same time (Grinsztajn et al.,
"Why do tree-based models still outperform deep learning on typical tabular data?", arXiv 2207.08815). Synthesis by
conditionals of trees: Reiter, "Using CART to generate partially synthetic public use microdata", Journal of Official
Statistics 21 (2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax

from tabsynth.line_coder import Floats
from tabsynth.training.layout import Layout
from tabsynth.training.tree_critic import trees_of

if TYPE_CHECKING:
    from lightgbm import Booster

Features = npt.NDArray[np.float32]

TREES = 750
"""Most trees, those of all tokens together."""

RATE, PATIENCE = 0.2, 10
"""Learning rate, and rounds after which trees stop that no longer help on held-out rows."""

HELD = 10
"""One in so many rows is held out to say how many rounds are enough."""

SHAPE = {"num_leaves": 15, "min_data_in_leaf": 20, "lambda_l2": 20.0}
"""Size of the trees, and how far leaves of few rows are drawn to zero."""

SHARE, ALL = 0.7, 8
"""The share of columns that each tree may use; of fewer than so many all, or none would see what two say together."""

READ: dict[str, Any] = {"max_bin": 255, "num_threads": 1, "verbose": -1}
"""How rows are read; on one thread, because LightGBM's threads wait by spinning."""

GROUPING = 64
"""Trees by whose leaves rows are grouped."""

LEAST = 1e-6
"""Least probability of a token."""


@dataclass(frozen=True, eq=False)
class TreeConditional:
    """Trees that were taught one slot.

    Attributes:
        slot: The slot.
        text: The trees, as LightGBM writes them.
        layout: The slots.
    """

    slot: int
    text: str
    layout: Layout

    @classmethod
    def taught(
        cls,
        layout: Layout,
        slot: int,
        rows: Features,
        tokens: npt.NDArray[np.int64],
        *,
        seed: int,
        weights: Floats | None = None,
    ) -> TreeConditional:
        """Teach trees a slot of few tokens.

        Args:
            layout: The slots.
            slot: The slot to predict.
            rows: Features of all slots in random order, shape (rows, slots).
            tokens: The slot's tokens, shape (rows,).
            seed: Seed of what is random in the trees.
            weights: How much each row counts, None where all count the same.
        """
        import lightgbm

        met = met_tokens(layout, slot)
        others, tokens = np.delete(rows, slot, axis=1), np.searchsorted(met, tokens)
        kind: dict[str, Any] = {"objective": "binary"}
        if len(met) > 2:
            kind = {"objective": "multiclass", "num_class": len(met)}
        options: dict[str, Any] = {
            **SHAPE,
            **READ,
            **kind,
            "feature_fraction": SHARE if others.shape[1] >= ALL else 1.0,
            "learning_rate": RATE,
            "seed": seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
        }
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        held = np.arange(len(rows)) % HELD == 0
        own = (None, None) if weights is None else (weights[~held], weights[held])
        data = lightgbm.Dataset(others[~held], tokens[~held], weight=own[0], params=READ)
        judged = data.create_valid(others[held], tokens[held], weight=own[1])
        most = TREES // kind.get("num_class", 1)
        trees = lightgbm.train(options, data, most, valid_sets=[judged], callbacks=[stop])
        return cls(slot, trees.model_to_string(num_iteration=trees.best_iteration), layout)

    @cached_property
    def _trees(self) -> Booster:
        return trees_of(self.text)

    def log_probabilities(self, rows: Features) -> Floats:
        """Log-probabilities of the slot's tokens, shape (rows, size).

        Args:
            rows: Features of all slots, shape (rows, slots); those of the slot itself are not read.
        """
        raw = np.asarray(self._predicted(rows, raw_score=True), np.float64)
        logits = np.stack([np.zeros_like(raw), raw], 1) if raw.ndim == 1 else raw
        out = np.full((len(rows), self.layout.sizes[self.slot]), np.log(LEAST))
        out[:, met_tokens(self.layout, self.slot)] = np.maximum(log_softmax(logits, 1), np.log(LEAST))
        return out

    def leaves(self, rows: Features) -> npt.NDArray[np.int64]:
        """The leaf of each of the first trees that a row falls in, shape (rows, trees).

        Args:
            rows: As for ``log_probabilities``.
        """
        rounds = max(GROUPING // self._trees.num_model_per_iteration(), 1)
        return self._predicted(rows, pred_leaf=True, num_iteration=rounds).reshape(len(rows), -1).astype(np.int64)

    def _predicted(self, rows: Features, **options: Any) -> npt.NDArray[Any]:
        """What the trees say of rows."""
        others = np.delete(rows, self.slot, axis=1)
        return np.asarray(self._trees.predict(others, num_threads=torch.get_num_threads(), **options))


def met_tokens(layout: Layout, slot: int) -> npt.NDArray[np.intp]:
    """The tokens of a slot that training rows have."""
    return np.flatnonzero(layout.counts[slot])
