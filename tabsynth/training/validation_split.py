"""Train/validation split, and resampling of weighted rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TrainValidation:
    """The rows of a fit.

    Attributes:
        training: Rows to train on, shape (rows, slots).
        judged: Rows to judge by; those that count more come more often.
        weights: How much each row to train on counts, None where all count the same.
    """

    training: Tensor
    judged: Tensor
    weights: npt.NDArray[np.float64] | None = None


def split_rows(
    tokens: npt.NDArray[np.int32],
    seed: int,
    device: torch.device,
    weights: npt.NDArray[np.float64] | None = None,
) -> TrainValidation:
    """Rows to train on and rows to judge by, shuffled: a twentieth, but 100 where there are 800, and 2,048 at most."""
    rng = np.random.default_rng([seed, 0])
    shuffled = rng.permutation(len(tokens))
    held = int(np.clip(len(tokens) // 20, max(min(100, len(tokens) // 8), 1), 2048))
    data = torch.from_numpy(tokens.astype(np.int64))
    judged, training = shuffled[:held], shuffled[held:]
    if weights is not None and weights[judged].sum() > 0:
        judged = judged[resample_rows(weights[judged], held, rng)]
    kept = None if weights is None or not weights[training].sum() > 0 else weights[training]
    return TrainValidation(data[training].to(device), data[judged].to(device), kept)


def resample_rows(weights: npt.NDArray[np.float64], rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Row numbers, each as often as its weight says to within one: systematic resampling (Kitagawa 1996)."""
    ends = np.cumsum(weights)
    points = (rng.random() + np.arange(rows)) / rows * ends[-1]
    return np.asarray(np.minimum(np.searchsorted(ends, points, side="right"), len(weights) - 1))
