"""Rows changed a little so as to mislead a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.adversarial.vat import VATClassifier
from tabsynth.common.validation import random_seed, validate_seed
from tabsynth.data.table import Table
from tabsynth.errors import DataError, InputError, quote
from tabsynth.schema.validation import satisfies

__all__ = ["VATClassifier", "adversarial_rows"]


def adversarial_rows(
    classifier: VATClassifier,
    data: pd.DataFrame | Table,
    epsilon: float = 0.25,
    *,
    y: Any = None,
    flips: int = 1,
    fixed: Sequence[str] = (),
    steps: int = 10,
    seed: int | None = None,
) -> pd.DataFrame:
    """Perturb rows within the table's domain so that a classifier errs.

    Projected gradient ascent on the loss (Madry et al., "Towards deep learning models resistant to adversarial
    attacks", arXiv 1706.06083, equation (2)) within ``epsilon`` of every number, after up to ``flips`` categories were
    changed to those that raise the loss most. Numbers stay within the schema's bounds (or the training range) and keep
    their decimals, categories are known ones, missing cells stay missing, constraints hold. A row whose loss does not
    rise is returned unchanged.

    Args:
        classifier: The fitted classifier to attack.
        data: The rows; columns that the classifier ignores are unchanged.
        epsilon: Largest change of a number, in standard deviations.
        y: The labels, shape (n,); by default the classifier's predictions.
        flips: Largest number of categories to change in a row.
        fixed: Columns that must not change.
        steps: Number of gradient steps.
        seed: Seed of the starting points.

    Raises:
        InputError: A label, column or parameter is invalid.
    """
    frame = data.frame if isinstance(data, Table) else data
    labels = classifier.predict(frame) if y is None else np.asarray(y)
    features = classifier.features_
    codes = pd.Index(classifier.classes_).get_indexer(labels)
    if len(codes) != len(frame) or (codes < 0).any():
        raise DataError(f"y must give one of the classes {quote(classifier.classes_)} for each of {len(frame)} rows")
    unknown = [name for name in fixed if name not in features.names]
    if unknown:
        raise DataError(f"fixed names columns that the classifier does not use: {quote(unknown)}")
    if not 0 <= epsilon < np.inf or flips < 0 or steps < 1:
        raise InputError(f"epsilon and flips must be at least 0 and steps at least 1, not {epsilon}, {flips}, {steps}")
    generator = torch.Generator().manual_seed(random_seed() if seed is None else validate_seed(seed))
    start, truth = torch.from_numpy(features.encode(frame)), torch.from_numpy(codes)
    free = torch.zeros(features.width)
    free[[number.at for number in features.numbers if number.name not in fixed]] = 1.0
    blocks = [slice(v.at + 1, v.at + 1 + len(v.values)) for v in features.values if v.name not in fixed]
    worst = _flip_categories(classifier.net_, start, truth, blocks, flips)
    moved = _ascend(classifier.net_, worst, truth, free, epsilon, steps, generator)
    best = frame
    for matrix in (worst, moved):
        best = _keep_worse(classifier, best, features.decode(matrix.numpy(), frame, epsilon), truth)
    return best


def _keep_worse(classifier: VATClassifier, old: pd.DataFrame, new: pd.DataFrame, truth: Tensor) -> pd.DataFrame:
    """Return the new rows where they satisfy the constraints and raise the loss, else the old ones."""
    losses = [-classifier.log_proba(rows)[np.arange(len(rows)), truth.numpy()] for rows in (old, new)]
    better = losses[1] > losses[0]
    schema = classifier.features_.schema
    for constraint in schema.constraints:
        better &= satisfies(constraint, new, schema)
    out = new.copy()
    for name in classifier.features_.names:
        cells = np.where(better, new[name].astype(object), old[name].astype(object))
        out[name] = pd.Series(cells, index=new.index).astype(new[name].dtype)
    return out


def _flip_categories(net: nn.Module, start: Tensor, truth: Tensor, blocks: list[slice], flips: int) -> Tensor:
    """Change the categories that raise the linearised loss most, shape (n, width)."""
    now = start.clone()
    rows = torch.arange(len(now))
    changed = torch.zeros(len(now), len(blocks), dtype=torch.bool)
    for _ in range(min(flips, len(blocks))):
        gradient = _gradient(net, now, truth)
        gain, place = (
            torch.full((len(now), len(blocks)), -torch.inf),
            torch.zeros(len(now), len(blocks), dtype=torch.long),
        )
        for k, block in enumerate(blocks):
            there = now[:, block].sum(1) > 0
            if block.stop - block.start < 2:
                continue
            rise = gradient[:, block] - (gradient[:, block] * now[:, block]).sum(1, keepdim=True)
            rise = rise.masked_fill(now[:, block] > 0, -torch.inf)
            gain[:, k], place[:, k] = rise.max(1)
            gain[~there, k] = -torch.inf
        gain = gain.masked_fill(changed, -torch.inf)
        most, which = gain.max(1)
        for k, block in enumerate(blocks):
            take = rows[(which == k) & (most > 0)]
            now[take, block] = 0.0
            now[take, block.start + place[take, k]] = 1.0
            changed[take, k] = True
    return now


def _ascend(
    net: nn.Module, start: Tensor, truth: Tensor, free: Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> Tensor:
    """Run projected gradient ascent on the free features, shape (n, width)."""
    now = start + free * epsilon * (2 * torch.rand(start.shape, generator=generator) - 1)
    for _ in range(steps):
        now = now + free * 2.5 * epsilon / steps * _gradient(net, now, truth).sign()
        now = torch.minimum(torch.maximum(now, start - epsilon), start + epsilon)
    return now


def _gradient(net: nn.Module, rows: Tensor, truth: Tensor) -> Tensor:
    """Return the gradient of the loss, shape (n, width)."""
    point = rows.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(functional.cross_entropy(net(point), truth, reduction="sum"), point)
    return gradient
