"""Where there is nothing to find: how often each estimator of the audit says that there is.

    python benchmarks/audit_null.py                1,000 trials of every estimator
    python benchmarks/audit_null.py --runs 200     fewer
    python benchmarks/audit_null.py --short        4

*Attacks* are run on fresh rows as the synthetic table, with a new population's rows in each trial: how many trials find
anything after correction, and for each attack by itself how often its p-value is at most 5 % and how often its interval
lies above chance (2.5 % for a two-sided one). *Bounds* on epsilon and mu get scores that do not depend on the
record; *shadow models* and *sites* get tables that do not depend on who was in. All are to stay at or below 5 %, and
the attacks together, after correction, at or below 1 %.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import print_result

from tabsynth.common.binomial import clopper_pearson
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.privacy.attacks.rate_tests import LEVEL, VIOLATION_LEVEL, holm_correction, share_level
from tabsynth.privacy.attacks.run_all import run_attacks
from tabsynth.privacy.attacks.shadow_models import attack_with_shadow_models
from tabsynth.privacy.attacks.source_inference import infer_source
from tabsynth.privacy.audit.epsilon_bounds import epsilon_from_runs, mu_from_runs
from tabsynth.privacy.audit.one_run import epsilon_from_scores
from tabsynth.schema import Schema

ROWS = (520, 520, 780)
"""Training, synthetic and held-out rows: as few as let the isolated and the exposed tenth be attacked."""

SCHEMA = Schema.from_dict(
    {
        "columns": {name: {"kind": "numeric"} for name in "abc"}
        | {"k": {"kind": "categorical", "role": "sensitive"}, "n": {"kind": "numeric", "decimals": 0}}
    }
)


def population(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of mixed kinds; a few of the whole numbers and categories repeat."""
    x = rng.normal(size=(count, 2))
    data = {"a": x[:, 0], "b": x @ [0.6, 0.8], "c": np.exp(x[:, 1]), "k": rng.choice(list("pqr"), count)}
    return pd.DataFrame(data | {"n": rng.poisson(3 + (data["k"] == "p"), count)})


def attacks(runs: int) -> dict[str, Any]:
    """All attacks on fresh rows."""
    any_alarm, trials, alarms, above = 0, Counter[str](), Counter[str](), Counter[str]()
    ends = np.cumsum(ROWS)
    for seed in range(runs):
        frame = population(int(ends[-1]), np.random.default_rng([seed, 1]))
        parts = [frame[end - size : end].reset_index(drop=True) for end, size in zip(ends, ROWS, strict=True)]
        train, made, held = encode_tables(parts, SCHEMA)
        tests = run_attacks(train, made, held, ["k", "c"], ["k"], seed).tests
        shares = list(share_level([item.name for item in tests]).values())
        corrected = holm_correction([1.0 if item.p is None else item.p for item in tests], shares)
        any_alarm += bool((corrected <= VIOLATION_LEVEL).any())
        trials.update(item.name for item in tests)
        alarms.update(item.name for item in tests if item.p is not None and item.p <= LEVEL)
        above.update(item.name for item in tests if item.interval[0] > item.floor)
    single = {
        name: {"trials": count, "p_at_5_percent": round(alarms[name] / count, 4)}
        | {"interval_above_chance": round(above[name] / count, 4)}
        for name, count in sorted(trials.items())
    }
    return {"estimator": "attacks", **_share(any_alarm, runs), "after": "correction for all tests", "single": single}


def bounds(runs: int) -> list[dict[str, Any]]:
    """Lower bounds on epsilon and mu from uninformative scores."""
    rng, found = np.random.default_rng(2), Counter[str]()
    for _ in range(runs):
        one, two = rng.normal(size=(2, 200))
        found["mu of runs"] += mu_from_runs(one, two)[1] > 0
        found["epsilon of runs"] += epsilon_from_runs(one, two, 1e-6) > 0
        found["epsilon of one run"] += epsilon_from_scores(rng.normal(size=400), rng.random(400) < 0.5, 1e-6)[0] > 0
    return [{"estimator": name, **_share(count, runs)} for name, count in found.items()]


def models(runs: int) -> list[dict[str, Any]]:
    """Shadow models that do not look at their rows, and sites that are all alike."""
    found, rows = Counter[str](), population(40, np.random.default_rng(3))
    for seed in range(runs):
        rng = np.random.default_rng([seed, 4])

        def fit(frame: pd.DataFrame, _: int, rng: np.random.Generator = rng) -> pd.DataFrame:
            return population(20, rng)

        (shadow,), _ = attack_with_shadow_models(fit, rows, SCHEMA, range(10), seed)
        found["shadow models"] += (shadow.p or 0.0) <= LEVEL
        sites = [population(30, rng) for _ in range(8)]
        named = {f"s{i}": site for i, site in enumerate(sites)}
        inside = {name: named[name] for name in list(named)[:4]}
        outside = {name: named[name] for name in list(named)[4:]}
        found["source membership"] += (infer_source(population(60, rng), inside, outside, SCHEMA).p or 0.0) <= LEVEL
    return [{"estimator": name, **_share(found[name], runs)} for name in ("shadow models", "source membership")]


def _share(count: int, runs: int) -> dict[str, Any]:
    """A share of false alarms with its exact interval."""
    interval = [round(bound, 4) for bound in clopper_pearson(int(count), runs)]
    return {"trials": runs, "alarms": round(int(count) / runs, 4), "interval": interval}


def main() -> None:
    """Print a line of JSON for each estimator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--output", type=Path, help="append the lines to a file as well")
    parser.add_argument("--short", action="store_true", help="4 trials")
    args = parser.parse_args()
    runs = 4 if args.short else args.runs
    for make in (bounds, models, lambda count: [attacks(count)]):
        began = time.process_time()
        for line in make(runs):
            cpu = {"cpu_s": round(time.process_time() - began, 1), "machine": platform.machine()}
            print_result(line | cpu, args.output)


if __name__ == "__main__":
    main()
