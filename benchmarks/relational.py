"""Linked tables: RelationalSynthesizer beside SDV's HMA and PAR, on one split, judged by our report and the yardstick.

    python benchmarks/relational.py                                      the clinic's patients and encounters
    python benchmarks/relational.py --models relational --tables patients,encounters,procedures
    python benchmarks/relational.py --models relational,hma,par --patients 150 --par-epochs 30
    python benchmarks/relational.py --models private --epsilons 1,3,10    differential privacy by person
    python benchmarks/relational.py --short                              24 made patients, one pass, nothing is kept

HMA refuses grandchildren, and PAR learns one table of histories, so the default is two tables. A line of JSON for each
model and seed, and one for the floor: the held-out patients in the place of the synthetic ones.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import YARDSTICK, print_result

from tabsynth.data.database.folders import read_folder, write_folder
from tabsynth.data.database.root_rows import split_by_root, take_roots
from tabsynth.evaluation.relational.evaluate_database import evaluate_database
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.columns import Categorical, Datetime, Numeric
from tabsynth.schema.constraints import Inequality
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.adapters.sdv_histories import PARSynthesizer
from tabsynth.synthesizers.adapters.sdv_tables import HMASynthesizer
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "relational.jsonl"
Tables = dict[str, pd.DataFrame]


def main() -> None:
    """Print and keep a line of JSON for each model and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="floor,relational,hma", help="of floor, relational, private, hma and par")
    parser.add_argument("--epsilons", default="3", help="of the model private")
    parser.add_argument("--quick", action="store_true", help="leave out the yardstick and the scores that train models")
    parser.add_argument("--tables", default="patients,encounters")
    parser.add_argument("--patients", type=int, help="learn from so many patients only")
    parser.add_argument("--epochs", type=int, help="passes of RelationalSynthesizer")
    parser.add_argument("--par-epochs", type=int, default=128)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--machine", default="2 CPU cores")
    parser.add_argument("--short", action="store_true", help="a small made clinic; nothing is kept")
    args = parser.parse_args()
    if args.short or not YARDSTICK.is_dir():
        train, schema = made_clinic(24 if args.short else 200)
        train, holdout = split_by_root(train, schema, 0.15, seed=0) if not args.short else (train, train)
        args.epochs = 1 if args.short else args.epochs
    else:
        train, holdout, schema = clinic(tuple(args.tables.split(",")), args.patients)
    ours = ("floor", "relational", "private")
    models = [name for name in args.models.split(",") if name in ours or has_sdv()]
    for seed, name in product(map(int, args.seeds.split(",")), models):
        if name == "floor" and (seed or args.short):
            continue
        for epsilon in map(float, args.epsilons.split(",") if name == "private" else "0"):
            line = run(name, train, holdout, schema, seed, epsilon, args)
            line |= {"date": datetime.date.today().isoformat(), "machine": args.machine}
            print_result(line, None if args.short else args.output)


def run(
    name: str,
    train: Tables,
    holdout: Tables,
    schema: DatabaseSchema,
    seed: int,
    epsilon: float,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Fit one model, draw a database and judge it."""
    line: dict[str, Any] = {"model": name, "seed": seed, "tables": {n: len(frame) for n, frame in train.items()}}
    line |= {"epsilon": epsilon} if epsilon else {}
    if name == "floor":
        synthetic: Mapping[str, pd.DataFrame] = holdout
    else:
        model: Any = {
            "relational": lambda: RelationalSynthesizer(epochs=args.epochs),
            "private": RelationalSynthesizer,
            "hma": HMASynthesizer,
            "par": lambda: PARSynthesizer(epochs=1 if args.short else args.par_epochs),
        }[name]()
        start = time.process_time()
        if epsilon:
            unit = schema.primary_keys[schema.roots[0]]
            privacy = Privacy(epsilon, 1e-6, unit=unit, rows_per_person=8, n_public=len(train[schema.roots[0]]))
            model.fit(train, schema=public_schema(train, schema), privacy=privacy)
        else:
            model.fit(train, schema=schema, seed=seed)
        line["fit_cpu_s"] = round(time.process_time() - start, 1)
        start = time.process_time()
        synthetic = model.sample(seed=seed + 1)
        line["draw_cpu_s"] = round(time.process_time() - start, 1)
    report = evaluate_database(train, synthetic, schema=schema, seed=0, quick=args.short or args.quick)
    line["scores"] = {key: round(score.value, 3) for key, score in report.scores.items()}
    line["levels"] = {level: list(report.levels.values()).count(level) for level in ("good", "fair", "poor")}
    if not (args.short or args.quick) and YARDSTICK.is_dir():
        line["judge"] = judged(train, synthetic, holdout, schema)
    return line


def judged(
    train: Tables, synthetic: Mapping[str, pd.DataFrame], holdout: Tables, schema: DatabaseSchema
) -> dict[str, Any]:
    """The summary of the yardstick's scorer."""
    spec = json.loads((YARDSTICK / "clinic" / "spec.json").read_text(encoding="utf-8"))
    spec["tables"] = {name: spec["tables"][name] for name in schema.sorted_tables}
    for part in ("rules", "utility"):
        spec[part] = {
            title: item
            for title, item in spec[part].items()
            if (item[0] if part == "rules" else item["table"]) in spec["tables"]
        }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        for side, tables in (("train", train), ("synthetic", synthetic), ("holdout", holdout)):
            write_folder(tables, path / side, schema, "csv")
        command = [sys.executable, YARDSTICK / "score_relational.py", path / "spec.json", path / "train"]
        command += [path / "synthetic", "--holdout", path / "holdout", "--summary"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    out: dict[str, Any] = json.loads(done.stdout)
    return out


def clinic(names: tuple[str, ...], patients: int | None) -> tuple[Tables, Tables, DatabaseSchema]:
    """Training and held-out tables of the clinic."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, YARDSTICK / "prepare_relational.py", folder], check=True, stdout=subprocess.DEVNULL
        )
        sides = [read_folder(Path(folder) / side)[0] for side in ("train", "holdout")]
    train, holdout = ({name: side[name] for name in names} for side in sides)
    links = [("encounters", "PATIENT", "patients"), ("procedures", "ENCOUNTER", "encounters")]
    schemas = {name: Schema.infer(train[name]) for name in names}
    insured = Inequality(low="PAYER_COVERAGE", high="TOTAL_CLAIM_COST")  # what every user of the tables knows
    schemas["encounters"] = replace(schemas["encounters"], constraints=(insured,))
    schema = DatabaseSchema(
        schemas,
        {name: "Id" for name in names if name != "procedures"},
        tuple(ForeignKey(*link) for link in links if link[0] in names),
        {name: "START" for name in names if name != "patients"},
    )
    if patients is not None:
        chosen = np.arange(len(train["patients"])) < patients
        train = take_roots(train, schema, chosen)
    return train, holdout, schema


def public_schema(tables: Tables, schema: DatabaseSchema) -> DatabaseSchema:
    """A declared schema: categories, powers of ten and whole years that a public dictionary would hold."""
    keys = {(name, key) for name, key in schema.primary_keys.items()}
    keys |= {(link.table, link.column) for link in schema.foreign_keys}
    declared = {}
    for name, own in schema.tables.items():
        columns: dict[str, dict[str, Any]] = {}
        for column, kind in own.items():
            values = tables[name][column].dropna()
            columns[column] = {"kind": kind.kind, "nullable": bool(tables[name][column].isna().any())}
            if (name, column) in keys:
                columns[column] = {"kind": "identifier"}
            elif isinstance(kind, Numeric):
                high = 10.0 ** np.ceil(np.log10(max(float(values.abs().max()), 1.0)))
                low = 0.0 if float(values.min()) >= 0 else -high
                columns[column] |= {"low": low, "high": high, "decimals": kind.decimals}
            elif isinstance(kind, Datetime):
                years = pd.to_datetime(values, format=kind.format).dt.year
                columns[column] |= {"low": f"{years.min()}-01-01", "high": f"{years.max()}-12-31T23:59:59"}
                columns[column] |= {"format": kind.format, "resolution": kind.resolution}
            elif isinstance(kind, Categorical):
                columns[column] |= {"values": sorted(values.unique().tolist())}
        rules = [rule.to_dict() for rule in own.constraints]
        declared[name] = Schema.from_dict({"columns": columns, "constraints": rules})
    return replace(schema, tables=declared)


def made_clinic(patients: int) -> tuple[Tables, DatabaseSchema]:
    """Patients with visits in order, for where the yardstick is not."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"id": range(patients), "sex": rng.choice(["f", "m"], patients)})
    owner = np.repeat(np.arange(patients), 1 + rng.poisson(3, patients))
    visits = pd.DataFrame({"patient": owner, "ward": rng.choice(["eye", "heart", "skin"], len(owner))})
    visits["day"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, len(owner)), unit="D")
    tables = {"patients": people, "visits": visits}
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    return tables, DatabaseSchema(
        schemas, {"patients": "id"}, (ForeignKey("visits", "patient", "patients"),), {"visits": "day"}
    )


def has_sdv() -> bool:
    return importlib.util.find_spec("sdv") is not None


if __name__ == "__main__":
    main()
