"""Train/validation split, and resampling of weighted rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from tabsynth.training.batches import TokenShards


@dataclass(frozen=True, eq=False)
class TrainValidation:
    """The rows of a fit.

    Attributes:
        training: Training rows, shape (rows, slots).
        validation: Validation rows, resampled by their weights.
        weights: Weights of the training rows, None if all are equal.
        shards: Files of all training rows, of which ``training`` is then a sample.
    """

    training: Tensor
    validation: Tensor
    weights: npt.NDArray[np.float64] | None = None
    shards: TokenShards | None = None

    @classmethod
    def of_shards(cls, shards: TokenShards, sample: npt.NDArray[np.int32], device: torch.device) -> TrainValidation:
        """Return the rows of a fit to files, with a sample of them for all that works in memory."""
        own, held = (torch.from_numpy(part.astype(np.int64)).to(device) for part in (sample, shards.validation))
        return cls(own, held, None, shards)

    @property
    def rows(self) -> int:
        """Number of training rows."""
        return len(self.training) if self.shards is None else self.shards.rows


def n_validation_rows(rows: int) -> int:
    """Return rows that validate: a twentieth, at least 100 of 800 rows and at most 2,048."""
    return int(np.clip(rows // 20, max(min(100, rows // 8), 1), 2048))


def split_rows(
    tokens: npt.NDArray[np.int32],
    seed: int,
    device: torch.device,
    weights: npt.NDArray[np.float64] | None = None,
) -> TrainValidation:
    """Return the shuffled training and validation rows; see ``n_validation_rows``."""
    rng = np.random.default_rng([seed, 0])
    shuffled = rng.permutation(len(tokens))
    held = n_validation_rows(len(tokens))
    data = torch.from_numpy(tokens.astype(np.int64))
    validation, training = shuffled[:held], shuffled[held:]
    if weights is not None and weights[validation].sum() > 0:
        validation = validation[resample_rows(weights[validation], held, rng)]
    kept = None if weights is None or not weights[training].sum() > 0 else weights[training]
    return TrainValidation(data[training].to(device), data[validation].to(device), kept)


def resample_rows(weights: npt.NDArray[np.float64], rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the row numbers, each repeated by its weight to within one: systematic resampling (Kitagawa 1996)."""
    ends = np.cumsum(weights)
    points = (rng.random() + np.arange(rows)) / rows * ends[-1]
    return np.asarray(np.minimum(np.searchsorted(ends, points, side="right"), len(weights) - 1))
