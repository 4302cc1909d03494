"""A bank's accounts and a bureau's credit file become one table, and the table a synthetic one.

The files are made here, so that the script runs anywhere; put your own in their place::

    python examples/mix_banks.py --output output/banks

Both know a customer by the same tax number. Their tables are joined on it, one row for each customer; where both have
an income, the bureau's counts more. The bank has fewer rural customers than the country, which the weights mend.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tabsynth as ts
from tabsynth.mixing.plan import Plan


def main(argv: list[str] | None = None) -> int:
    """Run the walk-through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=Path("output/banks"))
    parser.add_argument("--rows", type=int, default=1500, help="customers of the bank (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="passes over the table (default: the model decides)")
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)

    plan = ts.suggest(extracts(args.output, args.rows))
    plan.review(args.output / "review.html")
    print(plan.changes())
    mixed = ts.mix(review(plan))
    mixed.save(args.output / "mixed.parquet", report=args.output / "mixed.json")
    told = mixed.report
    print(f"{len(mixed.frame):,} customers; {told['combine']['conflicts']['income']['conflicts']:,} incomes differed")
    print(f"weights keep {told['weights']['ess']:.0%} of the rows' worth; {told['privacy']}")

    frame = mixed.frame.drop(columns="tax_no")  # a key is never learned, and no use in what follows
    schema = ts.Schema({name: column for name, column in mixed.schema.items() if name != "tax_no"})
    held = mixed.split(0.25, seed=0)
    train, test = frame[~held].reset_index(drop=True), frame[held].reset_index(drop=True)
    mask = mixed.mask.drop(columns="tax_no")[~held].reset_index(drop=True)
    model = ts.MaskedSynthesizer(epochs=args.epochs)
    model.fit(train, schema=schema, mask=mask, weights=mixed.weights[~held], seed=0)
    synthetic = model.sample(len(train), seed=1)
    ts.write(synthetic, args.output / "synthetic.csv")
    shares = [part["region"].eq("rural").mean() for part in (train, synthetic)]
    print(f"rural customers: {shares[0]:.0%} of the bank's, {shares[1]:.0%} of the synthetic ones; 45% of the country")

    report = ts.evaluate(train, synthetic, test, target="default", schema=schema, seed=0)
    report.save(args.output / "report.html")
    print(f"\n{report.verdict.text}\n{(args.output / 'report.html').resolve().as_uri()}")
    return 0


def review(plan: Plan) -> Plan:
    """What the person who reviews decides: accept, join by the tax number, trust the bureau, weigh to the census."""
    trusted: dict[str, Any] = {
        name: replace(item, trust=0.9 if name == "bureau" else 0.5) for name, item in plan.inputs.items()
    }
    return replace(
        plan.accept(),
        inputs=trusted,
        link={"engine": "exact", "fields": ["tax_no"]},
        combine={**plan.combine, "op": "join"},
        weights={"method": "rake", "margins": {"region": {"rural": 0.45, "urban": 0.55}}},
    )


def extracts(folder: Path, rows: int) -> dict[str, Path]:
    """Two files as a bank and a bureau would send them."""
    rng = np.random.default_rng(5)
    region = rng.choice(["rural", "urban"], rows, p=[0.25, 0.75])
    income = np.round(np.exp(rng.normal(10.3 + 0.25 * (region == "urban"), 0.4, rows)), -2)
    tenure = rng.integers(1, 20, rows)
    risk = -1.2 - 0.00003 * (income - 30_000) - 0.08 * (tenure - 10)
    tax_no = [f"T{number:07d}" for number in rng.permutation(9_000_000)[:rows]]
    bank = pd.DataFrame({"tax_no": tax_no, "income": income, "region": region, "tenure_years": tenure})
    bank["default"] = np.where(rng.random(rows) < 1 / (1 + np.exp(-risk)), "yes", "no")
    known = rng.permutation(rows)[: int(0.8 * rows)]
    bureau = pd.DataFrame({"tax_number": np.array(tax_no)[known]})
    bureau["annual_income_thousands"] = (income[known] * np.exp(rng.normal(0, 0.03, len(known))) / 1000).round(1)
    bureau["open_loans"] = rng.poisson(1 + 1.5 * (bank["default"].to_numpy()[known] == "yes"))
    out = {"bank": folder / "bank.csv", "bureau": folder / "bureau.csv"}
    bank.to_csv(out["bank"], index=False)
    bureau.to_csv(out["bureau"], index=False)
    return out


if __name__ == "__main__":
    raise SystemExit(main())
