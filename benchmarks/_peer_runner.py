"""Fit one peer in its own environment: reads job.json and a table in a folder, writes synthetic.csv and result.json.

    PEER_PYTHON _peer_runner.py FOLDER

It imports nothing of tabsynth. Peers of whole numbers read ``codes.csv`` and write codes; dpmm, which chooses bins
under privacy itself, reads ``text.csv`` and writes numbers and texts.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DPMM_BIN_SHARE = 0.1
"""Share of dpmm's epsilon for the bins of its numeric columns, as by its defaults of 1 and .1."""

ONE_WAY_SHARE, MEASUREMENT_SHARE = 0.25, 0.875
"""OpenDP's shares: binary fractions beside its defaults of .5 and .9, with which its sums exceed the budget by rounding
and are refused."""


DRAW = "sample"
"""How a model of mbi 1.1.0 draws rows. Its default "round" sorts the rows of each parent value by every child alike, so
that children that the model makes independent come out equal (correlation .99 instead of 0)."""


def main() -> None:
    """Fit, sample and write."""
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    family, _, model = job["peer"].partition("_")
    # As text: codes such as 0, 0.2 and 1 would become numbers, and 0 the text "0.0".
    dtype = str if family == "dpmm" else None
    name = "text.csv" if family == "dpmm" else "codes.csv"
    frame = pd.read_csv(folder / name, keep_default_na=False, dtype=dtype)
    began, spent = time.perf_counter(), _cpu_seconds()
    synthetic = {"dpmm": _dpmm, "opendp": _opendp, "smartnoise": _smartnoise}[family](model, frame, job)
    seconds, cpu = time.perf_counter() - began, _cpu_seconds() - spent
    synthetic[list(frame)].to_csv(folder / "synthetic.csv", index=False)
    result = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}
    (folder / "result.json").write_text(json.dumps(result))


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children."""
    return sum(os.times()[:4])


def _dpmm(model: str, frame: pd.DataFrame, job: dict[str, Any]) -> pd.DataFrame:
    """Let dpmm choose the bins of numbers within public bounds, for a tenth of epsilon."""
    from dpmm import pipelines

    domain: dict[str, dict[str, Any]] = {}
    for name, own in job["columns"].items():
        if "categories" in own:
            domain[name] = {"categories": own["categories"]}
        else:
            domain[name] = {"lower": own["bounds"][0], "upper": own["bounds"][1]}
            frame[name] = frame[name].astype(float)
    kind = {"mst": "MSTPipeline", "aim": "AIMPipeline", "privbayes": "PrivBayesPipeline"}[model]
    fitted = getattr(pipelines, kind)(
        epsilon=(1 - DPMM_BIN_SHARE) * job["epsilon"],
        proc_epsilon=DPMM_BIN_SHARE * job["epsilon"],
        delta=job["delta"],
        n_jobs=1,
    )
    fitted.fit(frame, domain, random_state=job["seed"])
    return pd.DataFrame(fitted.generate(job["rows"], random_state=job["seed"]))


def _opendp(model: str, frame: pd.DataFrame, job: dict[str, Any]) -> pd.DataFrame:
    """Run OpenDP's algorithms on all codes with the budget that epsilon and delta are converted to."""
    import opendp.prelude as dp
    import polars as pl
    from opendp.extras.mbi import _mst

    dp.enable_features("contrib")
    # MST's selections add up to more than their budget by rounding, which OpenDP refuses: a little more slack.
    _mst.prior = lambda budget: budget * (1 - 2.0**-40)
    names = {name: f"s{at:05d}" for at, name in enumerate(frame)}
    context = dp.Context.compositor(
        data=pl.DataFrame({names[name]: frame[name].to_numpy() for name in frame}).lazy(),
        privacy_unit=dp.unit_of(contributions=1),
        privacy_loss=dp.loss_of(rho=job["rho"]),
        split_evenly_over=1,
    )
    shares: dict[str, Any] = {"measure_split": MEASUREMENT_SHARE, "oneway_split": ONE_WAY_SHARE}
    algorithm = (dp.mbi.AIM if model == "aim" else dp.mbi.MST)(**shares, **job["options"])
    keys = {names[name]: list(range(size)) for name, size in job["sizes"].items()}
    table = context.query().contingency_table(keys=keys, algorithm=algorithm).release()
    drawn = table.synthesize(job["rows"], method=DRAW)
    out = pd.DataFrame({name: drawn[slot].to_numpy() for name, slot in names.items()})
    # OpenDP adds a cell for undeclared values to each column; noise puts a few rows there.
    rng = np.random.default_rng(job["seed"])
    for name, size in job["sizes"].items():
        outside = ~out[name].between(0, size - 1)
        out.loc[outside, name] = rng.integers(0, size, int(outside.sum()))
    return out.astype(int)


def _smartnoise(model: str, frame: pd.DataFrame, job: dict[str, Any]) -> pd.DataFrame:
    """Run SmartNoise's synthesizers on codes, all of them categorical."""
    from snsynth import Synthesizer

    options: dict[str, Any] = {}
    if model != "patectgan":
        from mbi import MarkovRandomField

        options = {"delta": job["delta"]}
        MarkovRandomField.synthetic_data = partialmethod(MarkovRandomField.synthetic_data, method=DRAW)
    fitted = Synthesizer.create(model, epsilon=job["epsilon"], **options, **job["options"])
    fitted.fit(frame, categorical_columns=list(frame), preprocessor_eps=0.0)
    return pd.DataFrame(fitted.sample(job["rows"]))[list(frame)].astype(int)


if __name__ == "__main__":
    main()
