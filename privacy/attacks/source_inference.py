"""Source membership: infer from a synthetic table whether a given site took part.

A table mixed of several sources may hide every person and still show that a hospital was among them (property or
source inference: Suri, Evans, "Formalizing and estimating distribution inference risks", PoPETs 2022). Two questions:

* *from one release*, with what is held out of each site: does the synthetic table hold the kinds of rows of the
  sites that took part, and not those of others? This compares sites with each other, so that at least two that
  took part and two that did not are needed, and few sites show little;
* *with the model at hand*: mixtures with and without the site are repeated and compared, which is exact for any
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
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, find_nearest
from tabsynth.privacy.attacks.rate_tests import mann_whitney_p_value
from tabsynth.privacy.attacks.shadow_models import Fit
from tabsynth.schema.schema import Schema

MAX_SITE_ROWS = 2_000
"""Rows of each site that are used."""

N_ROUNDS = 12
"""Mixtures with, and without, the site."""


def infer_source(
    synthetic: pd.DataFrame,
    took_part: Mapping[str, pd.DataFrame],
    stayed_out: Mapping[str, pd.DataFrame],
    schema: Schema,
) -> Finding:
    """Test whether sites that took part are nearer to the synthetic table than sites that did not.

    Every site gets one number: the mean density ratio at its rows, by the synthetic rows over the site's own. It is
    low where the site has rows of a kind that is missing from the table. The p-value is that of an exact permutation of
    the sites: with two against two it cannot be below 1/6.

    Args:
        synthetic: The synthetic table.
        took_part: Rows of each site that was mixed in, none of them learned.
        stayed_out: Rows of each site that was not.
        schema: The schema of the columns.

    Raises:
        DataError: Fewer than two sites on a side, or a name on both.
        SchemaError: A site has other columns.
    """
    both = sorted(set(took_part) & set(stayed_out))
    if both:
        raise DataError(f"the sites {quote(both)} are on both sides; a site took part or it did not")
    if min(len(took_part), len(stayed_out)) < 2:
        raise DataError("source membership needs two sites that took part and two that did not, at least")
    names = [*took_part, *stayed_out]
    frames = [*took_part.values(), *stayed_out.values()]
    for name, frame in zip(names, frames, strict=True):
        if set(frame.columns) != set(schema):
            raise SchemaError(f"the site {name!r} has other columns than the schema; align them")
    plain = [frame[list(schema)].reset_index(drop=True) for frame in (synthetic, *frames)]
    released, *sites = encode_tables(plain, schema)
    score = _score_sites(
        released.take(np.arange(min(len(released), 10 * MAX_SITE_ROWS))),
        [s.take(np.arange(min(len(s), MAX_SITE_ROWS))) for s in sites],
    )
    inside = np.arange(len(names)) < len(took_part)
    auc, interval = delong_auc(inside, score)
    gap = _mean_difference(score, np.flatnonzero(inside))
    ways = [_mean_difference(score, np.array(chosen)) for chosen in combinations(range(len(names)), len(took_part))]
    return Finding(
        name="source_auc",
        group="source",
        attack="Density ratio of sites",
        records="random",
        title="Source membership",
        value=auc,
        interval=interval,
        floor=0.5,
        p=float(np.mean([way >= gap - 1e-12 for way in ways])),
        unit="AUC",
        description="How well participating sites are distinguished from others, by rows that no model was trained on.",
        method=f"{len(took_part)} sites against {len(stayed_out)}; mean density ratio of each; exact permutation of "
        f"the sites ({len(ways):,} ways; no p-value below {1 / len(ways):.3f} can be had).",
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
) -> Finding:
    """Test whether mixtures that hold a site differ from mixtures of the same size that do not.

    Args:
        fit: ``fit(frame, seed) -> synthetic frame``; called ``2 * N_ROUNDS`` times.
        others: Rows of all other sites.
        site: The site's rows that may be mixed in.
        held_out: More rows of the site, never mixed in, by which the adversary knows it.
        schema: The schema of the columns.
        seed: Fixes every draw.
        step: Called after each fit.

    Raises:
        DataError: There are too few other rows to take the site's place.
    """
    if len(others) <= 2 * len(site):
        raise DataError(
            f"{len(others):,} rows of other sites are too few beside {len(site):,} of the site: mixtures with and "
            "without it must be of one size; give more rows of others, or fewer of the site"
        )
    rng = np.random.default_rng([seed, 13])
    columns = list(schema)
    size = len(others) - len(site)  # a mixture without the site holds so many rows of others, one with it that less
    found: list[list[float]] = [[], []]
    for i in range(N_ROUNDS):
        for side in (0, 1):
            count = size if side == 0 else size - len(site)
            parts = [others.iloc[rng.permutation(len(others))[:count]], *([site] if side else [])]
            frame = pd.concat(parts, ignore_index=True)[columns]
            released = fit(frame.iloc[rng.permutation(len(frame))].reset_index(drop=True), seed + 2 * i + side)
            found[side].append(_score_affinity(released[columns], held_out[columns], others[columns], schema))
            step()
    score = np.array([*found[1], *found[0]])
    inside = np.repeat([True, False], N_ROUNDS)
    auc, interval = delong_auc(inside, score)
    return Finding(
        name="source_shadow_auc",
        group="source",
        attack="Mixtures with and without the site",
        records="random",
        title="Source membership, model at hand",
        value=auc,
        interval=interval,
        floor=0.5,
        p=mann_whitney_p_value(score[inside], score[~inside]),
        unit="AUC",
        description="How well a mixture that holds the site is distinguished from one of the same size that does not.",
        method=f"{N_ROUNDS} mixtures each; the score is how much nearer the site's other rows are to the synthetic "
        "table than the rows of other sites do; DeLong interval, Mann-Whitney test.",
    )


def _score_sites(released: EncodedTable, sites: Sequence[EncodedTable]) -> Floats:
    """Return the mean log density ratio at each site's rows: synthetic rows over the site's own, shape (s,)."""
    space = DistanceSpace.of(_concatenate(sites))
    points = [space.points(site) for site in sites]
    synthetic, out = space.points(released), np.empty(len(sites))
    for i, own in enumerate(points):
        near, usual = find_nearest(own, synthetic, 3)[0], find_nearest(own, own, 4)[0][:, 1:]  # less itself
        out[i] = float((np.log(usual + 1e-3) - np.log(near + 1e-3)).mean())
    return out


def _score_affinity(released: pd.DataFrame, site: pd.DataFrame, others: pd.DataFrame, schema: Schema) -> float:
    """Return the mean log distance of other sites' rows to the synthetic table less that of the site's."""
    rest, own, synthetic = encode_tables([f.reset_index(drop=True) for f in (others, site, released)], schema)
    space = DistanceSpace.of(rest)
    points = space.points(synthetic)
    far = [
        find_nearest(space.points(t.take(np.arange(min(len(t), MAX_SITE_ROWS)))), points, 1)[0][:, 0]
        for t in (rest, own)
    ]
    return float(np.log(far[0] + 1e-3).mean() - np.log(far[1] + 1e-3).mean())


def _concatenate(tables: Sequence[EncodedTable]) -> EncodedTable:
    return EncodedTable(
        tables[0].encoding,
        np.concatenate([table.codes for table in tables]),
        np.concatenate([table.values for table in tables]),
    )


def _mean_difference(score: Floats, chosen: np.ndarray) -> float:
    """Return the mean of the chosen sites less the mean of the others."""
    rest = np.setdiff1d(np.arange(len(score)), chosen)
    return float(score[chosen].mean() - score[rest].mean())
