"""Do the intervals keep their promise? Real rows against real rows of the same population, over and over.

A score's 95 % interval should hold its truth in 95 of 100 repeats. The truth depends on what is sampled again:

- Scores of two tables (fidelity, diversity, parity, conclusions): the score to expect of fresh tables in these
  numbers, which is its mean over the repeats. Where theory gives it, it is exact: nothing is distinguishable (detection
  0.5), nothing copied (0 %), no table is nearer (50 %).
- Scores of models (usefulness, calibration, importances, fairness of predictions): what these very models reach on
  fresh test rows in these numbers, found on ``FRESH`` more rows of the population.
- Quality of the real table: the same figure of the whole population; of repeated rows, which grow with the table, the
  mean over the repeats.

Coverage cannot be exact where a score takes few values, of which ``values`` counts the different ones found: copies of
fresh rows are always 0 (one value, nothing to cover), and the share of conclusions kept is of three or four
coefficients. A coverage found on r repeats is itself known to 1.96 sqrt(0.95 * 0.05 / r): 1.9 points for 500.

    python benchmarks/intervals.py                     500 repeats on 600 rows of Adult and of a table made here
    python benchmarks/intervals.py --what models --repeats 200       the scores of models alone, which take longer
    python benchmarks/intervals.py --short             2 repeats of the table made here, and fewer fresh rows
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any

import numpy as np
import pandas as pd
from _populations import DATA, KINDS, Population, population

from tabsynth.evaluation.metrics import utility_models
from tabsynth.evaluation.metrics.data_quality import quality_scores
from tabsynth.evaluation.metrics.dependence import dependence_scores
from tabsynth.evaluation.metrics.detection import detection_scores, logistic_score
from tabsynth.evaluation.metrics.diversity import diversity_scores
from tabsynth.evaluation.metrics.fairness import group_model_scores, parity_score, sensitive_groups
from tabsynth.evaluation.metrics.fidelity import fidelity_scores
from tabsynth.evaluation.metrics.memorisation import memorisation_scores
from tabsynth.evaluation.metrics.missingness import missingness_scores
from tabsynth.evaluation.metrics.mode_coverage import mode_score
from tabsynth.evaluation.metrics.regression_inference import inference_score
from tabsynth.evaluation.metrics.subgroups import subgroup_scores
from tabsynth.evaluation.metrics.tails import tail_scores
from tabsynth.evaluation.metrics.utility import prediction_task, utility_scores
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.evaluation.stats.table_comparison import Comparison
from tabsynth.schema import Schema

ROWS = 600
FRESH = 9_000
"""Rows on which models are judged for the truth; it is known to a quarter of what 600 rows scatter by."""

EXACT = {
    "detection_auc": 0.5,
    "detection_logistic_auc": 0.5,
    "detection_column_auc": 0.5,
    "dcr_share": 50.0,
    "copies": 0.0,
}
WHOLE = ("real_completeness", "real_validity", "real_consistency", "real_timeliness")

Found = dict[str, tuple[Score, float | None]]
"""Each score, and its truth where it is known at once."""


def of_tables(source: Population, frames: list[pd.DataFrame], rng: np.random.Generator) -> Found:
    """The scores that compare tables: training, synthetic, held-out rows."""
    real, made, fresh = encode_tables(frames, source.schema)
    target, sensitive = source.schema.with_role("target")[0], source.schema.with_role("sensitive")
    asked = prediction_task(real, target)
    comparison = Comparison.of(real, made, fresh, rng)
    scores = fidelity_scores(real, made, fresh, rng)
    detected, trial = detection_scores(real, made, rng)
    scores += detected + ([logistic_score(trial)] if trial is not None else [])
    scores += memorisation_scores(real, made, fresh, rng) + dependence_scores(comparison)
    scores += missingness_scores(comparison) + tail_scores(comparison)
    scores += subgroup_scores(comparison, [*sensitive, target])
    scores += diversity_scores(real, made, fresh, comparison, rng)
    scores.append(parity_score(comparison, asked, sensitive_groups(real, sensitive)))
    found = [mode_score(comparison, rng), inference_score(real, made, fresh, asked, rng)]
    scores += [score for score in found if score is not None]
    return {score.name: (score, EXACT.get(score.name)) for score in scores}


def of_models(source: Population, frames: list[pd.DataFrame], rng: np.random.Generator) -> Found:
    """The scores of models, with what the same models reach on ``FRESH`` more rows, the last of the frames."""
    train, made, holdout, more = frames
    target, sensitive = source.schema.with_role("target")[0], source.schema.with_role("sensitive")[:1]
    real, synthetic, tests = encode_tables([train, made, pd.concat([holdout, more], ignore_index=True)], source.schema)
    first, rest = np.arange(len(holdout)), np.arange(len(holdout), len(tests))
    seed = int(rng.integers(2**31))
    scores, truths = (
        utility_scores(real, synthetic, tests.take(rows), target, np.random.default_rng(seed))[0]
        for rows in (first, rest)
    )
    out: Found = {score.name: (score, truth.value) for score, truth in zip(scores, truths, strict=True)}
    trained = utility_models.train_models(real, synthetic, tests, prediction_task(real, target), seed, rng)
    groups = sensitive_groups(real, sensitive)
    if trained is None or not groups:
        return out
    scores = utility_models.learner_scores(_on(trained, first), rng) + group_model_scores(
        _on(trained, first), groups, rng
    )
    sets = np.array_split(rest, max(len(rest) // len(first), 1))
    known: dict[str, list[float]] = {}
    for rows in sets:
        part = _on(trained, rows)
        each = utility_models.learner_scores(part, rng, draws=2) + group_model_scores(part, groups, rng, draws=2)
        for score in each:
            known.setdefault(score.name, []).append(score.value)
    return out | {score.name: (score, float(np.mean(known[score.name]))) for score in scores}


def _on(trained: utility_models.TrainedModels, rows: np.ndarray) -> utility_models.TrainedModels:
    """The same models on some of the test rows."""
    guesses = {key: guess[rows] for key, guess in trained.predictions.items()}
    test: EncodedTable = trained.test.take(rows)
    return dataclasses.replace(trained, test=test, truth=trained.truth[rows], predictions=guesses)


def of_quality(rows: int, rng: np.random.Generator) -> Found:
    """The quality of a table whose schema is narrower than its values."""
    columns: dict[str, Any] = {name: dict(kind) for name, kind in KINDS.items()}
    constraint = {"kind": "inequality", "low": "age", "high": "weight"}
    schema = Schema.from_dict({"columns": columns, "constraints": [constraint]})
    frame = population("made").draw([rows], rng)[0].round(0)  # whole numbers, so that some rows repeat in few columns
    few = frame[["age", "group", "stage"]]
    kept = Schema.from_dict({"columns": {name: columns[name] for name in ("age", "group", "stage")}})
    scores = [score for score in quality_scores(frame, schema, today=TODAY) if score.name in WHOLE]
    scores += [score for score in quality_scores(few, kept, today=TODAY) if score.name == "real_uniqueness"]
    return {score.name: (score, None) for score in scores}


TODAY = pd.Timestamp("2025-12-01").to_pydatetime()


def coverage(
    source: Population, repeats: int, seed: int, models: bool = True, tables: bool = True, fresh: int = FRESH
) -> dict[str, dict[str, float]]:
    """Of each score: the share of repeats in which the interval holds the truth, in percent."""
    rng = np.random.default_rng(seed)
    utility_models.MAX_TEST_ROWS = ROWS + fresh  # the truth is found on more rows than a report takes
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for _ in range(repeats):
        frames = source.draw([ROWS, ROWS, ROWS, fresh] if models else [ROWS] * 3, rng)
        each = of_tables(source, frames[:3], rng) if tables else {}
        each |= of_models(source, frames, rng) if models else {}
        each |= of_quality(ROWS, rng) if tables and source.name == "made" else {}
        for name, (score, known) in each.items():
            if score.interval is not None:
                found.setdefault(name, []).append((score.value, *score.interval, np.nan if known is None else known))
    whole = of_quality(200_000, rng) if tables and source.name == "made" else {}
    out = {}
    for name, repeated in found.items():
        value, low, high, truth = np.array(repeated).T
        if name in WHOLE:
            truth = np.full(len(value), whole[name][0].value)
        truth = np.where(np.isnan(truth), value.mean(), truth)
        spread = float((value - truth).std())
        out[name] = {
            "truth": round(float(truth.mean()), 3),
            "repeats": len(value),
            "values": len(np.unique(value.round(9))),
            "coverage": round(100 * float(((low <= truth + 1e-9) & (truth <= high + 1e-9)).mean()), 1),
            "too_low": round(100 * float((high < truth - 1e-9).mean()), 1),
            "width_over_sd": round(float((high - low).mean()) / (2 * 1.96 * spread), 3) if spread > 1e-9 else 0.0,
        }
    return out


def main() -> None:
    """Print a line of JSON for each population."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--tables", default="made,adult")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--what", choices=["all", "tables", "models"], default="all", help="the scores of which of them"
    )
    parser.add_argument("--short", action="store_true", help="2 repeats of the table made here")
    args = parser.parse_args()
    names = ["made"] if args.short or not DATA.is_dir() else args.tables.split(",")
    for name in names:
        began = time.process_time()
        kinds = {"models": args.what != "tables", "tables": args.what != "models"}
        repeats, fresh = (2, 2 * ROWS) if args.short else (args.repeats, FRESH)
        found = coverage(population(name), repeats, args.seed, **kinds, fresh=fresh)
        cpu = round(time.process_time() - began, 1)
        print(json.dumps({"table": name, "rows": ROWS, "seed": args.seed, "cpu_s": cpu, "scores": found}), flush=True)


if __name__ == "__main__":
    main()
