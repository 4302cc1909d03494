"""Whether other tools accept a release: mlcroissant, frictionless and pandera, in an environment of their own.

    python benchmarks/release_acceptance.py [--short] [--environment FOLDER]

They need other versions of packages than tabsynth, so they are installed into FOLDER (default: build/acceptance), which
needs the network or a mirror of the package index; without one the check is left out. ``--short`` installs nothing: it
uses an environment that is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
import pandas as pd

import tabsynth as ts
from tabsynth.release import build, create_keys, verify

PACKAGES = ("mlcroissant==1.1.1", "frictionless==5.21.0", "pandera==0.35.0", "pandas>=2.2,<3", "pyarrow")

SCHEMA = ts.Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "bmi": {"kind": "numeric", "low": 10, "high": 60, "decimals": 1, "nullable": True},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "=risk": {
                "kind": "categorical",
                "values": ["-low", "=cmd()", "@high"],
                "description": "hostile on purpose",
            },
            "seen": {"kind": "datetime", "low": "2024-01-01", "high": "2024-12-31", "resolution": "D"},
            "ill": {"kind": "boolean"},
        }
    }
)

CHECK = """
import json, sys
from pathlib import Path
import frictionless, mlcroissant, pandas
from pandera.io import pandas_io
folder = Path(sys.argv[1])
found = {}
dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
issues = dataset.metadata.ctx.issues
found["croissant errors"], found["croissant warnings"] = sorted(issues.errors), sorted(issues.warnings)
found["croissant rows"] = sum(1 for _ in dataset.records("records"))
report = frictionless.validate(str(folder / "datapackage.json"))
found["frictionless errors"] = [str(row) for row in report.flatten(["type", "message"])][:5]
rows = pandas.read_parquet(next((folder / "data").glob("*.parquet")))
schema = pandas_io.from_yaml((folder / "contract.yaml").read_text())
found["pandera rows"] = len(schema.validate(rows, lazy=True))
print(json.dumps(found))
"""


def people(rows: int, seed: int) -> pd.DataFrame:
    """A table with every kind of column, and hostile names and values."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    bmi = np.round(rng.normal(25, 4, rows).clip(12, 55), 1)
    return pd.DataFrame(
        {
            "age": age,
            "bmi": np.where(rng.random(rows) < 0.1, np.nan, bmi),
            "sex": rng.choice(["f", "m"], rows),
            "=risk": rng.choice(["-low", "=cmd()", "@high"], rows),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D"),
            "ill": rng.random(rows) < age / 120,
        }
    )


def build_release(folder: Path, rows: int) -> Path:
    """A release of a private model."""
    train, holdout = people(rows, 1), people(rows, 2)
    for _ in range(3):  # the noise is random, and 1 % of audits have a false alarm
        model = ts.MarginalSynthesizer(components=8)
        model.fit(train, schema=SCHEMA, privacy=ts.Privacy(epsilon=2.0, delta=1e-6), progress=False)
        synthetic = model.sample(rows, seed=1)
        audit = ts.audit(train, synthetic, holdout, schema=SCHEMA)
        if audit.verdict != "VIOLATION":
            break
    report = ts.evaluate(train, synthetic, holdout, schema=SCHEMA, quick=True)
    create_keys(folder / "private.pem", folder / "public.pem")
    about = {"name": "people", "title": "Synthetic people", "license": "CC0-1.0", "publisher": "Data office"}
    gates = {"gates": {"shape_error": {"max": 50}}}
    files = {"model": model, "evaluation": report, "audit": audit}
    build(folder / "release", synthetic, about=about, key=folder / "private.pem", gates=gates, **files)
    found = verify(folder / "release", folder / "public.pem")
    if not found.ok:
        raise SystemExit(str(found))
    return folder / "release"


def prepared(environment: Path, *, install: bool) -> Path | None:
    """The Python of the environment; None if it is missing and cannot be made."""
    python = environment / "bin" / "python"
    if not python.exists() and install:
        venv.create(environment, with_pip=True)
        line = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        if subprocess.run(line, check=False).returncode:
            return None
    return python if python.exists() else None


def main() -> None:
    """Build a release and let the other tools read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--environment", type=Path, default=Path("build/acceptance"))
    args = parser.parse_args()
    rows = 500 if args.short else 3000
    with tempfile.TemporaryDirectory() as folder:
        release = build_release(Path(folder), rows)
        print("verified with the public key alone")
        python = prepared(args.environment, install=not args.short)
        if python is None:
            print("the other tools are not installed: their check is left out")
            return
        line = [python, "-c", CHECK, release]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps(found, indent=1))
        wrong = found["croissant errors"] or found["frictionless errors"]
        if wrong or {found["croissant rows"], found["pandera rows"]} != {rows}:
            sys.exit("not accepted")
        print("accepted by mlcroissant, frictionless and pandera")


if __name__ == "__main__":
    main()
