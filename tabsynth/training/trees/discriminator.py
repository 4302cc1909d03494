"""Boosted trees that distinguish real from synthetic rows of tokens.

Their log-odds estimate the density ratio for importance weighting (Grover et al., "Bias correction of learned
generative models using likelihood-free importance weighting", arXiv 1906.09531). Trees detect what token networks miss:
sharp edges, and exact relations between columns of hundreds of values.
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
"""Maximum trees."""

PATIENCE = 30
"""Rounds without improvement before early stopping."""

VALIDATION_EVERY = 10
"""One in this many rows is held out for validation."""

FOLDS = 5
"""Folds of the cross-validated gain."""

LEARNING_RATE = 0.2
"""Learning rate."""

TREE_OPTIONS, DATASET_OPTIONS = {"num_leaves": LEAVES, "min_data_in_leaf": 20}, {"max_bin": 511}
"""Tree size: many small trees, because the differences are small and spread over many cells."""


@dataclass(frozen=True, eq=False)
class TreeDiscriminator:
    """Boosted trees that distinguish real rows from synthetic ones.

    Attributes:
        forest: The trees.
        gain: Reduction of the validation loss against chance, in nats per row; 0 if nothing was learned.
        candidates: Synthetic rows from which each selected row is chosen.
    """

    forest: Forest
    gain: float
    candidates: int = 6

    @classmethod
    def fit(
        cls, layout: Layout, real: Tensor, drawn: Tensor, *, seed: int, weights: Floats | None = None
    ) -> TreeDiscriminator:
        """Fit trees that distinguish real rows from synthetic ones.

        Args:
            layout: The slots.
            real: Real rows in random order, shape (rows, slots).
            drawn: Synthetic rows in random order, shape (rows, slots).
            seed: Random seed.
            weights: Weights of the real rows, None if all are equal.
        """
        import lightgbm

        rows, truth, shares = _told_apart(layout, real, drawn, weights, seed)
        held = np.arange(len(truth)) % VALIDATION_EVERY == 0
        dataset = lightgbm.Dataset(rows[~held], truth[~held], weight=shares[~held], params=DATASET_OPTIONS)
        judged = dataset.create_valid(rows[held], truth[held], weight=shares[held])
        losses: dict[str, dict[str, list[float]]] = {}
        watch: list[Callable[..., Any]] = [
            lightgbm.early_stopping(PATIENCE, verbose=False),
            lightgbm.record_evaluation(losses),
        ]
        trees = lightgbm.train(
            _options(seed, LEARNING_RATE),
            dataset,
            MAX_ROUNDS,
            valid_sets=[judged],
            valid_names=["held"],
            callbacks=watch,
        )
        gain = math.log(2) - min(losses["held"]["binary_logloss"])
        return cls(Forest.of(trees, layout, range(len(layout.sizes))), max(gain, 0.0))

    def log_odds(self, tokens: Tensor) -> Tensor:
        """Return the log-odds that each row is real, shape (rows,)."""
        return self.forest.read(tokens)[0].squeeze(1).double()


def validation_rows(real: Tensor, drawn: Tensor) -> Tensor:
    """Return the synthetic rows that ``TreeDiscriminator.fit`` held out for validation, shape (rows, slots).

    Log-odds of the others are too extreme, because the trees were fitted to them.
    """
    return drawn[-len(real) % VALIDATION_EVERY :: VALIDATION_EVERY]


def cross_validated_gain(
    layout: Layout, real: Tensor, drawn: Tensor, *, seed: int, weights: Floats | None = None
) -> float:
    """Return the cross-validated gain of a discriminator, in nats per row.

    It uses a lower learning rate and the mean of five folds, because a single fold of a few thousand rows is too noisy.

    Args:
        layout: The slots.
        real: Real rows, shape (rows, slots).
        drawn: Synthetic rows, shape (rows, slots).
        seed: Random seed of folds and trees.
        weights: Weights of the real rows, None if all are equal.
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
    """Return the features, labels (1 if real), and weights that balance the classes."""
    truth = np.repeat([1.0, 0.0], [len(real), len(drawn)])
    own = np.ones(len(real)) if weights is None else weights
    shares = np.concatenate([own / own.sum(), np.full(len(drawn), 1 / len(drawn))]) * len(truth) / 2
    rows = features(torch.cat([real, drawn]), layout)
    rows[_hidden(layout, real.cpu().numpy(), drawn.cpu().numpy(), own, np.random.default_rng(seed))] = np.nan
    return rows, truth, shares


def _hidden(
    layout: Layout, real: Tokens, drawn: Tokens, weights: Floats, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return the hidden cells, shape (real and synthetic rows, slots).

    Pooled values never occur in synthetic rows, so they would identify real ones. They are hidden, and so are as many
    random cells of the synthetic rows.
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
    """Return the parameters of LightGBM."""
    return {
        **TREE_OPTIONS,
        **DATASET_OPTIONS,
        "learning_rate": rate,
        "objective": "binary",
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # threads busy-wait: two are a hundred times slower on a busy machine
        "verbose": -1,
    }
