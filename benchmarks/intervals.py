"""Do the intervals keep their promise? Real rows against real rows of the same population, over and over.

A score's 95 % interval should hold, in 95 of 100 repeats, what the score is on average over fresh rows in these
numbers (for detection, nearness and lost usefulness that is exactly 0.5, 50 % and 0). And a report on fresh real rows
should never fail a default gate.

    python benchmarks/intervals.py             500 repeats of the scores, 200 whole reports
    python benchmarks/intervals.py --short     30 and 5
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import pandas as pd

from tabsynth.evaluation.coded import code
from tabsynth.evaluation.comparison import Comparison
from tabsynth.evaluation.dependence import dependence_scores
from tabsynth.evaluation.detection import detection_scores
from tabsynth.evaluation.diversity import diversity_scores
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.fidelity import fidelity_scores
from tabsynth.evaluation.gates import hold, missed, read_gates
from tabsynth.evaluation.memorisation import memorisation_scores
from tabsynth.evaluation.missingness import missingness_scores
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.subgroups import subgroup_scores
from tabsynth.evaluation.tails import tail_scores
from tabsynth.schema import Schema

ROWS = 600
EXACT = {"detection_auc": 0.5, "dcr_share": 50.0}
SCHEMA = Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric"},
            "weight": {"kind": "numeric"},
            "height": {"kind": "numeric"},
            "dose": {"kind": "numeric", "nullable": True},
            "group": {"kind": "categorical", "role": "sensitive"},
            "site": {"kind": "categorical"},
            "stage": {"kind": "categorical"},
            "ill": {"kind": "categorical", "role": "target"},
        }
    }
)


def population(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Columns of several kinds that hang together."""
    age = np.clip(rng.normal(50, 15, n), 18, 95)
    height = rng.normal(170, 8, n)
    weight = 0.8 * (height - 90) + rng.normal(0, 9, n) + 0.1 * age
    dose = np.exp(rng.normal(1, 0.7, n))
    dose[rng.random(n) < 1 / (1 + np.exp((age - 40) / 6))] = np.nan
    group = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    site = rng.choice([f"site {i}" for i in range(8)], n)
    stage = np.where(age > 60, rng.choice(["II", "III"], n), rng.choice(["I", "II"], n))
    ill = np.where(rng.random(n) < 1 / (1 + np.exp(-(age - 55) / 8)), "yes", "no")
    return pd.DataFrame(dict(zip(SCHEMA, (age, weight, height, dose, group, site, stage, ill), strict=True)))


def scores_of(rng: np.random.Generator) -> list[Score]:
    """The scores that need no learner, of three tables of one population."""
    real, made, fresh = code([population(ROWS, rng) for _ in range(3)], SCHEMA)
    comparison = Comparison.of(real, made, fresh, rng)
    scores = fidelity_scores(real, made, fresh, rng) + detection_scores(real, made, rng)[0][:1]
    scores += memorisation_scores(real, made, fresh, rng)[:1] + dependence_scores(comparison, rng)
    scores += missingness_scores(comparison) + tail_scores(comparison) + subgroup_scores(comparison, ["group"], rng)
    return scores + [s for s in diversity_scores(real, made, fresh, comparison, rng) if s.name != "coverage"]


def coverage(repeats: int, seed: int) -> dict[str, dict[str, float]]:
    """Of each score: the share of repeats in which the interval holds the truth, in percent."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(repeats):
        for score in scores_of(rng):
            if score.interval is not None:
                found.setdefault(score.name, []).append((score.value, *score.interval))
    out = {}
    for name, rows in found.items():
        value, low, high = np.array(rows).T
        truth = EXACT.get(name, float(value.mean()))
        out[name] = {
            "truth": round(truth, 3),
            "coverage": round(100 * float(((low <= truth) & (truth <= high)).mean()), 1),
            "width_over_sd": round(float((high - low).mean() / (2 * 1.96 * value.std())), 3),
        }
    return out


def gates_missed(repeats: int, seed: int) -> list[str]:
    """What the default gates say against fresh real rows."""
    rng = np.random.default_rng(seed)
    gates = read_gates("default")
    wrong = []
    for number in range(repeats):
        tables = [population(ROWS, rng) for _ in range(3)]
        report = evaluate(tables[0], tables[1], tables[2], schema=SCHEMA, sdmetrics=False, seed=number)
        wrong += missed(hold(report, gates))
    return wrong


def main() -> None:
    """Print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--reports", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="30 repeats and 5 reports")
    args = parser.parse_args()
    repeats, reports = (30, 5) if args.short else (args.repeats, args.reports)
    began = time.process_time()
    found = coverage(repeats, args.seed)
    print(json.dumps({"repeats": repeats, "rows": ROWS, "scores": found}, indent=1), flush=True)
    wrong = gates_missed(reports, args.seed + 1)
    print(json.dumps({"reports": reports, "gates_missed": wrong, "cpu_s": round(time.process_time() - began, 1)}))


if __name__ == "__main__":
    main()
