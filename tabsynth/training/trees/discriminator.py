"""A critic of rows of tokens made of boosted trees: how real each row looks beside rows that a model draws.

Its log-odds estimate the ratio of the two densities, by which drawn rows can be weighed (Grover et al., "Bias
correction of learned generative models using likelihood-free importance weighting", arXiv 1906.09531). Trees see what
networks of tokens miss: sharp edges, and exact relations between columns of hundreds of values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.token_forest import LEAVES, Forest, features

MAX_ROUNDS = 1500
"""Most trees."""

PATIENCE = 30
"""Trees after which one stops that no longer helps on held-out rows."""

VALIDATION_EVERY = 10
"""One in so many rows is held out to judge by."""

FOLDS = 5
"""Parts of a first look, each held out once."""

LEARNING_RATE = 0.2
"""Learning rate."""

TREE_OPTIONS, DATASET_OPTIONS = {"num_leaves": LEAVES, "min_data_in_leaf": 20}, {"max_bin": 511}
"""Small trees, many of them: the differences are small and in many places."""


@dataclass(frozen=True, eq=False)
class TreeDiscriminator:
    """Boosted trees that distinguish real rows from synthetic ones.

    Attributes:
        forest: The trees.
        gain: How far below chance its loss on held-out rows is, in nats a row; 0 where nothing was learned.
    """

    forest: Forest
    gain: float

    @classmethod
    def fit(
        cls, layout: Layout, real: Tensor, drawn: Tensor, *, seed: int, weights: Floats | None = None
    ) -> TreeDiscriminator:
        """Fit trees that distinguish real rows from synthetic ones.

        Args:
            layout: The slots.
            real: Real rows in random order, shape (rows, slots).
            drawn: Drawn rows in random order, shape (rows, slots).
            seed: Seed of what is random in the trees.
            weights: How much each real row counts, None where all count the same.
        """
        import lightgbm

        rows, truth, shares = _told_apart(layout, real, drawn, weights, seed)
        held = np.arange(len(truth)) % VALIDATION_EVERY == 0
        made = lightgbm.Dataset(rows[~held], truth[~held], weight=shares[~held], params=DATASET_OPTIONS)
        judged = made.create_valid(rows[held], truth[held], weight=shares[held])
        losses: dict[str, dict[str, list[float]]] = {}
        watch: list[Callable[..., Any]] = [
            lightgbm.early_stopping(PATIENCE, verbose=False),
            lightgbm.record_evaluation(losses),
        ]
        trees = lightgbm.train(
            _options(seed, LEARNING_RATE), made, MAX_ROUNDS, valid_sets=[judged], valid_names=["held"], callbacks=watch
        )
        gain = math.log(2) - min(losses["held"]["binary_logloss"])
        return cls(Forest.of(trees, layout, range(len(layout.sizes))), max(gain, 0.0))

    def log_odds(self, tokens: Tensor) -> Tensor:
        """Log-odds that each row is real, shape (rows,)."""
        return self.forest.read(tokens)[0].squeeze(1).double()


def cross_validated_gain(
    layout: Layout, real: Tensor, drawn: Tensor, *, seed: int, weights: Floats | None = None
) -> float:
    """How much a critic would gain on rows that it has not seen, in nats a row, by cross-validation.

    Slower trees and the mean of five folds: on 8,000 rows one held-out tenth is off by as much as there is to find.

    Args:
        layout: The slots.
        real: Real rows, shape (rows, slots).
        drawn: Drawn rows, shape (rows, slots).
        seed: Seed of the folds and of what is random in the trees.
        weights: How much each real row counts, None where all count the same.
    """
    import lightgbm

    rows, truth, shares = _told_apart(layout, real, drawn, weights, seed)
    found = lightgbm.cv(
        _options(seed, LEARNING_RATE / 2),
        lightgbm.Dataset(rows, truth, weight=shares, params=DATASET_OPTIONS),
        MAX_ROUNDS,
        nfold=FOLDS,
        seed=seed % 2**31,
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return math.log(2) - float(np.min(np.asarray(found["valid binary_logloss-mean"])))


def _told_apart(
    layout: Layout, real: Tensor, drawn: Tensor, weights: Floats | None, seed: int
) -> tuple[npt.NDArray[np.float32], Floats, Floats]:
    """Rows for trees, 1 where real, and weights by which both kinds count the same."""
    truth = np.repeat([1.0, 0.0], [len(real), len(drawn)])
    own = np.ones(len(real)) if weights is None else weights
    shares = np.concatenate([own / own.sum(), np.full(len(drawn), 1 / len(drawn))]) * len(truth) / 2
    rows = features(torch.cat([real, drawn]), layout)
    rows[_hidden(layout, real.cpu().numpy(), drawn.cpu().numpy(), own, np.random.default_rng(seed))] = np.nan
    return rows, truth, shares


def _hidden(
    layout: Layout, real: Tokens, drawn: Tokens, weights: Floats, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Cells that a critic is not shown, shape (real and drawn rows, slots).

    Pooled values are never drawn; by them a critic would know real rows, and find every value that stands in for them
    too frequent. So they are hidden, and as many values of drawn rows, at random.
    """
    out = np.zeros((len(real) + len(drawn), len(layout.sizes)), np.bool_)
    for slot, size in enumerate(layout.sizes):
        lost = np.bincount(drawn[:, slot], minlength=size)[real[:, slot]] == 0
        if not lost.any():
            continue
        missing = layout.missing_token(slot)
        share = weights[lost].sum() / weights[real[:, slot] != missing].sum()
        hidden = np.concatenate([lost, (rng.random(len(drawn)) < share) & (drawn[:, slot] != missing)])
        wide = slot + 1 < len(layout.missing) and layout.missing[slot + 1] is None
        out[:, slot : slot + 1 + wide] |= hidden[:, None]
    return out


def _options(seed: int, rate: float) -> dict[str, Any]:
    """Parameters of LightGBM."""
    return {
        **TREE_OPTIONS,
        **DATASET_OPTIONS,
        "learning_rate": rate,
        "objective": "binary",
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # threads wait by spinning: two take a hundred times as long on a busy machine
        "verbose": -1,
    }
