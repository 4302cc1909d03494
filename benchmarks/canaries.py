"""The worst-case audit of a private mixture: how much of its epsilon is measured, and that correct code is not accused.

    python benchmarks/canaries.py                  10,000 runs a side at epsilon 1, and 100 audits of 100 runs a side
    python benchmarks/canaries.py --short          40 runs a side, 1 audit

Whole fits of a small table with and without one row; the score is the log likelihood ratio of all that a fit reads.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _common import print_result

from tabsynth.privacy.audit import canaries
from tabsynth.privacy.budget import Privacy, gaussian_mu
from tabsynth.schema import Schema
from tabsynth.synthesizers.canary_exposure import likelihood_ratio_pipeline, worst_case_tables

SCHEMA = Schema.from_dict(
    {"columns": {"k": {"kind": "categorical", "values": ["a", "b", "c"]}, "flag": {"kind": "boolean"}}}
)


def audited(epsilon: float, runs: int, seed: int) -> Any:
    """One audit against the mu that was claimed."""
    privacy, known = Privacy(epsilon=epsilon, delta=1e-6), worst_case_tables(SCHEMA)
    canary = {str(name): value for name, value in known[1].iloc[0].items()}
    mu = gaussian_mu(epsilon, 1e-6)
    fit = likelihood_ratio_pipeline(SCHEMA, privacy, known)
    return canaries(fit, known[0], privacy, canary=canary, score=float, mu=mu, runs=runs, seed=seed, progress=False)


def main() -> None:
    """Print a line of JSON for the large audit, and one for the many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--audits", type=int, default=100)
    parser.add_argument("--output", type=Path, help="append the lines to a file as well")
    parser.add_argument("--short", action="store_true", help="40 runs a side, 1 audit")
    args = parser.parse_args()
    runs, audits = (40, 1) if args.short else (args.runs, args.audits)
    began = time.process_time()
    report = audited(args.epsilon, runs, 0)
    shares = {f"{key}_of_claim": round(report.mu[key] / report.mu["claim"], 3) for key in ("estimate", "low")}
    line = {"epsilon": args.epsilon, "runs": runs, "verdict": report.verdict, "mu": report.mu, **shares}
    _say(
        line | {"measured_epsilon": report.claim.measured, "cpu_s": round(time.process_time() - began, 1)}, args.output
    )
    if not audits:
        return
    began, verdicts = time.process_time(), Counter[str]()
    for seed in range(audits):  # a number that nothing but the order of the rows depends on: the noise is the real one
        verdicts[audited(args.epsilon, min(100, runs), seed + 1).verdict] += 1
    line = {"epsilon": args.epsilon, "audits": audits, "runs": min(100, runs), "verdicts": dict(verdicts)}
    _say(line | {"cpu_s": round(time.process_time() - began, 1)}, args.output)


def _say(line: dict[str, Any], output: Path | None) -> None:
    print_result(line | {"machine": platform.machine()}, output)


if __name__ == "__main__":
    main()
