"""Source membership: infer from a synthetic table whether a given site contributed to it.

A table mixed from several sources may protect every person and still reveal that a hospital is among the sources
(property or distribution inference: Suri, Evans, "Formalizing and estimating distribution inference risks", PoPETs
2022). There are two attacks:

* *from one release*, with held-out rows of each site: are the rows of participating sites more probable under the
  synthetic table than those of other sites? This compares sites with each other, so it needs at least two sites of each
  kind, and has little power with few sites;
* *with the model*: mixtures with and without the site are generated repeatedly and compared, which is exact for any
  number of sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError, SchemaError, quote
from tabsynth.evaluation.score import Part
from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.privacy.attacks.attack_result import AttackResult
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, find_nearest
from tabsynth.privacy.attacks.rate_tests import mann_whitney_p_value
from tabsynth.privacy.attacks.shadow_models import Fit
from tabsynth.schema.schema import Schema

MAX_SITE_ROWS = 2_000
"""Maximum number of rows used of each site."""

N_ROUNDS = 12
"""Number of mixtures with the site, and of mixtures without it."""


def infer_source(
    synthetic: pd.DataFrame,
    took_part: Mapping[str, pd.DataFrame],
    stayed_out: Mapping[str, pd.DataFrame],
    schema: Schema,
) -> AttackResult:
    """Test whether participating sites are nearer to the synthetic table than other sites.

    The score of a site is the mean log ratio of the density of the synthetic rows to that of the site, at the site's
    rows. It is low if the site has rows of a kind that the synthetic table does not have. The p-value is that of an
    exact permutation test of the sites; with two sites of each kind it is at least 1/6.

    Args:
        synthetic: The synthetic table.
        took_part: Held-out rows of each participating site.
        stayed_out: Rows of each other site.
        schema: The schema of the columns.

    Raises:
        DataError: There are fewer than two sites of a kind, or a site is in both mappings.
        SchemaError: A site has other columns.
    """
    both = sorted(set(took_part) & set(stayed_out))
    if both:
        raise DataError(f"the sites {quote(both)} are in took_part and in stayed_out; remove them from one")
    if min(len(took_part), len(stayed_out)) < 2:
        raise DataError("source membership needs at least two sites that took part and two that did not")
    names = [*took_part, *stayed_out]
    frames = [*took_part.values(), *stayed_out.values()]
    for name, frame in zip(names, frames, strict=True):
        if set(frame.columns) != set(schema):
            raise SchemaError(f"the site {name!r} has other columns than the schema; align them")
    tables = [frame[list(schema)].reset_index(drop=True) for frame in (synthetic, *frames)]
    released, *sites = encode_tables(tables, schema)
    score = _score_sites(
        released.take(np.arange(min(len(released), 10 * MAX_SITE_ROWS))),
        [s.take(np.arange(min(len(s), MAX_SITE_ROWS))) for s in sites],
    )
    participated = np.arange(len(names)) < len(took_part)
    auc, interval = delong_auc(participated, score)
    gap = _mean_difference(score, np.flatnonzero(participated))
    permuted = [_mean_difference(score, np.array(chosen)) for chosen in combinations(range(len(names)), len(took_part))]
    return AttackResult(
        name="source_auc",
        group="source",
        attack="Density ratio of sites",
        records="random",
        title="Source membership",
        value=auc,
        interval=interval,
        floor=0.5,
        p=float(np.mean([gap_permuted >= gap - 1e-12 for gap_permuted in permuted])),
        unit="AUC",
        description="How well participating sites are distinguished from other sites, by their held-out rows.",
        method=f"{len(took_part)} sites against {len(stayed_out)}; mean density ratio of each; exact permutation of "
        f"the sites ({len(permuted):,} permutations, so the p-value is at least {1 / len(permuted):.3f}).",
        detail=tuple(Part(columns=(name,), value=float(value)) for name, value in zip(names, score, strict=True)),
    )


def infer_source_with_models(
    fit: Fit,
    others: pd.DataFrame,
    site: pd.DataFrame,
    held_out: pd.DataFrame,
    schema: Schema,
    seed: int = 0,
    step: Callable[[], object] = lambda: None,
) -> AttackResult:
    """Test whether mixtures with a site differ from mixtures of the same size without it.

    Args:
        fit: ``fit(frame, seed) -> synthetic frame``; called ``2 * N_ROUNDS`` times.
        others: Rows of all other sites.
        site: The site's rows for the mixtures.
        held_out: More rows of the site, which represent the adversary's knowledge of it.
        schema: The schema of the columns.
        seed: Random seed.
        step: Called after each fit.

    Raises:
        DataError: There are too few rows of other sites to replace those of the site.
    """
    if len(others) <= 2 * len(site):
        raise DataError(
            f"{len(others):,} rows of other sites are too few for {len(site):,} of the site: mixtures with and "
            "without it must have the same size; use more rows of others, or fewer of the site"
        )
    rng = np.random.default_rng([seed, 13])
    columns = list(schema)
    size = len(others) - len(site)
    scores: list[list[float]] = [[], []]
    for i in range(N_ROUNDS):
        for side in (0, 1):
            count = size if side == 0 else size - len(site)
            parts = [others.iloc[rng.permutation(len(others))[:count]], *([site] if side else [])]
            frame = pd.concat(parts, ignore_index=True)[columns]
            released = fit(frame.iloc[rng.permutation(len(frame))].reset_index(drop=True), seed + 2 * i + side)
            scores[side].append(_score_affinity(released[columns], held_out[columns], others[columns], schema))
            step()
    score = np.array([*scores[1], *scores[0]])
    with_site = np.repeat([True, False], N_ROUNDS)
    auc, interval = delong_auc(with_site, score)
    return AttackResult(
        name="source_shadow_auc",
        group="source",
        attack="Mixtures with and without the site",
        records="random",
        title="Source membership, with the model",
        value=auc,
        interval=interval,
        floor=0.5,
        p=mann_whitney_p_value(score[with_site], score[~with_site]),
        unit="AUC",
        description="How well mixtures with the site are distinguished from mixtures of the same size without it.",
        method=f"{N_ROUNDS} mixtures each; the score is the mean log distance of other sites' rows to the synthetic "
        "table minus that of the site's held-out rows; DeLong interval, Mann-Whitney test.",
    )


def _score_sites(released: EncodedTable, sites: Sequence[EncodedTable]) -> Floats:
    """Return the mean log ratio of synthetic to own density at each site's rows, shape (s,)."""
    space = DistanceSpace.of(_concatenate(sites))
    points = [space.points(site) for site in sites]
    synthetic, out = space.points(released), np.empty(len(sites))
    for i, rows in enumerate(points):
        to_synthetic, to_site = (
            find_nearest(rows, synthetic, 3)[0],
            find_nearest(rows, rows, 4)[0][:, 1:],
        )  # without the row itself
        out[i] = float((np.log(to_site + 1e-3) - np.log(to_synthetic + 1e-3)).mean())
    return out


def _score_affinity(released: pd.DataFrame, site: pd.DataFrame, others: pd.DataFrame, schema: Schema) -> float:
    """Return the mean log distance of other sites' rows to the synthetic table minus that of the site's."""
    other_rows, site_rows, synthetic = encode_tables(
        [f.reset_index(drop=True) for f in (others, site, released)], schema
    )
    space = DistanceSpace.of(other_rows)
    points = space.points(synthetic)
    distances = [
        find_nearest(space.points(t.take(np.arange(min(len(t), MAX_SITE_ROWS)))), points, 1)[0][:, 0]
        for t in (other_rows, site_rows)
    ]
    return float(np.log(distances[0] + 1e-3).mean() - np.log(distances[1] + 1e-3).mean())


def _concatenate(tables: Sequence[EncodedTable]) -> EncodedTable:
    return EncodedTable(
        tables[0].encoding,
        np.concatenate([table.codes for table in tables]),
        np.concatenate([table.values for table in tables]),
    )


def _mean_difference(score: Floats, chosen: np.ndarray) -> float:
    """Return the mean of the chosen sites minus the mean of the others."""
    others = np.setdiff1d(np.arange(len(score)), chosen)
    return float(score[chosen].mean() - score[others].mean())
