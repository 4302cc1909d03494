"""Rules at scale: declared ones of every kind, random compositions of three, contradictions, and what rules cost.

    python benchmarks/rules.py --short
    python benchmarks/rules.py --compositions 300 --rows 1000000
    python benchmarks/rules.py --parts stay,detection

Prints a JSON object for each part: rows that violate a rule (expected: 0) when drawn with and without a condition, in a
mixture, in filled rows and under differential privacy with public rules; contradictions that a fit did not name; the
mean of a stay, the share over 20 days and the speed, and the detection of a table with all rules, each with and without
the rules; and the rules that are discovered in tables without any, with the share of fresh rows that violate them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from _random_tables import chance
from _rule_tables import CONDITIONS, CONTRADICTIONS, MIXTURE, RULES, Rule, patients, public_schema_of, schema_of
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import tabsynth as ts
from tabsynth.errors import SchemaError, TabsynthError
from tabsynth.schema import Schema
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.registry import create

N_TRAIN, N_DRAWS = 600, 3
ALWAYS = ("age", "total", "city", "group")
"""Columns that are in every table, beside those of its rules."""


class Tally:
    """Rows drawn and rows that violate a rule, by how they were drawn, with the first failures."""

    def __init__(self) -> None:
        self.rows, self.violations, self.refused = Counter[str](), Counter[str](), Counter[str]()
        self.failures: list[dict[str, Any]] = []

    def draw(self, how: str, rules: list[Rule], schema: Schema, sample: Callable[[], pd.DataFrame], what: Any) -> None:
        """Draw and count."""
        try:
            rows = sample()
        except TabsynthError as error:
            self.refused[how] += 1
            self.failures.append({"how": how, "rules": rules, "what": str(what), "why": str(error)})
            return
        bad = violated(rows, schema)
        self.rows[how] += len(rows)
        self.violations[how] += bad
        if bad:
            self.failures.append({"how": how, "rules": rules, "what": str(what), "violations": bad})

    def to_dict(self) -> dict[str, Any]:
        """The result."""
        counts = {"rows": self.rows, "violations": self.violations, "refused": self.refused}
        return {**{key: dict(count) for key, count in counts.items()}, "failures": self.failures[:30]}


def violated(rows: pd.DataFrame, schema: Schema) -> int:
    """Rows that violate a constraint."""
    good = np.logical_and.reduce([satisfies(rule, rows, schema) for rule in schema.constraints])
    return int((~good).sum())


def compositions(
    kind: str, sets: list[list[Rule]], rows: int, private_every: int, span: slice = slice(None)
) -> dict[str, Any]:
    """Fit each set of rules in the span, and draw in every way; ``rows`` are those of all sets."""
    frame = patients(N_TRAIN, np.random.default_rng(0))
    tally = Tally()
    chosen = list(enumerate(sets))[span]
    for at, rules in chosen:
        rng = np.random.default_rng([0, at])
        named = {name for rule in schema_of(frame, rules).constraints for name in rule.columns}
        given = CONDITIONS[int(rng.integers(len(CONDITIONS)))] or {}
        own = frame[[name for name in frame if name in {*named, *ALWAYS, *given}]]
        model = create(kind).fit(own, schema=schema_of(own, rules), seed=at)
        schema, per = model.schema_, max(rows // len(sets) // 3, 10)
        if any(rule["kind"] == "unique" for rule in rules):
            per = min(per, 5000)
        tally.draw("free", rules, schema, partial(model.sample, per, seed=at), None)
        tally.draw("given", rules, schema, partial(model.sample, per, given=given, seed=at), given)
        tally.draw("mixture", rules, schema, partial(model.sample, per, mixture=MIXTURE, seed=at), MIXTURE)
        gaps = with_gaps(own, rng)
        plain = Schema(schema.columns, tuple(rule for rule in schema.constraints if rule.kind != "unique"))
        if hasattr(model, "impute"):
            for draw in (True, False):
                tally.draw(f"impute, draw={draw}", rules, plain, partial(model.impute, gaps, seed=at, draw=draw), None)
        if private_every and at % private_every == 0 and not any(unlisted(rule) for rule in rules):
            fit = create("marginal").fit(
                own, schema=public_schema_of(list(own), rules), privacy=ts.Privacy(3.0, 1e-6, insecure_seed=at)
            )
            tally.draw("private", rules, fit.schema_, partial(fit.sample, per, seed=at), None)
            tally.draw("private, given", rules, fit.schema_, partial(fit.sample, per, given=given, seed=at), given)
    return {"sets": len(chosen), **tally.to_dict()}


def with_gaps(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Rows that obey, with three cells of ten emptied."""
    out = frame.head(200).convert_dtypes()
    return out.mask(rng.random(out.shape) < 0.3)


def unlisted(rule: Rule) -> bool:
    """Whether a rule takes its values from the table, which a private fit refuses."""
    return rule["kind"] == "combinations" and "values" not in rule


def contradictions(count: int) -> dict[str, Any]:
    """Contradictory pairs among other rules: is a fit refused, and are just the two named?"""
    rng = np.random.default_rng(1)
    frame = patients(N_TRAIN, rng)
    out: dict[str, Any] = {"sets": 0, "named": 0, "not_named": [], "seconds": 0.0}
    for at in range(count):
        pair = CONTRADICTIONS[at % len(CONTRADICTIONS)]
        others = [RULES[i] for i in rng.choice(len(RULES), 2, replace=False) if RULES[i] != pair[0]]
        rules = [*others, *pair]
        start = time.perf_counter()
        try:
            create("marginal").fit(frame, schema=schema_of(frame, rules), seed=0)
            why = "not refused"
        except SchemaError as error:
            why = str(error)
        except TabsynthError as error:
            why = f"refused late: {error}"
        out["seconds"] += time.perf_counter() - start
        out["sets"] += 1
        texts = [rule.describe() for rule in schema_of(frame, list(pair)).constraints]
        if why.startswith("no row can satisfy") and any(text in why for text in texts):
            out["named"] += 1
        else:
            out["not_named"].append({"pair": pair, "others": others, "why": why})
    return {**out, "seconds": round(out["seconds"], 1)}


def stays(kind: str, n: int, rows: int) -> dict[str, Any]:
    """The stay of patients of three wards: mean 3 days."""
    rng = np.random.default_rng(0)
    ward = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    days = np.floor(rng.exponential(np.select([ward == "a", ward == "b"], [1.6, 3.1], 7.0)) + 0.5)
    admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 1400, n), "D")
    real = pd.DataFrame({"ward": ward, "admitted": admitted, "discharged": admitted + pd.to_timedelta(days, "D")})
    out: dict[str, Any] = {"real_mean": days.mean(), "real_over_20": (days > 20).mean()}
    for name, rules in (("without", []), ("with", [RULES[0]])):
        schema = Schema.from_dict({**Schema.infer(real).to_dict(), "constraints": rules})
        model = create(kind).fit(real, schema=schema, seed=0, progress=False)
        start = time.process_time()
        drawn = model.sample(rows, seed=1, progress=False)
        seconds = time.process_time() - start
        own = (drawn["discharged"] - drawn["admitted"]).dt.days
        out[name] = {"mean": own.mean(), "over_20": (own > 20).mean(), "rows_a_cpu_second": round(rows / seconds)}
    return out


def detection(kind: str, n: int, n_draws: int) -> dict[str, Any]:
    """Detection of the table by boosted trees, and speed of drawing, with all rules and without any."""
    rng = np.random.default_rng(2)
    real, fresh = (patients(n, rng).drop(columns=["room", "bed"]) for _ in range(2))
    rules = [rule for rule in RULES if rule["kind"] != "unique"]
    out: dict[str, Any] = {}
    for name, own in (("without", []), ("with", rules)):
        model = create(kind).fit(real, schema=schema_of(real, own), seed=0)
        start = time.process_time()
        draws = [model.sample(n, seed=seed) for seed in range(n_draws)]
        seconds = time.process_time() - start
        out[name] = {
            "auc": round(float(np.mean([auc(fresh, drawn) for drawn in draws])), 4),
            "rows_a_cpu_second": round(n_draws * n / seconds),
            "violations": sum(violated(drawn, schema_of(real, rules)) for drawn in draws),
        }
    return out


def auc(real: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """Area under the ROC curve of boosted trees that separate the rows, cross-validated."""
    both = pd.concat([real, drawn], ignore_index=True)
    columns = [both[name] for name in both]
    codes = [pd.factorize(own, sort=True)[0] if own.dtype.kind in "OMb" else own.to_numpy("float64") for own in columns]
    features = np.stack(codes, axis=1)
    is_drawn = np.arange(len(both)) >= len(real)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    found = cross_val_predict(HistGradientBoostingClassifier(), features, is_drawn, cv=folds, method="predict_proba")
    return float(roc_auc_score(is_drawn, found[:, 1]))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="marginal")
    parser.add_argument("--parts", default="kinds,compositions,contradictions,stay,detection,chance")
    parser.add_argument("--compositions", type=int, default=300)
    parser.add_argument("--span", default=":", help="which of the compositions, as in 0:100")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of all compositions together")
    parser.add_argument("--private-every", type=int, default=5, help="fit every so many compositions with privacy")
    parser.add_argument("--stay-rows", type=int, default=1500)
    parser.add_argument("--tables", type=int, default=200, help="random tables in which rules are searched")
    parser.add_argument("--short", action="store_true", help="a pass of a few seconds")
    args = parser.parse_args()
    short, kind = args.short, args.kind
    count = 3 if short else args.compositions
    rng = np.random.default_rng(0)
    chosen = [[RULES[i] for i in rng.choice(len(RULES), 3, replace=False)] for _ in range(count)]
    span = slice(*(int(end) if end else None for end in args.span.split(":")))
    kinds = [[rule] for rule in RULES[: 2 if short else None]]
    parts: dict[str, Callable[[], Any]] = {
        "kinds": lambda: compositions(kind, kinds, 600 if short else 300_000, 0 if short else 1),
        "compositions": lambda: compositions(kind, chosen, 1200 if short else args.rows, args.private_every, span),
        "contradictions": lambda: contradictions(2 if short else 60),
        "stay": lambda: stays(kind, 300 if short else args.stay_rows, 300 if short else 20_000),
        "detection": lambda: detection(kind, 200 if short else 3000, 1 if short else N_DRAWS),
        "chance": lambda: chance(2 if short else args.tables),
    }
    for part in args.parts.split(","):
        start = time.process_time()
        result = {"part": part, "kind": kind, **parts[part](), "cpu_s": round(time.process_time() - start, 1)}
        print(json.dumps(result, default=float), flush=True)


if __name__ == "__main__":
    main()
