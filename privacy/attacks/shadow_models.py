"""Likelihood-ratio attack with shadow models on the records most at risk.

Carlini, Chien, Nasr, Song, Terzis and Tramer, "Membership inference attacks from first principles" (LiRA), IEEE S&P
2022. Models are fitted with a random half of the records included. The nearness of a record to a synthetic table is
modelled as a normal variable, with one mean for tables with the record and another for tables without it. Each table is
attacked with the distributions estimated from all other tables. The test permutes the inclusion of each record, which
is exact if the tables do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError, SchemaError
from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.privacy.attacks.attack_result import AttackResult
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, find_nearest
from tabsynth.privacy.attacks.singling_out import permutation_p_value
from tabsynth.schema.schema import Schema

Fit = Callable[[pd.DataFrame, int], pd.DataFrame]
"""Fits a model to a frame with a seed and returns a synthetic frame."""

N_SHADOW_MODELS = 24
N_RECORDS = 10
N_PERMUTATIONS = 999


def attack_with_shadow_models(
    fit: Fit,
    train: pd.DataFrame,
    schema: Schema,
    rows: Sequence[int],
    seed: int,
    step: Callable[[], object] = lambda: None,
) -> tuple[list[AttackResult], dict[str, Any]]:
    """Attack records with models fitted with and without them.

    Args:
        fit: Called ``N_SHADOW_MODELS`` times, with the training table without half of ``rows``.
        train: The training rows.
        schema: Their schema.
        rows: Row numbers of the records in ``train``.
        seed: Random seed; the i-th model gets the seed ``seed + i``.
        step: Called after each model.

    Returns:
        The result, and the detectable AUC with its power.

    Raises:
        DataError: ``fit`` does not return a frame, or returns an empty one.
        SchemaError: ``fit`` returns other columns.
    """
    rng = np.random.default_rng([seed, 7])
    chosen = np.asarray(rows, dtype=np.int64)
    included = np.zeros((N_SHADOW_MODELS, len(chosen)), dtype=bool)
    for j in range(len(chosen)):
        included[rng.permutation(N_SHADOW_MODELS)[: N_SHADOW_MODELS // 2], j] = True
    others = np.setdiff1d(np.arange(len(train)), chosen)
    nearness = np.empty(included.shape)
    for i in range(N_SHADOW_MODELS):
        shadow_train = train.iloc[rng.permutation(np.concatenate([others, chosen[included[i]]]))].reset_index(drop=True)
        released = _check_output(fit(shadow_train, seed + i), train)
        nearness[i] = _score_nearness(train, released, chosen, schema)
        step()
    observed = _separation(nearness, included)
    permuted = np.array([_separation(nearness, _permute_inclusion(included, rng)) for _ in range(N_PERMUTATIONS)])
    score = _compute_likelihood_ratios(nearness, included)
    auc, interval = delong_auc(included.ravel(), score.ravel())
    detectable_auc = float(
        norm.cdf((norm.isf(0.001) + norm.isf(0.2)) * (4 / (N_SHADOW_MODELS * len(chosen))) ** 0.5 / 2**0.5)
    )
    result = AttackResult(
        name="shadow_auc",
        group="shadow",
        attack="Shadow models",
        records="exposed",
        title=f"Shadow models, {len(chosen)} most exposed records",
        value=auc,
        interval=interval,
        floor=0.5,
        p=permutation_p_value(observed, permuted),
        unit="AUC",
        description="How well an attacker who can fit the model distinguishes tables with and without a record.",
        method=f"{N_SHADOW_MODELS} fits, each record in half of them (Carlini et al., 2022); DeLong interval; "
        f"permutation test with {N_PERMUTATIONS} permutations. An AUC of {detectable_auc:.2f} is detected with "
        "probability 0.8 (at p = 0.001).",
    )
    return [result], {"shadows": N_SHADOW_MODELS, "records": len(chosen), "least_auc": detectable_auc, "power": 0.8}


def _check_output(released: object, train: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(released, pd.DataFrame):
        raise DataError(f"fit(frame, seed) must return a synthetic frame, not {type(released).__name__}")
    if not len(released):
        raise DataError("fit(frame, seed) returned a frame without rows; return synthetic rows")
    if set(released.columns) != set(train.columns):
        raise SchemaError("fit(frame, seed) returned other columns than the training table's; align them")
    return released[list(train.columns)].reset_index(drop=True)


def _score_nearness(train: pd.DataFrame, released: pd.DataFrame, chosen: np.ndarray, schema: Schema) -> Floats:
    """Return minus the log distance of each record to its nearest synthetic row, shape (r,)."""
    real, synthetic = encode_tables([train, released], schema)
    space = DistanceSpace.of(real)
    records: EncodedTable = real.take(chosen)
    distance = find_nearest(space.points(records), space.points(synthetic), 1)[0][:, 0]
    return np.asarray(-np.log(distance + 1e-3))


def _separation(nearness: Floats, included: np.ndarray) -> float:
    """Return the standardised difference between tables with and without a record, averaged over the records."""
    spread = nearness.std(axis=0)
    gap = (nearness * included).sum(axis=0) / included.sum(axis=0) - (nearness * ~included).sum(axis=0) / (
        ~included
    ).sum(axis=0)
    return float((gap / np.where(spread > 0, spread, 1.0)).mean())


def _permute_inclusion(included: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute the inclusion of each record over the models."""
    out: np.ndarray = rng.permuted(included, axis=0)
    return out


def _compute_likelihood_ratios(nearness: Floats, included: np.ndarray) -> Floats:
    """Return the log likelihood ratio of inclusion for each model and record, from all other models, shape (s, r)."""
    out = np.empty(nearness.shape)
    for i in range(len(nearness)):
        others = np.arange(len(nearness)) != i
        values, mask = nearness[others], included[others]
        means = [(values * m).sum(axis=0) / m.sum(axis=0) for m in (mask, ~mask)]
        residual = values - np.where(mask, means[0], means[1])
        variance = np.maximum((residual**2).sum(axis=0) / (len(values) - 2), 1e-12)
        out[i] = ((nearness[i] - means[1]) ** 2 - (nearness[i] - means[0]) ** 2) / (2 * variance)
    return out
