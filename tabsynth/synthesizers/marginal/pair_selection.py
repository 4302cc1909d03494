"""Selection of pairs for each resolution: all pairs on coarse groups, then the strongest on all tokens.

The strongest pairs are selected from the noisy coarse counts, which is post-processing; the later counts are adaptive
composition under zCDP (Bun and Steinke 2016, lemma 2.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.marginal.budget_allocation import (
    MixtureConfig,
    level_shares,
    n_bins,
    n_groups,
    n_tokens,
    n_trees,
)
from tabsynth.synthesizers.marginal.count_source import ExactCounts, MeasuredRows
from tabsynth.synthesizers.marginal.mixture_fit import fit_mixture
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.public_facts.known_levels import KNOWN_SHARE, PublicFacts
from tabsynth.synthesizers.marginal.sign_products.triples import (
    MAX_TRIPLES_SHARE,
    SEARCH_SHARE,
    TRIPLE_SHARE,
    affordable,
    by_last_column,
    select_triples,
)
from tabsynth.synthesizers.marginal.two_way_marginals import (
    MeasurementPlan,
    Measurements,
    Pair,
    group_tokens,
    measure,
    mutual_information,
)

MAX_COMPONENTS, MAX_STEPS = 96, 150
"""Configuration of the rough mixture from which the strongest pairs are selected."""

MAX_COLUMNS_ALL_PAIRS = 30
"""Without noise, tables of up to this many columns have all pairs counted on all tokens."""

N_TREES_WIDE = 4
"""Number of spanning trees whose pairs are counted without noise in wide tables, besides pairs with the target."""


def strongest_pairs(mixture: Mixture, pairs: Sequence[Pair], trees: int) -> tuple[Pair, ...]:
    """Return the pairs of successive maximum spanning trees by mutual information, each among the remaining pairs.

    The first is the tree of Chow and Liu (1968) for the mixture. Where the pairs do not reach all columns, the trees
    are forests.
    """
    parts = [part.astype(np.float64) for part in mixture.parts]
    return spanning_trees({pair: mutual_information(parts[pair[0]].T @ parts[pair[1]]) for pair in pairs}, trees)


def spanning_trees(scores: dict[Pair, float], trees: int) -> tuple[Pair, ...]:
    """Return the pairs of successive maximum spanning trees by score, with Kruskal's algorithm."""
    left = sorted(scores, key=lambda pair: (-scores[pair], pair))
    columns = 1 + max((max(pair) for pair in left), default=0)
    out: list[Pair] = []
    for _ in range(trees):
        group = np.arange(columns)
        later = []
        for a, b in left:
            if group[a] == group[b]:
                later.append((a, b))
                continue
            out.append((a, b))
            group[group == group[b]] = group[a]
        left = later
    return tuple(out)


def measure_levels(
    marginals: Sequence[Floats],
    n_ordered: Sequence[int],
    target: int | None,
    measured: MeasuredRows,
    share: float,
    config: MixtureConfig,
    seed: int,
    public: PublicFacts | None = None,
    pairs: Sequence[Pair] | None = None,
) -> list[Measurements]:
    """Count pairs and triples at several resolutions.

    Args:
        marginals: The distribution of each column.
        n_ordered: Number of leading tokens of each column that are ordered.
        target: Position of the target, if any.
        measured: The rows to count.
        share: Share of the budget to spend.
        config: Configuration of the final mixture.
        seed: Seed of the rough mixture's initial values.
        public: Public facts on the columns.
        pairs: The pairs that may be counted; all by default.
    """
    public, rows, source = public or PublicFacts(), measured.rows, measured.source
    every = tuple(combinations(range(len(marginals)), 2) if pairs is None else pairs)
    fine = tuple(np.arange(len(marginal)) for marginal in marginals)
    coarse, medium, families = (
        tuple(
            group_tokens(marginal, groups, length, public.families.get(i, ()))
            for i, (marginal, length) in enumerate(zip(marginals, n_ordered, strict=True))
        )
        for groups in (*n_groups(rows, source.rho), n_bins(rows, source.rho))
    )
    if isinstance(source, ExactCounts):
        if len(marginals) > MAX_COLUMNS_ALL_PAIRS:
            every = _strongest_of_wide(measure(MeasurementPlan(coarse, every), measured, 1.0), target)
        with_parts = fine if target is None else (*fine[:target], coarse[target], *fine[target + 1 :])
        triples = MeasurementPlan(with_parts, (), _without(target, every), target)
        return [measure(plan, measured, 0.5) for plan in (MeasurementPlan(fine, every), triples)]
    plans = {
        "coarse pairs": MeasurementPlan(coarse, every),
        "medium pairs": MeasurementPlan(medium, every),
        "triples": MeasurementPlan(coarse, (), _without(target, every), target),
    }
    plans = {name: plan for name, plan in plans.items() if plan.pairs or plan.triples}
    shares = level_shares(plans, share, rows, source.rho)
    known = public.known_levels([len(marginal) for marginal in marginals], measured.relative_sigma(KNOWN_SHARE) ** 2)
    levels = [public.with_zeros(measure(plan, measured, shares[name])) for name, plan in plans.items()]
    trees, chosen, fine_share = n_trees(rows, source.rho), every, shares["fine"]
    # Triples with the target are counted anyway.
    search = pairs is None and affordable(len(marginals) - (target is not None), measured)
    if len(every) > trees or search:
        components, steps = min(MAX_COMPONENTS, config.components), min(MAX_STEPS, config.steps)
        rough = replace(config, components=components, steps=steps, pool=1)
        mixture = fit_mixture(marginals, [*levels, *known], rows, rough, seed=seed, n_ordered=n_ordered)
        chosen = strongest_pairs(mixture, every, trees)
        if search:
            fine_share -= SEARCH_SHARE
            selected = select_triples(marginals, n_ordered, mixture, measured, target)
            each = min(TRIPLE_SHARE, MAX_TRIPLES_SHARE * fine_share / max(len(selected), 1))
            for third, firsts in by_last_column(selected).items():
                triple_share = each * len(firsts)
                plan = MeasurementPlan(coarse, (), firsts, third)
                levels.append(public.with_zeros(measure(plan, measured, triple_share)))
                fine_share -= triple_share
    # If a column has more tokens than the rows can distinguish, groups or families represent them.
    is_noisy = n_bins(rows, source.rho) < n_tokens(rows, source.rho)
    detailed = tuple(families[i] if is_noisy or public.families.get(i) else tokens for i, tokens in enumerate(fine))
    last = measure(MeasurementPlan(detailed, chosen), measured, fine_share)
    return [*levels, public.with_zeros(last), *known]


def _without(target: int | None, pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return the pairs that are counted as triples with the target; none without a target."""
    return () if target is None else tuple(pair for pair in pairs if target not in pair)


def _strongest_of_wide(exact: Measurements, target: int | None) -> tuple[Pair, ...]:
    """Return the pairs with the target and those of some spanning trees, for a wide table without noise."""
    scores = {pair: mutual_information(table) for pair, table, _ in exact.pairs}
    with_target = [pair for pair in scores if target in pair]
    return tuple(dict.fromkeys((*with_target, *spanning_trees(scores, N_TREES_WIDE))))
