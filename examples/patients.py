"""Write the invented table that the how-tos of the documentation use: no row belongs to a real person.

    python examples/patients.py [FOLDER]

writes patients.csv (1,500 stays in a hospital), train.csv and holdout.csv (two thirds and one third of them) and
schema.json into the folder, by default the working folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tabsynth as ts
from tabsynth.rules import generate

SCHEMA = ts.Schema.from_dict(
    {
        "columns": {
            "mrn": {"kind": "identifier", "pattern": "P[0-9]{6}"},
            "sex": {"kind": "categorical", "values": ["f", "m"], "role": "sensitive"},
            "age": {"kind": "numeric", "low": 18, "high": 100, "decimals": 0},
            "region": {"kind": "categorical", "values": ["north", "south", "east", "west"]},
            "smoker": {"kind": "boolean"},
            "systolic": {"kind": "numeric", "low": 70, "high": 220, "decimals": 0},
            "diastolic": {"kind": "numeric", "low": 40, "high": 140, "decimals": 0, "nullable": True},
            "admitted": {"kind": "datetime", "format": "%Y-%m-%d", "low": "2023-01-01", "high": "2024-12-31"},
            "stay": {"kind": "numeric", "low": 1, "high": 60, "decimals": 0},
            "cost": {"kind": "numeric", "low": 0, "high": 200000, "decimals": 2},
            "readmitted": {"kind": "boolean", "role": "target"},
        },
        "constraints": [{"kind": "inequality", "low": "diastolic", "high": "systolic"}],
    }
)

RULES = {
    "sex": {"distribution": "choice", "weights": {"f": 0.52, "m": 0.48}},
    "age": {"distribution": "normal", "mean": 56, "sd": 17},
    "region": {"distribution": "choice", "weights": {"north": 0.4, "south": 0.3, "east": 0.2, "west": 0.1}},
    "smoker": {"distribution": "chance", "p": "where(sex == 'm', 0.35, 0.2)"},
    "systolic": {"distribution": "normal", "mean": "100 + 0.5 * age", "sd": 14},
    "diastolic": {"distribution": "normal", "mean": "20 + 0.48 * systolic", "sd": 8, "missing": 0.1},
    "stay": {"distribution": "exponential", "mean": "1 + age / 15 + 3 * smoker"},
    "cost": {"distribution": "lognormal", "median": "900 + 700 * stay", "sigma": 0.2},
    "readmitted": {"distribution": "chance", "p": "1 / (1 + exp(6 - 0.07 * age - 1.2 * smoker - 0.7 * (sex == 'm')))"},
}


def main(folder: Path) -> None:
    """Generate the table, split it and write four files."""
    frame = generate(SCHEMA, 1500, rules=RULES, seed=0)
    ts.write(frame, folder / "patients.csv")
    ts.write(frame[:1000], folder / "train.csv")
    ts.write(frame[1000:], folder / "holdout.csv")
    SCHEMA.to_json(folder / "schema.json")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
