"""Fit a mixture of products to noisy marginals at several resolutions at once.

With the components' probabilities side by side in ``P`` of shape (K, tokens of all columns), a resolution is a linear
map ``Q = P M`` that adds the tokens of each group, and the predicted pairs of all groups are ``Q' Q / K``. Within a
group of the target the same product gives the triples with the target. The loss is the negative Gaussian log-likelihood
of all counts plus a penalty on the dependence of the columns, which noise would otherwise create (see ``_Penalty``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats
from tabsynth.common.progress import progress_bar
from tabsynth.synthesizers.marginal.budget_allocation import MixtureConfig
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.two_way_marginals import Measurements

ADAM_BETAS = (0.9, 0.99)

MIN_LOGIT = -60.0

MIN_SHARE, MIN_PROBABILITY = 1e-9, 1e-12
"""Smaller shares of columns, and smaller probabilities of components, are replaced by these in the penalty."""

ROUGHNESS_WEIGHT, MAX_SMOOTH_SHARE = 0.01, 0.1
"""Weight of the roughness in the penalty, relative to the divergence, and maximum share of a token of a smooth column.

Point masses, such as a capital gain of 99,999 or a work week of 40 hours, differ from their neighbours for a reason.
"""

FREE_DEPENDENCE = 2.0
"""Divergence in nats of a column in a component beyond which the penalty grows slowly: a component that deviates from
the marginals may do so freely, and one with no clear reason to deviate does not."""


def fit_mixture(
    marginals: Sequence[Floats],
    measured: Sequence[Measurements],
    rows: float,
    config: MixtureConfig,
    *,
    seed: int,
    n_ordered: Sequence[int] = (),
    variances: Sequence[float] = (),
    progress: bool | None = False,
) -> Mixture:
    """Fit mixtures to noisy marginals and pool their components.

    Args:
        marginals: The distribution of each column, shape (tokens,).
        measured: The noisy pairs and triples of each resolution.
        rows: Number of rows.
        config: Components, steps and penalty.
        seed: Seed of the components' initial values.
        n_ordered: Number of leading tokens of each column that are ordered; none by default.
        variances: Variance of the shares of each column's own counts, if they are to be fitted.
        progress: Whether to show a bar; None shows one on a terminal.
    """
    noise = torch.Generator().manual_seed(seed)
    sizes = [len(marginal) for marginal in marginals]
    penalty = _Penalty(marginals, n_ordered or [0] * len(sizes), config.penalty * rows / config.components)
    base, column_of_token = penalty.log_shares, penalty.column_of_token
    sums = torch.nn.functional.one_hot(column_of_token, len(sizes)).float()
    losses = [loss for level in measured for loss in _losses(level)]
    if len(variances):
        losses.append(_SingleColumns(np.concatenate(marginals), np.repeat(variances, sizes)))
    every = np.arange(config.steps)
    rates = config.rate * 0.5 * (1 + np.cos(np.pi * every / config.steps))
    pooled = []
    with progress_bar(config.pool * config.steps, "fit", "step", progress) as shown:
        for _ in range(config.pool):
            logits = base + 0.5 * torch.randn(config.components, len(base), generator=noise)
            first, second = torch.zeros_like(logits), torch.zeros_like(logits)
            for step in range(config.steps):
                probabilities = _softmax(logits, column_of_token, sums)
                gradient = penalty.gradient(probabilities, sums)
                for loss in losses:
                    loss.add_gradient(probabilities, gradient)
                gradient -= ((gradient * probabilities) @ sums).index_select(1, column_of_token)
                gradient *= probabilities
                first.lerp_(gradient, 1 - ADAM_BETAS[0])
                second.mul_(ADAM_BETAS[1]).addcmul_(gradient, gradient, value=1 - ADAM_BETAS[1])
                size = (second / (1 - ADAM_BETAS[1] ** (step + 1))).sqrt_().add_(1e-12)
                logits.addcdiv_(first, size, value=-rates[step] / (1 - ADAM_BETAS[0] ** (step + 1)))
                shown.update()
            pooled.append(_softmax(logits, column_of_token, sums).numpy())
    final = np.concatenate(pooled)
    return Mixture(tuple(np.split(final, np.cumsum(sizes)[:-1], axis=1)))


def _softmax(logits: Tensor, column_of_token: Tensor, sums: Tensor) -> Tensor:
    """Compute the probabilities of each column in each component, concatenated over columns."""
    raised = (logits - logits.amax(1, keepdim=True)).clamp_(min=MIN_LOGIT).exp_()
    return raised / (raised @ sums).index_select(1, column_of_token)


class _Penalty:
    """Penalty on the deviation of each column of each component from the column's own distribution.

    The deviation is the divergence, plus, along ordered tokens without point masses, the roughness of the ratio of both
    distributions: the Fisher information of its square root over the column's quantiles. The penalty is concave in the
    deviation (``c * log(1 + deviation / c)``), which reduces the bias of strong dependence (Candes, Wakin and Boyd
    2008).
    """

    def __init__(self, marginals: Sequence[Floats], n_ordered: Sequence[int], weight: float) -> None:
        sizes = [len(marginal) for marginal in marginals]
        starts = np.cumsum([0, *sizes])
        shares = np.maximum(np.concatenate(marginals), MIN_SHARE)
        first = np.concatenate(
            [
                np.arange(start, start + max(n - 1, 0) if marginal.max() <= MAX_SMOOTH_SHARE else start)
                for start, n, marginal in zip(starts[:-1], n_ordered, marginals, strict=True)
            ]
        ).astype(np.int64)
        self.weight = weight
        self.column_of_token = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
        self.log_shares = torch.from_numpy(np.log(shares).astype(np.float32))
        self.root_shares = torch.from_numpy(np.sqrt(shares).astype(np.float32))
        self.first = torch.from_numpy(first)
        distance = (shares[first] + shares[first + 1]) / 2
        self.stiffness = torch.from_numpy((ROUGHNESS_WEIGHT / distance).astype(np.float32))

    def gradient(self, probabilities: Tensor, sums: Tensor) -> Tensor:
        """Return the derivative with respect to the components' probabilities, shape (components, tokens).

        Args:
            probabilities: Shape (components, tokens).
            sums: The columns' indicators, shape (tokens, columns).
        """
        probabilities = probabilities.clamp(min=MIN_PROBABILITY)
        # The derivative of the divergence with respect to a probability is log p - log q, up to a constant.
        out = probabilities.log().sub_(self.log_shares)
        deviation = (probabilities * out) @ sums
        if len(self.first):
            roots = probabilities.sqrt_().div_(self.root_shares)
            steps = roots.index_select(1, self.first + 1).sub_(roots.index_select(1, self.first))
            slope_of_step = steps * self.stiffness
            deviation.index_add_(1, self.column_of_token[self.first], slope_of_step * steps)
            slopes = (
                torch.zeros_like(roots)
                .index_add_(1, self.first + 1, slope_of_step)
                .index_add_(1, self.first, -slope_of_step)
            )
            # A root is the square root of p / q, whose derivative is 1 / (2 q root).
            out.add_(slopes.div_(roots.mul_(self.root_shares.square())))
        shrinkage = self.weight / (1 + deviation / FREE_DEPENDENCE)
        return out.mul_(shrinkage.index_select(1, self.column_of_token))


class _Loss(Protocol):
    """Half the squared errors of a set of tables divided by their variances."""

    def add_gradient(self, probabilities: Tensor, gradient: Tensor) -> None:
        """Add the derivative with respect to the components' probabilities, shape (components, tokens), in place."""


def _losses(level: Measurements) -> list[_Loss]:
    """Return the losses of a resolution: dense or sparse pairs, whichever is cheaper, and triples if there are any."""
    sizes = np.array(level.plan.sizes)
    out: list[_Loss] = []
    if level.pairs:
        padded = len(level.pairs) * sizes.max() ** 2
        out.append(_SparsePairs(level) if 2 * padded < sizes.sum() ** 2 else _DensePairs(level))
    if level.triples:
        out.append(_Triples(level))
    return out


class _SingleColumns:
    """Squared errors of the columns' own distributions over their variances."""

    def __init__(self, shares: Floats, variances: Floats) -> None:
        self.shares, self.precision = (torch.from_numpy(own.astype(np.float32)) for own in (shares, 1 / variances))

    def add_gradient(self, probabilities: Tensor, gradient: Tensor) -> None:
        """See ``_Loss``."""
        gradient.add_((probabilities.mean(0) - self.shares) * self.precision, alpha=1 / len(probabilities))


class _Grouping:
    """The linear map of a resolution from tokens to groups, concatenated over columns."""

    def __init__(self, level: Measurements) -> None:
        self.starts = np.concatenate([[0], np.cumsum(level.plan.sizes)])
        place = np.concatenate([own + start for own, start in zip(level.plan.groups, self.starts[:-1], strict=True)])
        self.place = torch.from_numpy(place)
        self.is_identity = len(place) == self.starts[-1] and bool((np.diff(place) == 1).all())

    def groups(self, probabilities: Tensor) -> Tensor:
        """Return the probabilities of groups, shape (components, groups of all columns)."""
        if self.is_identity:
            return probabilities
        out = torch.zeros(len(probabilities), int(self.starts[-1]))
        return out.index_add_(1, self.place, probabilities)

    def spread(self, slopes: Tensor) -> Tensor:
        """Map derivatives with respect to groups to derivatives with respect to tokens."""
        return slopes if self.is_identity else slopes.index_select(1, self.place)

    def dense(self, tables: Sequence[tuple[tuple[int, int], Floats, float | Floats]]) -> tuple[Tensor, Tensor]:
        """Return shares and weights as symmetric matrices, in which every pair occurs twice at half its weight."""
        shares, weights = torch.zeros(2, int(self.starts[-1]), int(self.starts[-1]))
        for (a, b), table, variance in tables:
            first, second = slice(self.starts[a], self.starts[a + 1]), slice(self.starts[b], self.starts[b + 1])
            pair_shares = torch.from_numpy(table.astype(np.float32))
            shares[first, second], shares[second, first] = pair_shares, pair_shares.T
            precision = torch.from_numpy(np.broadcast_to(0.25 / np.asarray(variance), table.shape).astype(np.float32))
            weights[first, second], weights[second, first] = precision, precision.T
        return shares, weights


class _DensePairs:
    """Pairs of all columns by one matrix product."""

    def __init__(self, level: Measurements) -> None:
        self.map = _Grouping(level)
        self.shares, self.weights = self.map.dense(level.pairs)

    def add_gradient(self, probabilities: Tensor, gradient: Tensor) -> None:
        """See ``_Loss``."""
        each = 1 / len(probabilities)
        groups = self.map.groups(probabilities)
        residual = torch.addmm(self.shares, groups.T, groups, beta=-1, alpha=each).mul_(self.weights)
        gradient.add_(self.map.spread(groups @ residual), alpha=4 * each)


class _SparsePairs:
    """Few pairs of many columns, each padded to the widest column."""

    def __init__(self, level: Measurements) -> None:
        self.map = _Grouping(level)
        sizes, width = level.plan.sizes, max(level.plan.sizes)
        # The position of each group among the padded columns, and the inverse.
        self.padded = torch.from_numpy(
            np.concatenate([width * column + np.arange(size) for column, size in enumerate(sizes)])
        )
        self.width, self.columns = width, len(sizes)
        self.first, self.second = (torch.tensor([pair[i] for pair, _, _ in level.pairs]) for i in (0, 1))
        self.shares, self.weights = torch.zeros(2, len(level.pairs), width, width)
        for place, ((a, b), table, variance) in enumerate(level.pairs):
            self.shares[place, : sizes[a], : sizes[b]] = torch.from_numpy(table.astype(np.float32))
            precision = np.broadcast_to(0.5 / np.asarray(variance), table.shape).astype(np.float32)
            self.weights[place, : sizes[a], : sizes[b]] = torch.from_numpy(precision)

    def add_gradient(self, probabilities: Tensor, gradient: Tensor) -> None:
        """See ``_Loss``."""
        components = len(probabilities)
        whole = torch.zeros(self.columns * self.width, components)
        whole[self.padded] = self.map.groups(probabilities).T
        columns = whole.view(self.columns, self.width, components)
        one, two = columns[self.first], columns[self.second]
        residual = torch.baddbmm(self.shares, one, two.mT, beta=-1, alpha=1 / components).mul_(self.weights)
        slopes = torch.zeros_like(columns)
        slopes.index_add_(0, self.first, residual @ two)
        slopes.index_add_(0, self.second, residual.mT @ one)
        gradient.add_(self.map.spread(slopes.view(-1, components)[self.padded].T.contiguous()), alpha=2 / components)


class _Triples:
    """Pairs of all columns within each group of the target."""

    def __init__(self, level: Measurements) -> None:
        self.map = _Grouping(level)
        assert level.plan.target is not None
        self.start = int(self.map.starts[level.plan.target])
        parts = range(level.plan.n_parts)
        self.within = [
            self.map.dense([(pair, table[part], variance) for pair, table, variance in level.triples]) for part in parts
        ]

    def add_gradient(self, probabilities: Tensor, gradient: Tensor) -> None:
        """See ``_Loss``."""
        each = 1 / len(probabilities)
        groups = self.map.groups(probabilities)
        slopes = torch.zeros_like(groups)
        for part, (shares, weights) in enumerate(self.within):
            inside = groups[:, self.start + part, None] * each
            residual = torch.addmm(shares, (groups * inside).T, groups, beta=-1).mul_(weights)
            products = groups @ residual
            slopes.addcmul_(products, inside, value=4)
            slopes[:, self.start + part] += 2 * each * (products * groups).sum(1)
        gradient.add_(self.map.spread(slopes))
