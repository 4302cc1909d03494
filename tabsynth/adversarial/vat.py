"""Virtual adversarial training of a classifier."""

from __future__ import annotations

import itertools
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.adversarial.feature_matrix import FeatureMatrix
from tabsynth.common.validation import check_required_integers, validate_seed
from tabsynth.data.table import Table
from tabsynth.errors import DataError, InputError, NotFittedError, TrainingError, quote
from tabsynth.schema.schema import Schema

XI = 1e-2
"""Finite-difference step; the paper's 1e-6 is below the resolution of 32-bit floats."""

CHUNK_ROWS = 8192
"""Rows per prediction batch."""


class VATClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier for mixed-type tables, robust to small perturbations of a row.

    Virtual adversarial training (Miyato, Maeda, Koyama and Ishii, "Virtual adversarial training: a regularization
    method for supervised and semi-supervised learning", arXiv 1704.03976v2). To the cross entropy it adds ``alpha``
    times the local distributional smoothness of equation (5), in the direction of equations (10) to (13). Unlabelled
    rows contribute to the second term only, as in equation (8).

    Args:
        hidden: Units of each hidden layer.
        alpha: Weight of the virtual adversarial loss.
        epsilon: L2 norm of the perturbation, in standard deviations.
        powers: Number of power iterations.
        epochs: Passes over the rows.
        batch: Rows per step.
        rate: Initial learning rate of Adam (cosine decay to 0).
        seed: Seed of weights, batches and directions.
        schema: The schema of X; inferred by default.

    Attributes:
        classes_: The classes, sorted.
        features_: Encoder of rows.
        net_: The network: features (n, width) to logits (n, classes).

    Example:
        >>> X = pd.DataFrame({"x": range(100), "c": ["a", "b"] * 50})
        >>> VATClassifier(epochs=100).fit(X, X["x"] > 50).predict(X.iloc[[0, 99]]).tolist()
        [False, True]
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (64, 64),
        alpha: float = 1.0,
        epsilon: float = 1.0,
        powers: int = 1,
        epochs: int = 30,
        batch: int = 256,
        rate: float = 2e-3,
        seed: int = 0,
        schema: Schema | None = None,
    ) -> None:
        self.hidden = hidden
        self.alpha = alpha
        self.epsilon = epsilon
        self.powers = powers
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.seed = seed
        self.schema = schema

    def fit(self, X: pd.DataFrame | Table, y: Any) -> Self:
        """Learn the classes ``y``, shape (n,), of rows X; a row whose label is missing is unlabelled.

        Raises:
            InputError: An option or the rows are invalid, or there are fewer than two classes.
            TrainingError: The loss is not finite.
        """
        self._check()
        table = Table.of(X, self.schema)
        labels = pd.Series(np.asarray(y, dtype=object))
        if len(labels) != len(table):
            raise DataError(f"y has {len(labels)} labels for {len(table)} rows; pass one label for each row")
        classes = np.unique(np.asarray(labels.dropna().tolist()))
        if len(classes) < 2:
            raise DataError(f"y has fewer than two classes: {quote(classes)}")
        codes = np.full(len(labels), -1)
        known = labels.notna().to_numpy()
        codes[known] = np.searchsorted(classes, np.asarray(labels[known].tolist()))
        self.features_ = FeatureMatrix.measure(table)
        generator = torch.Generator().manual_seed(validate_seed(self.seed))
        self.net_ = _build_network([self.features_.width, *self.hidden, len(classes)], generator)
        self._train(torch.from_numpy(self.features_.encode(table.frame)), torch.from_numpy(codes), generator)
        self.classes_ = classes
        return self

    def predict_proba(self, X: pd.DataFrame | Table) -> npt.NDArray[np.float64]:
        """Return the probability of each class, shape (n, classes)."""
        return np.exp(self.log_proba(X))

    def predict(self, X: pd.DataFrame | Table) -> npt.NDArray[Any]:
        """Return the most probable class of each row, shape (n,)."""
        best = self.log_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def log_proba(self, X: pd.DataFrame | Table) -> npt.NDArray[np.float64]:
        """Return the log-probability of each class in nats, shape (n, classes)."""
        if not hasattr(self, "classes_"):
            raise NotFittedError("this VATClassifier is not fitted yet; call fit first")
        matrix = torch.from_numpy(self.features_.encode(X.frame if isinstance(X, Table) else X))
        with torch.inference_mode():
            parts = [functional.log_softmax(self.net_(part), 1) for part in torch.split(matrix, CHUNK_ROWS)]
        return torch.cat(parts).double().numpy()

    def _check(self) -> None:
        check_required_integers(powers=self.powers, epochs=self.epochs, batch=self.batch)
        for name in ("alpha", "epsilon", "rate"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < np.inf:
                raise InputError(f"{name} must be a number of at least 0, not {value!r}")

    def _train(self, matrix: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Train with Adam on cross entropy plus alpha times the virtual adversarial loss."""
        labelled = torch.nonzero(codes >= 0)[:, 0]
        is_partial = len(labelled) < len(codes)
        steps = self.epochs * -(-len(matrix) // self.batch)
        optimiser = torch.optim.Adam(self.net_.parameters(), lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(matrix), generator=generator), self.batch):
                # As in the paper: where some labels are missing, labelled rows are batched separately.
                batch = (
                    labelled[torch.randperm(len(labelled), generator=generator)[: self.batch]] if is_partial else rows
                )
                loss = functional.cross_entropy(self.net_(matrix[batch]), codes[batch])
                if self.alpha > 0:
                    loss = loss + self.alpha * self._virtual_loss(matrix[rows], generator)
                if not torch.isfinite(loss):
                    raise TrainingError("the classifier's loss is not finite; lower rate or epsilon")
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()

    def _virtual_loss(self, part: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the mean local distributional smoothness of the rows."""
        virtual = self.net_(part).detach().softmax(1)
        # >>> Equations (10) to (13), arXiv 1704.03976v2: power iteration with finite differences.
        direction = _normalise(torch.randn(part.shape, generator=generator))
        for _ in range(self.powers):
            direction.requires_grad_()
            moved = _mean_kl(virtual, self.net_(part + XI * direction))
            (gradient,) = torch.autograd.grad(moved, direction)
            direction = _normalise(gradient)
        # <<<
        return _mean_kl(virtual, self.net_(part + self.epsilon * direction))


def _mean_kl(virtual: Tensor, logits: Tensor) -> Tensor:
    """Return the mean KL divergence from virtual labels, both (n, classes)."""
    return functional.kl_div(functional.log_softmax(logits, 1), virtual, reduction="batchmean")


def _normalise(direction: Tensor) -> Tensor:
    """Return the unit vectors, shape (n, width)."""
    return functional.normalize(direction.detach(), dim=1)


def _build_network(widths: list[int], generator: torch.Generator) -> nn.Sequential:
    """Return the multilayer perceptron with He initialisation (arXiv 1502.01852, equation (10))."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layer: nn.Linear = nn.utils.skip_init(nn.Linear, before, after)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            layer.weight.copy_(torch.randn(after, before, generator=generator) * (2 / before) ** 0.5)
            layer.bias.zero_()
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
