"""Boosted trees of the conditional distribution of one slot given all others.

Trees predict a column from the others better than a network of all columns does in the same time (Grinsztajn et al.,
"Why do tree-based models still outperform deep learning on typical tabular data?", arXiv 2207.08815). Synthesis by
tree conditionals: Reiter, "Using CART to generate partially synthetic public use microdata", Journal of Official
Statistics 21 (2005).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.token_forest import LEAVES, Forest

MAX_TREES = 750
"""Maximum trees over all tokens."""

LEARNING_RATE, PATIENCE = 0.2, 10
"""Learning rate, and rounds without improvement before early stopping."""

VALIDATION_EVERY = 10
"""One in this many rows is held out for early stopping."""

TREE_OPTIONS = {"num_leaves": LEAVES, "min_data_in_leaf": 20, "lambda_l2": 20.0}
"""Size of the trees, and L2 regularisation of the leaves."""

FEATURE_FRACTION, MIN_SAMPLED_FEATURES = 0.7, 8
"""Share of columns per tree, and the number of columns below which each tree uses all of them."""

DATASET_OPTIONS: dict[str, Any] = {"max_bin": 255, "num_threads": 1, "verbose": -1}
"""Dataset options; one thread, because LightGBM's threads busy-wait."""

N_GROUPING_TREES = 64
"""Number of trees whose leaves group the rows."""

MIN_PROBABILITY = 1e-6
"""Minimum probability of a token."""


@dataclass(frozen=True, eq=False)
class TreeConditional:
    """Boosted trees of one slot given all others.

    Attributes:
        slot: The slot.
        forest: The trees, one per observed token in each round; a single one if there are two tokens.
    """

    slot: int
    forest: Forest

    @classmethod
    def fit(
        cls,
        layout: Layout,
        slot: int,
        rows: npt.NDArray[np.float32],
        tokens: npt.NDArray[np.int64],
        *,
        seed: int,
        weights: Floats | None = None,
    ) -> TreeConditional:
        """Fit trees to one slot.

        Args:
            layout: The slots.
            slot: The slot to predict.
            rows: Features of all slots in random order, shape (rows, slots).
            tokens: Tokens of the slot, shape (rows,).
            seed: Random seed.
            weights: Row weights, None if all are equal.
        """
        import lightgbm

        met = observed_tokens(layout, slot)
        others, tokens = np.delete(rows, slot, axis=1), np.searchsorted(met, tokens)
        kind: dict[str, Any] = {"objective": "binary"}
        if len(met) > 2:
            kind = {"objective": "multiclass", "num_class": len(met)}
        options: dict[str, Any] = {
            **TREE_OPTIONS,
            **DATASET_OPTIONS,
            **kind,
            "feature_fraction": FEATURE_FRACTION if others.shape[1] >= MIN_SAMPLED_FEATURES else 1.0,
            "learning_rate": LEARNING_RATE,
            "seed": seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
        }
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        held = np.arange(len(rows)) % VALIDATION_EVERY == 0
        own = (None, None) if weights is None else (weights[~held], weights[held])
        data = lightgbm.Dataset(others[~held], tokens[~held], weight=own[0], params=DATASET_OPTIONS)
        judged = data.create_valid(others[held], tokens[held], weight=own[1])
        most = MAX_TREES // kind.get("num_class", 1)
        trees = lightgbm.train(options, data, most, valid_sets=[judged], callbacks=[stop])
        slots = [other for other in range(len(layout.sizes)) if other != slot]
        return cls(slot, Forest.of(trees, layout, slots, kind.get("num_class", 1)))

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[Any]], name: str, layout: Layout, slot: int
    ) -> TreeConditional:
        """Return the trees from a model file.

        Raises:
            ModelFileError: The arrays are not trees of this slot.
        """
        met = len(observed_tokens(layout, slot))
        return cls(slot, Forest.from_arrays(arrays, name, layout, met if met > 2 else 1))

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities of the slot's tokens, (rows, size), and groups of similar rows, (rows, ways).

        The groups are the leaves of the first trees.

        Args:
            tokens: Shape (rows, slots), none absent; the slot's own tokens are ignored.
        """
        rounds = max(N_GROUPING_TREES // self.forest.outputs, 1)
        raw, groups = self.forest.read(tokens, rounds * self.forest.outputs)
        logits = torch.cat([torch.zeros_like(raw), raw], 1) if raw.shape[1] == 1 else raw
        layout = self.forest.layout
        out = torch.full((len(tokens), layout.sizes[self.slot]), math.log(MIN_PROBABILITY), device=tokens.device)
        out[:, observed_tokens(layout, self.slot)] = logits.log_softmax(1).clamp(min=math.log(MIN_PROBABILITY))
        return out, groups


def observed_tokens(layout: Layout, slot: int) -> npt.NDArray[np.intp]:
    """Return the observed tokens of a slot."""
    return np.flatnonzero(layout.counts[slot])
