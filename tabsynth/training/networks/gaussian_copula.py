"""Gaussian copula of tokens: each slot is a latent normal variable cut into intervals, an ordered probit.

On small tables it learns linear dependences between many columns from far fewer rows than a network. The conditional
distribution of a slot is the mass of a normal distribution in the intervals of its tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp, ndtri
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor

from tabsynth.common.arrays import Arrays, Floats, Tokens, check_numbers
from tabsynth.training.networks.layout import Layout

MIN_VARIANCE = 1e-4
"""Minimum conditional variance of a slot."""

MIN_COARSE_SHARE = 0.05
"""Minimum conditional variance as a share of the variance within the tokens of a coarse slot."""

MIN_SHRINKAGE = 1e-4
"""Minimum shrinkage; keeps the covariance regular if columns are duplicates."""

MIN_PROBABILITY = 1e-6
"""Minimum probability of a token, before normalisation."""

ORDER_SWEEPS, MIN_ORDER_ROWS = 3, 3
"""Sweeps over the categorical slots that choose the order of categories, and rows by which their means are shrunk."""

PRIOR_PRECISION = 10.0
"""Precision of the normal prior that shrinks a slot's exponents to the common ones."""


@dataclass(frozen=True, eq=False)
class GaussianCopula:
    """Latent normal variables of slots, pooled with the conditionals of a network.

    Attributes:
        layout: The slots.
        covariance: Covariance of the tokens' scores, shape (slots, slots).
        exponents: Exponents of the network and of the copula in their logarithmic pool, shape (slots, 2).
        orders: The tokens of each slot in the order of its latent variable; empty if all are in their own order.
    """

    layout: Layout
    covariance: Tensor
    exponents: Floats
    orders: tuple[Tensor, ...] = ()

    @classmethod
    def fit(cls, tokens: Tensor, layout: Layout, weights: Floats | None = None) -> GaussianCopula:
        """Estimate the covariance of scores, shrunk as by Ledoit and Wolf (2004); absent tokens (-1) score 0."""
        slots = len(layout.sizes)
        copula = cls(layout, torch.eye(slots, dtype=torch.float64), np.tile([0.0, 1.0], (slots, 1)))
        copula = replace(copula, orders=copula._category_orders(tokens.cpu().numpy()))
        scores = copula._scores(tokens.cpu(), range(slots)).numpy()
        covariance = np.atleast_2d(np.cov(scores, rowvar=False, bias=True, aweights=weights))
        variances = np.maximum(np.diag(covariance), MIN_VARIANCE)
        shrinkage = max(ledoit_wolf_shrinkage((scores - scores.mean(0)) / np.sqrt(variances)), MIN_SHRINKAGE)
        return replace(
            copula, covariance=torch.from_numpy((1 - shrinkage) * covariance + np.diag(shrinkage * variances))
        )

    def pool(self, logits: Tensor, tokens: Tensor, slot: int, seen: Sequence[int]) -> Tensor:
        """Return a slot's logits: log-probabilities of the network and the copula, weighted by the slot's exponents."""
        first, second = self.exponents[slot].tolist()
        own = self.log_prob(tokens, slot, seen).to(logits)
        return torch.add(logits.log_softmax(1) * first, own, alpha=second)

    def log_prob(self, tokens: Tensor, slot: int, seen: Sequence[int]) -> Tensor:
        """Return a slot's log-probabilities given the known tokens of ``seen``, shape (rows, size); on the CPU."""
        tokens, at = tokens.cpu(), [other for other in seen if other != slot]
        mean = torch.zeros(len(tokens), dtype=torch.float64)
        variance = torch.ones_like(mean)
        # The score of a coarse slot varies less than its latent variable, and covaries less with others, by one factor.
        spread = float(self.covariance[slot, slot])
        if at and len(tokens):
            scores = self._scores(tokens, at)
            patterns, pattern_of = torch.unique(tokens[:, at] >= 0, dim=0, return_inverse=True)
            for number, pattern in enumerate(patterns):
                rows, inside = (pattern_of == number).nonzero().squeeze(1), pattern.nonzero().squeeze(1)
                known = torch.tensor(at)[inside]
                across = self.covariance[slot, known] / spread
                slope = torch.linalg.solve(self.covariance[known][:, known], across)
                mean[rows] = scores[rows][:, inside] @ slope
                variance[rows] = 1 - slope @ across
        cuts = (self._cuts(slot) - mean[:, None]) / variance.clamp(
            min=max(MIN_VARIANCE, MIN_COARSE_SHARE * (1 - spread))
        ).sqrt()[:, None]
        below, above = torch.special.ndtr(cuts), torch.special.ndtr(-cuts)
        # In the upper tail, differences of upper-tail masses lose no precision.
        mass = torch.where(cuts[:, :-1] > 0, above[:, :-1] - above[:, 1:], below[:, 1:] - below[:, :-1])
        mass = mass.clamp(min=MIN_PROBABILITY)
        if self.orders:
            mass = torch.empty_like(mass).index_copy_(1, self.orders[slot], mass)
        return (mass / mass.sum(1, keepdim=True)).log()

    def pooled_with(self, network: Sequence[Floats], own: Sequence[Floats], tokens: Tokens) -> GaussianCopula:
        """Return the copula with the exponents that maximise the likelihood of held-out rows, shrunk to a common pair.

        The problem is convex: the log-likelihood of a logarithmic pool is concave in its exponents.

        Args:
            network: The network's log-probabilities of each slot, shape (rows, size) each.
            own: The copula's.
            tokens: The rows' tokens, shape (rows, slots); -1 where absent.
        """
        slots = len(network)
        pools = [np.stack(pair, 2)[tokens[:, slot] >= 0] for slot, pair in enumerate(zip(network, own, strict=True))]
        observed = [tokens[tokens[:, slot] >= 0, slot] for slot in range(slots)]

        def objective(flat: Floats) -> tuple[float, Floats]:
            common, single = flat[:2], flat[2:].reshape(slots, 2)
            value, slope = PRIOR_PRECISION / 2 * float((single**2).sum()), PRIOR_PRECISION * single
            for slot, (pool, token) in enumerate(zip(pools, observed, strict=True)):
                logits = pool @ (common + single[slot])
                logits = logits - logsumexp(logits, axis=1, keepdims=True)
                rows = np.arange(len(token))
                value -= float(logits[rows, token].sum())
                slope[slot] += (np.einsum("ij,ijk->k", np.exp(logits), pool)) - pool[rows, token].sum(0)
            common_slope = (slope - PRIOR_PRECISION * single).sum(0)
            return value, np.concatenate([common_slope, slope.ravel()])

        begin = np.concatenate([[0.3, 0.7], np.zeros(2 * slots)])
        found = minimize(objective, begin, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x
        exponents = np.maximum(found[:2] + found[2:].reshape(slots, 2), 0.0)
        return replace(self, exponents=exponents)

    def arrays(self) -> Arrays:
        """Return the arrays for ``from_arrays``."""
        arrays: Arrays = {"copula.covariance": self.covariance.numpy(), "copula.exponents": self.exponents}
        return arrays | ({"copula.orders": torch.cat(self.orders).numpy()} if self.orders else {})

    @classmethod
    def from_arrays(cls, arrays: Arrays, layout: Layout) -> GaussianCopula:
        """Rebuild a copula.

        Raises:
            ValueError: The arrays are those of other slots.
        """
        exponents, orders, n_slots = arrays["copula.exponents"], arrays.get("copula.orders"), len(layout.sizes)
        stored = arrays["copula.covariance"]
        check_numbers(stored, (n_slots, n_slots), "the copula is that of other slots: covariance")
        check_numbers(exponents, (n_slots, 2), "the copula is that of other slots: exponents", low=0)
        if not np.allclose(stored, stored.T) or np.linalg.eigvalsh(stored)[0] <= 0:
            raise ValueError("the copula's covariance is not that of any variables")
        covariance = torch.from_numpy(stored.astype(np.float64))
        ends = np.cumsum(layout.sizes)[:-1]
        if orders is not None and (
            orders.dtype.kind != "i"
            or orders.shape != (sum(layout.sizes),)
            or any((np.sort(own) != np.arange(len(own))).any() for own in np.split(orders, ends))
        ):
            raise ValueError("the copula's order of tokens is that of other slots")
        if orders is None:
            return cls(layout, covariance, exponents)
        return cls(
            layout, covariance, exponents, torch.split(torch.from_numpy(orders.astype(np.int64)), list(layout.sizes))
        )

    def _category_orders(self, tokens: Tokens) -> tuple[Tensor, ...]:
        """Return the tokens of each slot in the order of its latent variable.

        Categories have no order of their own. They are sorted by the other slots' scores, weighted by their correlation
        with the slot, which increases the correlations (alternating least squares for optimal scaling).
        """
        copula = replace(self, orders=tuple(torch.arange(size) for size in self.layout.sizes))
        categories = [slot for slot, lines in enumerate(self.layout.lines) if not lines and self.layout.sizes[slot] > 2]
        scores = copula._scores(torch.from_numpy(tokens), range(len(self.layout.sizes))).numpy()
        for _ in range(ORDER_SWEEPS):
            for slot in categories:
                standard = scores / np.maximum(scores.std(0), 1e-9)
                weights = standard[:, slot] @ standard / len(scores)
                weights[slot] = 0.0
                others, own = standard @ weights, tokens[:, slot]
                known = own >= 0
                size = self.layout.sizes[slot]
                rows = np.bincount(own[known], minlength=size)
                mean = np.bincount(own[known], weights=others[known], minlength=size) / (rows + MIN_ORDER_ROWS)
                orders = list(copula.orders)
                orders[slot] = torch.from_numpy(np.argsort(mean, kind="stable"))
                copula = replace(copula, orders=tuple(orders))
                scores[:, slot] = copula._scores(torch.from_numpy(tokens), [slot]).numpy()[:, 0]
        return copula.orders

    def _counts(self, slot: int) -> Floats:
        """Return the training rows of each token, in the order of the latent variable."""
        counts = np.asarray(self.layout.counts[slot], np.float64)
        return counts[self.orders[slot].numpy()] if self.orders else counts

    def _cuts(self, slot: int) -> Tensor:
        """Return the ends of the intervals of a slot's tokens, shape (size + 1,)."""
        counts = self._counts(slot)
        return torch.from_numpy(ndtri(np.concatenate([[0.0], np.cumsum(counts) / max(counts.sum(), 1.0)]).clip(0, 1)))

    def _scores(self, tokens: Tensor, slots: Sequence[int]) -> Tensor:
        """Return the mean latent variable in the interval of each known token, 0 where unknown; (rows, len(slots))."""
        out = torch.zeros(len(tokens), len(slots), dtype=torch.float64)
        for i, slot in enumerate(slots):
            density = torch.exp(-(self._cuts(slot) ** 2) / 2) / np.sqrt(2 * np.pi)
            share = torch.from_numpy(self._counts(slot))
            share = share / share.sum()
            table = torch.where(share > 0, (density[:-1] - density[1:]) / share.clamp(min=1e-12), 0.0)
            if self.orders:
                table = torch.empty_like(table).index_copy_(0, self.orders[slot], table)
            own = tokens[:, slot]
            out[:, i] = torch.where(own >= 0, table[own.clamp(min=0)], 0.0)
        return out
