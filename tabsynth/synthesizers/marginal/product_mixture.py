"""Mixture of product distributions: K components of equal weight, in each of which the columns are independent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Floats, Integers, Tokens, check_numbers
from tabsynth.synthesizers.marginal.pair_balancing import balance_pairs

MIN_PROBABILITY = 1e-9
"""Below this probability of all allowed tokens, a component does not decide between them."""

N_RAKES = 30
"""Iterations of proportional fitting of a column to a given distribution."""

CHUNK_ROWS = 1 << 14
"""Rows whose probabilities are in memory at a time."""


def stratified_uniforms(group: Integers, rng: np.random.Generator, stratify: bool) -> Floats:
    """Sample uniforms, shape (n,), stratified over [0, 1) within each group, and over all groups together.

    In each group the i-th smallest of k is in the i-th of k equal intervals. The places within these intervals are
    stratified over the groups: few rows of each of many components then have the frequencies of many rows of one.
    """
    n = len(group)
    if not stratify:
        return rng.random(n)
    rank, counts = _random_ranks(group, rng)
    place, others = _random_ranks(rank, rng)
    return np.asarray((rank + (place + rng.random(n)) / others[rank]) / counts[group])


def _random_ranks(group: Integers, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Return the rank of each row in random order within its group, and the size of each group."""
    counts = np.bincount(group)
    first = np.cumsum(counts) - counts
    order = np.lexsort((rng.random(len(group)), group))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - first[group[order]]
    return rank, counts


def probabilities_by_likelihood(
    log_likelihood: Callable[[Tokens], Floats], tokens: Tokens, column: int, size: int
) -> Floats:
    """Compute a column's distribution given the known tokens of rows by trying each token, shape (n, size)."""
    asked = tokens.copy()
    logs = np.empty((len(tokens), size))
    for token in range(size):
        asked[:, column] = token
        logs[:, token] = log_likelihood(asked)
    raised = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def restrict(probabilities: npt.NDArray[np.floating], share: Floats) -> Floats:
    """Multiply probabilities by the allowed share of each token; fall back to the shares where the product is zero."""
    out = probabilities * share
    return np.asarray(np.where(out.sum(1, keepdims=True) > 0, out, share))


def invert_component_cdf(probabilities: Floats, row: Integers, uniform: Floats) -> Tokens:
    """Sample tokens by inverting the CDF of each row's component, shape (n,)."""
    size = probabilities.shape[1]
    cumulative = np.cumsum(probabilities, 1)
    total = cumulative[:, -1:]
    # All CDFs are concatenated on one axis, each over a unit interval.
    line = np.where(total > 0, cumulative / np.maximum(total, 1e-300), np.arange(1, size + 1) / size)
    at = (
        np.searchsorted((line + np.arange(len(probabilities))[:, None]).ravel(), row + uniform, side="right")
        - row * size
    )
    last = (size - 1 - np.argmax(probabilities[:, ::-1] > 0, 1))[row]
    return np.asarray(np.clip(at, 0, last), np.int32)


def invert_row_cdf(probabilities: npt.NDArray[np.floating], uniform: Floats) -> Tokens:
    """Sample tokens by inverting the CDF of each row, shape (n,)."""
    cumulative = np.cumsum(probabilities.astype(np.float64), 1)
    cumulative = np.where(cumulative[:, -1:] > 0, cumulative, np.arange(1.0, cumulative.shape[1] + 1))
    last = cumulative.shape[1] - 1 - np.argmax(probabilities[:, ::-1] > 0, 1)
    below = (cumulative <= (uniform * cumulative[:, -1])[:, None]).sum(1)
    return np.asarray(np.minimum(below, last), np.int32)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Components of equal weight, each a product of independent columns.

    Attributes:
        parts: The distribution of each column in every component, shape (components, tokens) each.
        forbidden: Combinations of the tokens of two columns that no row may have, shape (tokens, tokens) each.
    """

    parts: tuple[npt.NDArray[np.float32], ...]
    forbidden: Mapping[tuple[int, int], Bools] = field(default_factory=dict)

    def check(self) -> None:
        """Raise a ValueError unless the arrays of a file are distributions."""
        sizes = tuple(part.shape[-1] if part.ndim else 0 for part in self.parts)
        for part, size in zip(self.parts, sizes, strict=True):
            check_numbers(part, (len(self.parts[0]), size), "the components of the mixture", low=0, high=2)
            if not part.size or not part.sum(1).all():
                raise ValueError("the components of the mixture are no distributions")
        for (first, second), table in self.forbidden.items():
            if table.shape != (sizes[first], sizes[second]):
                raise ValueError("the forbidden combinations are those of other columns")

    @property
    def components(self) -> int:
        """Number of components."""
        return len(self.parts[0])

    def with_marginals(self, marginals: Mapping[int, Floats]) -> Mixture:
        """Return a mixture with given distributions of columns, by weighting tokens alike in all components.

        Args:
            marginals: The distribution of each column to adjust, shape (tokens,).
        """
        parts = list(self.parts)
        for column, wanted in marginals.items():
            own = parts[column].astype(np.float64)
            for _ in range(N_RAKES):
                own *= wanted / np.maximum(own.mean(0), MIN_PROBABILITY)
                own /= np.maximum(own.sum(1, keepdims=True), MIN_PROBABILITY)
            parts[column] = own.astype(np.float32)
        return replace(self, parts=tuple(parts))

    def component_log_prob(
        self, tokens: npt.NDArray[np.int32], allowed: Sequence[Floats | None] | None = None
    ) -> Floats:
        """Compute the joint log-probability of row and component, shape (n, components); -1 marginalises a token."""
        joint = np.full((len(tokens), self.components), -np.log(self.components))
        for column, part in enumerate(self.parts):
            logs = np.log(np.maximum(part.T.astype(np.float64), 1e-300))
            free = np.zeros((1, self.components))
            share = None if allowed is None else allowed[column]
            if share is not None:
                free = np.log(np.maximum(part.astype(np.float64) @ share, 1e-300))[None]
            joint += np.concatenate([logs, free])[tokens[:, column]]
        return joint

    def log_likelihood(self, tokens: npt.NDArray[np.int32]) -> Floats:
        """Compute the log-probability of rows, shape (n,); -1 marginalises a token."""
        out = np.empty(len(tokens))
        for begin in range(0, len(tokens), CHUNK_ROWS):
            joint = self.component_log_prob(tokens[begin : begin + CHUNK_ROWS])
            max_log = joint.max(1)
            out[begin : begin + CHUNK_ROWS] = max_log + np.log(np.exp(joint - max_log[:, None]).sum(1))
        return out

    def probabilities(self, tokens: npt.NDArray[np.int32], column: int) -> Floats:
        """Compute a column's distribution given the known tokens of rows, shape (n, tokens); -1 where unknown."""
        out = np.empty((len(tokens), self.parts[column].shape[1]))
        for begin in range(0, len(tokens), CHUNK_ROWS):
            joint = self.component_log_prob(tokens[begin : begin + CHUNK_ROWS])
            weight = np.exp(joint - joint.max(1, keepdims=True))
            out[begin : begin + CHUNK_ROWS] = weight @ self.parts[column] / weight.sum(1, keepdims=True)
        may = self._may(tokens, column)
        if may is None:
            return out
        out = restrict(out, may)
        return np.asarray(out / out.sum(1, keepdims=True))

    def _may(self, tokens: npt.NDArray[np.int32], column: int) -> Floats | None:
        """Return 1 for each token of a column that the known tokens of rows allow, shape (n, tokens).

        None if no pair restricts the column; rows whose known tokens allow no token are not restricted.
        """
        may: Bools | None = None
        for pair, forbidden in self.forbidden.items():
            if column in pair:
                other = pair[1] if pair[0] == column else pair[0]
                table = ~(forbidden if pair[0] == other else forbidden.T)
                own = np.append(table, np.ones((1, table.shape[1]), bool), axis=0)[tokens[:, other]]
                may = own if may is None else may & own
        return None if may is None else np.where(may.any(1, keepdims=True), may, True).astype(np.float64)

    def draw(
        self,
        fixed: npt.NDArray[np.int32],
        allowed: Sequence[Floats | None],
        rng: np.random.Generator,
        *,
        stratify: bool = True,
    ) -> npt.NDArray[np.int32]:
        """Sample the tokens that are -1 from the exact conditional distribution given the others.

        Args:
            fixed: Shape (rows, columns), -1 where a token is free.
            allowed: The allowed share of each token of a column, None where all are. Two-dimensional where it depends
                on the token of the column before, which is sampled first.
            rng: Random generator.
            stratify: Stratify the random numbers over the rows, and over the rows of each component, and balance the
                pairs of tokens.
        """
        out = fixed.copy()
        if not len(fixed):
            return out
        component = self._sample_components(fixed, allowed, rng, stratify)
        order = np.argsort(component, kind="stable")
        for column, part in enumerate(self.parts):
            rows = order[fixed[order, column] < 0]
            share = allowed[column]
            if not len(rows):
                continue
            if share is not None and share.ndim == 2:
                probabilities = restrict(part[component[rows]], share[out[rows, column - 1]])
                out[rows, column] = invert_row_cdf(probabilities, rng.random(len(rows)))
            else:
                probabilities = part.astype(np.float64) if share is None else restrict(part, share)
                out[rows, column] = invert_component_cdf(
                    probabilities, component[rows], stratified_uniforms(component[rows], rng, stratify)
                )
            for begin in range(0, len(rows) if self.forbidden else 0, CHUNK_ROWS):
                self._redraw_forbidden(out, column, rows[begin : begin + CHUNK_ROWS], component, share, rng)
        if stratify:
            self._balance(out, fixed, allowed, component, rng)
        return out

    def _balance(
        self,
        out: Tokens,
        fixed: Tokens,
        allowed: Sequence[Floats | None],
        component: Integers,
        rng: np.random.Generator,
    ) -> None:
        """Exchange the tokens of free columns within components in place, so that pairs are as frequent as expected."""
        rows = np.bincount(component, minlength=self.components)[:, None]
        paired = {column for pair in self.forbidden for column in pair}
        for column, share in enumerate(allowed):
            if share is not None and share.ndim == 2:
                paired |= {column - 1, column}
        expected, free = [], []
        for column, (part, share) in enumerate(zip(self.parts, allowed, strict=True)):
            if column in paired or (fixed[:, column] >= 0).any():
                counts = np.zeros(part.shape)
                np.add.at(counts, (component, out[:, column]), 1.0)
                expected.append(counts)
                continue
            free.append(column)
            inside = part.astype(np.float64) if share is None else restrict(part, share)
            expected.append(rows * inside / np.maximum(inside.sum(1, keepdims=True), 1e-300))
        balance_pairs(out, component, expected, free, rng)

    def _redraw_forbidden(
        self,
        out: Tokens,
        column: int,
        rows: Integers,
        component: Integers,
        share: Floats | None,
        rng: np.random.Generator,
    ) -> None:
        """Redraw a column of rows in place where its token is forbidden beside the known tokens."""
        may = self._may(out[rows], column)
        if may is None:
            return
        here = may[np.arange(len(rows)), out[rows, column]] == 0
        rows, may = rows[here], may[here]
        if share is not None:
            may = may * (share if share.ndim == 1 else share[out[rows, column - 1]])
            rows, may = rows[may.any(1)], may[may.any(1)]
        part = self.parts[column]
        probabilities = part[component[rows]] * may
        # If the component excludes all of the tokens, the marginal distribution decides.
        none = probabilities.sum(1, keepdims=True) < MIN_PROBABILITY
        probabilities = np.where(none, part.mean(0, dtype=np.float64) * may, probabilities)
        out[rows, column] = invert_row_cdf(probabilities, rng.random(len(rows)))

    def _sample_components(
        self,
        fixed: npt.NDArray[np.int32],
        allowed: Sequence[Floats | None],
        rng: np.random.Generator,
        stratify: bool,
    ) -> npt.NDArray[np.int64]:
        """Sample the component of each row given its fixed tokens and the limits."""
        one = [None if share is None or share.ndim == 2 else share for share in allowed]
        same = not (fixed >= 0).any()
        uniform = stratified_uniforms(np.zeros(len(fixed), np.int64), rng, stratify)
        if same:
            joint = self.component_log_prob(fixed[:1], one)
            return invert_component_cdf(np.exp(joint - joint.max()), np.zeros(len(fixed), np.int64), uniform).astype(
                np.int64
            )
        out = np.empty(len(fixed), np.int64)
        for begin in range(0, len(fixed), CHUNK_ROWS):
            rows = slice(begin, begin + CHUNK_ROWS)
            joint = self.component_log_prob(fixed[rows], one)
            out[rows] = invert_row_cdf(np.exp(joint - joint.max(1, keepdims=True)), uniform[rows])
        return out
