"""Three hospitals' extracts become one table, and the table a synthetic one: from raw files to the report.

The extracts are made here, so that the script runs anywhere; put your own files in their place::

    python examples/mix_hospitals.py --output output/hospitals

One hospital writes age in months and sex as F and M, one cholesterol in mmol/L with 0 for "not measured", and that one
does not measure creatinine at all. The plan finds what it can and asks the rest; the answers of the person who reviews
it stand in ``review``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import tabsynth as ts
from tabsynth.mixing.plan import Plan


def main(argv: list[str] | None = None) -> int:
    """Run the walk-through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=Path("output/hospitals"))
    parser.add_argument("--rows", type=int, default=700, help="patients of each hospital (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="passes over the table (default: the model decides)")
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)

    files = extracts(args.output, args.rows)
    plan = ts.suggest(files)
    plan.save(args.output / "plan.yaml")
    plan.review(args.output / "review.html")
    print(f"{len(plan.entries)} proposals, {sum(bool(entry.question) for entry in plan.entries)} ask a question:")
    for entry in plan.entries:
        if entry.question:
            print(f"  {entry.question}")

    mixed = ts.mix(review(plan))
    mixed.save(args.output / "mixed.parquet", report=args.output / "mixed.json")
    print(f"\n{len(mixed.frame):,} rows from {len(files)} hospitals; {mixed.report['privacy']}")

    held = mixed.split(0.25, seed=0)  # all rows of a patient on one side
    train, test = mixed.frame[~held].reset_index(drop=True), mixed.frame[held].reset_index(drop=True)
    mask = mixed.mask[~held].reset_index(drop=True)
    model = ts.MaskedSynthesizer(epochs=args.epochs).fit(train, schema=mixed.schema, mask=mask, seed=0)
    model.save(args.output / "model.tabsynth")
    synthetic = model.sample(len(train), seed=1)
    ts.write(synthetic, args.output / "synthetic.csv")
    only_west = model.sample(200, given={"_source": "west"}, seed=2)  # a hospital that never measured creatinine
    print(f"creatinine drawn for west, learned from the others: {only_west['creatinine'].median():.2f} mg/dL")

    # The model fills in what west never measured; to compare like with like it is left out again.
    absent = synthetic["_source"] == "west"
    report = ts.evaluate(
        train,
        synthetic.assign(creatinine=synthetic["creatinine"].mask(absent)),
        test,
        target="disease",
        schema=mixed.schema,
        seed=0,
    )
    report.save(args.output / "report.html")
    print(f"\n{report.verdict.text}\n{(args.output / 'report.html').resolve().as_uri()}")
    return 0


def review(plan: Plan) -> Plan:
    """What the person who reviews decides: here every proposal holds, and patients of different hospitals differ."""
    return plan.accept()


def extracts(folder: Path, rows: int) -> dict[str, Path]:
    """Three files as three hospitals would send them."""
    rng = np.random.default_rng(11)
    north, south, west = (patients(rng, rows, shift) for shift in (0, 4, -3))
    south = south.assign(
        age=south["age"] * 12 + rng.integers(0, 12, rows), sex=south["sex"].map({0: "F", 1: "M"})
    ).rename(columns={"age": "age_months", "sex": "gender", "systolic_bp": "sbp"})
    unmeasured = rng.random(rows) < 0.2
    west = west.assign(cholesterol=(west["cholesterol"] / 38.67).round(2).mask(unmeasured, 0)).rename(
        columns={"cholesterol": "total_cholesterol_mmol_l", "smoker": "smoking"}
    )
    west = west.drop(columns="creatinine")
    out = {}
    for name, frame in (("north", north), ("south", south), ("west", west)):
        out[name] = folder / f"{name}.csv"
        frame.to_csv(out[name], index=False)
    return out


def patients(rng: np.random.Generator, rows: int, shift: int) -> pd.DataFrame:
    """Made-up patients whose disease depends on age, pressure, cholesterol and smoking."""
    age = np.clip(rng.normal(58 + shift, 11, rows).round(), 25, 90).astype(int)
    sex = rng.integers(0, 2, rows)
    smoker = np.where(rng.random(rows) < 0.2 + 0.15 * sex, "yes", "no")
    pressure = (105 + 0.5 * age + rng.normal(0, 12, rows)).round().astype(int)
    cholesterol = (150 + 0.9 * age + 12 * (smoker == "yes") + rng.normal(0, 32, rows)).round().astype(int)
    creatinine = (0.7 + 0.2 * sex + 0.004 * age + rng.gamma(2, 0.06, rows)).round(2)
    risk = 0.05 * (age - 60) + 0.03 * (pressure - 135) + 0.012 * (cholesterol - 205) + 0.8 * (smoker == "yes") - 0.5
    disease = np.where(rng.random(rows) < 1 / (1 + np.exp(-risk)), "present", "absent")
    return pd.DataFrame(
        {
            "age": age,
            "sex": sex,
            "systolic_bp": pressure,
            "cholesterol": cholesterol,
            "creatinine": creatinine,
            "smoker": smoker,
            "disease": disease,
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
