"""A federated private fit against the pooled one and against the union of tables that each site synthesises alone.

Adult is split by education into four sites. Every fit spends the same epsilon on every row. Distances are those of
``private.py``, over the pooled real rows.

    python benchmarks/federated.py                     epsilon 1 and 3, seed 0
    python benchmarks/federated.py --short             a small table made by rule
    python benchmarks/federated.py --curious 0         noise against the coordinator alone
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from private import DELTA, HERE, by_rule, distances, schema_of

from tabsynth.federated import FederatedPlan, InProcessTransport, Site, fit_federated
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

SITES = ("school", "college", "bachelor", "advanced")
EDUCATION = {
    "Some-college": 1, "Assoc-voc": 1, "Assoc-acdm": 1, "Bachelors": 2, "Masters": 3, "Doctorate": 3, "Prof-school": 3,
}  # fmt: skip
"""The site of a level of education; all others are schools."""


def by_education(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Adult over four skewed sites."""
    place = frame["education"].map(EDUCATION).fillna(0).astype(int)
    return [frame[place == site].reset_index(drop=True) for site in range(len(SITES))]


def table(short: bool) -> tuple[list[pd.DataFrame], Schema]:
    """The sites' rows and their schema."""
    if short:
        frame, schema = by_rule(1200)
        name = next(name for name in schema if schema[name].kind == "numeric")
        order = frame[name].rank(method="first", pct=True)
        return [part for _, part in frame.groupby(np.minimum((order * 4).astype(int), 3))], schema
    path = HERE.parent.parent / "shared" / "data" / "adult.csv.gz"
    if not Path(path).exists():
        raise SystemExit(f"Adult is not at {path}; use --short")
    schema = schema_of("adult")
    return by_education(pd.read_csv(path)[list(schema)]), schema


def main() -> None:
    """Print a line of JSON for each epsilon."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilons", default="1,3")
    parser.add_argument("--curious", default="0,1", help="sites that may try to learn of another's rows")
    parser.add_argument("--components", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="a small table made by rule")
    args = parser.parse_args()
    parts, schema = table(args.short)
    pooled = pd.concat(parts, ignore_index=True)
    components = 16 if args.short else args.components
    for epsilon in [3.0] if args.short else map(float, args.epsilons.split(",")):

        def local(frame: pd.DataFrame, epsilon: float = epsilon) -> pd.DataFrame:
            model = MarginalSynthesizer(components=components)
            model.fit(frame, schema=schema, privacy=Privacy(epsilon, DELTA), progress=False)
            return model.sample(seed=args.seed, progress=False)

        def report(name: str, synthetic: pd.DataFrame, began: float, epsilon: float = epsilon) -> None:
            figures = {"fit": name, "epsilon": epsilon, "rows": len(synthetic), "s": round(time.process_time() - began)}
            print(json.dumps(figures | distances(pooled, synthetic, schema)), flush=True)

        print(json.dumps({"sites": [len(part) for part in parts]}), flush=True)
        began = time.process_time()
        report("pooled", local(pooled), began)
        for curious in map(int, args.curious.split(",")):
            plan = FederatedPlan(
                schema=schema, sites=SITES, epsilon=epsilon, delta=DELTA, curious_sites=curious, components=components
            )
            sites = {name: Site(name, plan, part) for name, part in zip(SITES, parts, strict=True)}
            began = time.process_time()
            model = fit_federated(plan, InProcessTransport(sites), progress=False)
            report(f"federated, {curious} curious", model.sample(seed=args.seed, progress=False), began)
        began = time.process_time()
        report("union of local tables", pd.concat([local(part) for part in parts], ignore_index=True), began)


if __name__ == "__main__":
    main()
