"""Count pairs of tokens and fit a model to the counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.synthesizers.marginal.budget_allocation import COPULA_PENALTY, MixtureConfig, mixture_config
from tabsynth.synthesizers.marginal.count_source import CountSource, MeasuredRows
from tabsynth.synthesizers.marginal.graphical_model import GraphicalModel
from tabsynth.synthesizers.marginal.mixture_fit import fit_mixture
from tabsynth.synthesizers.marginal.opendp_adapter import ALGORITHMS, check_source, release_model
from tabsynth.synthesizers.marginal.pair_selection import measure_levels
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.public_facts.known_levels import KNOWN_SHARE, PublicFacts
from tabsynth.synthesizers.marginal.sign_products.correlations import measure_correlations
from tabsynth.synthesizers.marginal.two_way_marginals import Measurements, Pair

Model = Mixture | GraphicalModel


@dataclass(frozen=True, eq=False)
class LearnedSlots:
    """Public facts and one-way counts of the learned slots.

    Attributes:
        names: The column of each slot.
        counts: Rows of each token of each slot.
        allowed: Tokens of each slot that a synthetic row may contain.
        lines: Number of leading tokens of each slot that are ordered; 0 for unordered slots.
        target: Position of the target, if any.
        rows: Number of rows.
        public: Public facts on all tokens.
        sigma: Standard deviation of the noise of each slot's counts; None without noise.
        published: Slots whose distribution is published; the model reproduces it exactly.
        pairs: The pairs of slots that may be counted; None for all.
    """

    names: list[str]
    counts: list[npt.NDArray[np.int64]]
    allowed: list[npt.NDArray[np.bool_]]
    lines: list[int]
    target: int | None
    rows: float
    public: PublicFacts = field(default_factory=PublicFacts)
    sigma: list[float] | None = None
    published: tuple[int, ...] = ()
    pairs: tuple[Pair, ...] | None = None

    @cached_property
    def learned_public(self) -> PublicFacts:
        """Return the public facts on the learned tokens."""
        learned = self.learned_tokens
        zeros = {(a, b): table[np.ix_(learned[a], learned[b])] for (a, b), table in self.public.zeros.items()}
        families = {
            i: [np.unique(partition[learned[i]], return_inverse=True)[1] for partition in partitions]
            for i, partitions in self.public.families.items()
        }
        published = []
        for (a, b), groups, shares in self.public.published:
            first, second = (
                np.unique(table[learned[i]], return_inverse=True) for i, table in zip((a, b), groups, strict=True)
            )
            published.append(((a, b), (first[1], second[1]), shares[np.ix_(first[0], second[0])]))
        return PublicFacts(zeros, families, published)

    @cached_property
    def learned_tokens(self) -> list[npt.NDArray[np.int64]]:
        """Return the learned tokens of each slot: tokens that cannot occur would only cost noise."""
        return [np.flatnonzero(allow | (rows > 0)) for allow, rows in zip(self.allowed, self.counts, strict=True)]

    @cached_property
    def learned_lines(self) -> list[int]:
        """Return the number of ordered tokens among each slot's learned tokens."""
        return [int((tokens < n).sum()) for tokens, n in zip(self.learned_tokens, self.lines, strict=True)]

    @cached_property
    def marginals(self) -> list[Floats]:
        """Return the distribution of each slot's learned tokens."""
        return [rows[at] / rows[at].sum() for rows, at in zip(self.counts, self.learned_tokens, strict=True)]

    def with_published(self, small: Mixture) -> Mixture:
        """Return a mixture of the learned tokens with the published distributions."""
        return small.with_marginals({i: self.marginals[i] for i in self.published})

    def variances(self, source: CountSource) -> list[float]:
        """Return the variance of each slot's shares."""
        return [(max(sigma, source.sigma(KNOWN_SHARE)) / self.rows) ** 2 for sigma in self.sigma or ()]

    def measured(self, tokens: Callable[[], Tokens], source: CountSource) -> MeasuredRows:
        """Return the rows as learned tokens; they are read once, inside the first charged query."""
        place = [np.zeros(len(counts), np.int32) for counts in self.counts]
        for table, at in zip(place, self.learned_tokens, strict=True):
            table[at] = np.arange(len(at))

        @cache
        def read() -> Tokens:
            rows = tokens()
            return np.stack([table[rows[:, i]] for i, table in enumerate(place)], axis=1)

        return MeasuredRows(read, self.rows, source, self.names)


def fit_model(
    slots: LearnedSlots,
    tokens: Callable[[], Tokens],
    source: CountSource,
    share: float,
    *,
    method: str,
    components: int | None,
    seed: int,
    progress: bool | None = False,
) -> Model:
    """Count pairs and fit a model.

    Args:
        slots: The learned slots.
        tokens: Function that reads the tokens of all rows, shape (n, slots).
        source: The source of counts, which charges them.
        share: Share of the budget to spend.
        method: ``mixture``, ``aim`` or ``mst``.
        components: Components of a mixture; by default chosen from the rows and the budget.
        seed: Seed of the mixture's initial values.
        progress: Whether to show a bar; None shows one on a terminal.
    """
    learned_tokens = slots.learned_tokens
    if method in ALGORITHMS:
        read, sizes = slots.measured(tokens, source).tokens, [len(learned) for learned in learned_tokens]
        small_model = release_model(method, sizes, read, check_source(source), share, slots.names)
        return _expand_model(small_model, learned_tokens, [len(count) for count in slots.counts])
    measured, config = measure_pairs(slots, tokens, source, share, components=components, seed=seed)
    variances = slots.variances(source)
    small = fit_mixture(
        slots.marginals,
        measured,
        slots.rows,
        config,
        seed=seed,
        n_ordered=slots.learned_lines,
        variances=variances,
        progress=progress,
    )
    whole = zip(slots.with_published(small).parts, slots.counts, learned_tokens, strict=True)
    return Mixture(tuple(_expand_tokens(part, learned, len(counts)) for part, counts, learned in whole))


def independent_model(
    slots: LearnedSlots,
    source: CountSource,
    seed: int,
    products: tuple[Callable[[], Tokens], float, bool] | None = None,
) -> Mixture:
    """Return a mixture of independent columns, fitted to public facts and products of signs on pairs, if there are any.

    Args:
        slots: The learned slots.
        source: The source of counts, which charges them.
        seed: Seed of the mixture's initial values.
        products: Reader of the tokens of all rows, share of the budget, and whether all pairs or those with the
            target are measured, if products of signs are to be measured.
    """
    public, sizes = slots.learned_public, [len(own) for own in slots.marginals]
    small = Mixture(tuple(part[None].astype(np.float32) for part in slots.marginals))
    known = public.known_levels(sizes, (source.sigma(KNOWN_SHARE) / slots.rows) ** 2)
    if products is not None:
        tokens, share, all_pairs = products
        pairs = [pair for pair in combinations(range(len(sizes)), 2) if all_pairs or slots.target in pair]
        measured = slots.measured(tokens, source)
        correlations = measure_correlations(slots.marginals, slots.learned_lines, pairs, measured, share)
        if correlations:
            known.append(correlations)
            slots = replace(slots, published=tuple(range(len(sizes))))
    if known:
        config = mixture_config(slots.rows / source.max_rows_per_unit, source.rho, None, sum(sizes) ** 2)
        config = replace(config, penalty=COPULA_PENALTY * config.penalty)
        variances = slots.variances(source)
        small = fit_mixture(
            slots.marginals,
            known,
            slots.rows,
            config,
            seed=seed,
            n_ordered=slots.learned_lines,
            variances=variances,
        )
    parts = zip(slots.with_published(small).parts, slots.counts, slots.learned_tokens, strict=True)
    return Mixture(tuple(_expand_tokens(part, at, len(own)) for part, own, at in parts))


def measure_pairs(
    slots: LearnedSlots,
    tokens: Callable[[], Tokens],
    source: CountSource,
    share: float,
    *,
    components: int | None,
    seed: int,
) -> tuple[list[Measurements], MixtureConfig]:
    """Count the pairs to which a mixture is fitted, and choose its configuration.

    Args:
        slots: The learned slots.
        tokens: Function that reads the tokens of all rows, shape (n, slots).
        source: The source of counts, which charges them.
        share: Share of the budget to spend.
        components: Components of the mixture; by default chosen from the rows and the budget.
        seed: Seed of the mixture's initial values.
    """
    units = slots.rows / source.max_rows_per_unit
    config = mixture_config(units, source.rho, components, sum(map(len, slots.marginals)) ** 2)
    measured = measure_levels(
        slots.marginals,
        slots.learned_lines,
        slots.target,
        slots.measured(tokens, source),
        share,
        config,
        seed,
        slots.learned_public,
        slots.pairs,
    )
    return measured, config


def to_arrays(model: Model) -> tuple[dict[str, Any], Arrays]:
    """Return a model as plain data and arrays."""
    if isinstance(model, Mixture):
        parts = {str(i): part for i, part in enumerate(model.parts)}
        return {"model": "mixture"}, parts | {f"forbidden.{a}.{b}": table for (a, b), table in model.forbidden.items()}
    config = {"model": "cliques", "sizes": list(model.sizes), "columns": [list(clique) for clique in model.columns]}
    return config, {str(i): table for i, table in enumerate(model.tables)}


def from_arrays(config: dict[str, Any], arrays: Arrays) -> Model:
    """Rebuild a model from the result of ``to_arrays``.

    Raises:
        ValueError: The arrays are no distributions of such columns.
    """
    if config["model"] == "mixture":
        forbidden = {
            (int(name.split(".")[1]), int(name.split(".")[2])): array.astype(bool)
            for name, array in arrays.items()
            if name.startswith("forbidden.")
        }
        mixture = Mixture(tuple(arrays[str(i)] for i in range(len(arrays) - len(forbidden))), forbidden)
        mixture.check()
        return mixture
    if config["model"] != "cliques":
        raise ValueError(f"unknown marginal model {config['model']!r}")
    columns = tuple(tuple(int(column) for column in clique) for clique in config["columns"])
    tables = tuple(arrays[str(i)] for i in range(len(columns)))
    model = GraphicalModel(tuple(int(size) for size in config["sizes"]), columns, tables)
    model.check()
    return model


def token_sizes(model: Model) -> tuple[int, ...]:
    """Return the number of tokens of each slot of a model."""
    return tuple(part.shape[1] for part in model.parts) if isinstance(model, Mixture) else tuple(model.sizes)


def _expand_tokens(part: npt.NDArray[Any], learned_tokens: npt.NDArray[np.int64], size: int) -> npt.NDArray[Any]:
    """Scatter columns to their positions among ``size``, zero elsewhere."""
    whole = np.zeros((len(part), size), part.dtype)
    whole[:, learned_tokens] = part
    return whole


def _expand_model(
    model: GraphicalModel, learned_tokens: list[npt.NDArray[np.int64]], sizes: list[int]
) -> GraphicalModel:
    """Expand a model to all tokens; tokens that were not learned get no mass."""
    tables = []
    for columns, table in zip(model.columns, model.tables, strict=True):
        whole = np.zeros([sizes[column] for column in columns])
        whole[np.ix_(*(learned_tokens[column] for column in columns))] = table
        tables.append(whole)
    return GraphicalModel(tuple(sizes), model.columns, tuple(tables))
