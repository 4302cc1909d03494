"""Import every module, and fit, sample, save, load and evaluate one model of each kind that needs no extra."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import tabsynth as ts
from tabsynth.synthesizers.registry import create

KINDS = {"masked": {"epochs": 1}, "vae": {"epochs": 1}, "gan": {"epochs": 1}, "marginal": {}}
SCHEMA = {
    "columns": {
        "mrn": {"kind": "identifier", "pattern": "P[0-9]{6}"},
        "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
        "bmi": {"kind": "numeric", "low": 10, "high": 60, "decimals": 1, "nullable": True},
        "sex": {"kind": "categorical", "values": ["f", "m"]},
        "smoker": {"kind": "boolean"},
        "seen": {"kind": "datetime", "low": "2020-01-01", "high": "2021-12-31"},
    }
}


NEEDS_EXTRAS = ("tabsynth.web.",)
"""Modules that only the command of an extra imports."""


def table(rows: int = 200) -> pd.DataFrame:
    """A table of every common dtype."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "mrn": [f"P{100_000 + i}" for i in range(rows)],
            "age": rng.integers(20, 90, rows),
            "bmi": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(26, 4, rows).clip(11, 59).round(1)),
            "sex": rng.choice(["f", "m"], rows),
            "smoker": rng.random(rows) < 0.3,
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, rows), unit="D"),
        }
    )


def main() -> int:
    """Run everything once; an exception fails the script."""
    for module in pkgutil.walk_packages(ts.__path__, "tabsynth."):
        if not module.name.endswith("__main__") and not module.name.startswith(NEEDS_EXTRAS):
            importlib.import_module(module.name)
    frame, schema = table(), ts.Schema.from_dict(SCHEMA)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("csv", "parquet", "xlsx"):
            path = Path(folder) / f"table.{suffix}"
            ts.write(frame, path, schema)
            back = ts.read(path, schema=schema).frame
            pd.testing.assert_frame_equal(back, frame, check_dtype=False)
        for kind, options in KINDS.items():
            model = create(kind, **options).fit(frame, schema=schema, seed=0, progress=False)
            sample = model.sample(50, given={"sex": "f"}, seed=1, progress=False)
            assert (sample["sex"] == "f").all()
            assert sample.dtypes.equals(frame.dtypes), f"{kind}: {sample.dtypes} is not {frame.dtypes}"
            model.save(Path(folder) / "model")
            again = ts.load(Path(folder) / "model").sample(50, given={"sex": "f"}, seed=1, progress=False)
            pd.testing.assert_frame_equal(sample, again)
            print(kind, flush=True)
        private = ts.MarginalSynthesizer().fit(frame, schema=schema, privacy=ts.Privacy(1.0, 1e-6), progress=False)
        report = ts.evaluate(frame, private.sample(200, seed=0), schema=schema, quick=True, sdmetrics=False)
        report.save(Path(folder) / "report.html")
    print(f"Python {sys.version.split()[0]}, pandas {pd.__version__}, numpy {np.__version__}: works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
