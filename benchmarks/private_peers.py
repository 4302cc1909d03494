"""Other toolkits' private models beside ours: same split, total epsilon and delta, public domain and score.

    python benchmarks/private_peers.py                                        every peer on Adult at epsilon 1
    python benchmarks/private_peers.py --peers tabsynth,dpmm_mst --tables adult,shoppers --epsilons 0.1,1,10
    python benchmarks/private_peers.py --environments ~/peers --minutes 60    keeps the environments for later runs
    python benchmarks/private_peers.py --short                                our model on a table made by rule

Each peer runs in an environment that this script makes with venv and pip, from the versions in ``PINS``, and stops
after so many minutes of CPU time; failures are recorded like results. All are given the bounds and values of the
schemas in ``schemas/``. A peer of whole numbers gets numeric columns in equal-width public bins, and its codes are
mapped back uniformly; dpmm chooses its bins itself for a tenth of epsilon. The peers read from the rows uncharged
what they choose to (their number, constant columns), which is in their favour. ``tabsynth_mst`` and ``tabsynth_aim``
are OpenDP's algorithms on the bins that tabsynth measures, and ``public_bins`` is the real rows in equal-width bins:
what the bins alone contribute.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import resource
import subprocess
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import prepare_yardstick, print_result
from _public_domain import DEFAULT_BINS, PublicDomain
from private import DELTA, HERE, by_rule, distances, drawn, schema_of, scored

import tabsynth
from tabsynth.privacy.budget import zcdp_rho
from tabsynth.schema import Schema

RESULTS = HERE / "results" / "private_peers.jsonl"
PINS = {
    "dpmm": ["dpmm==0.1.9", "numpy==1.26.4", "opendp==0.12.1", "pandas==2.1.0", "scipy==1.17.1"],
    "opendp": ["opendp[mbi]==0.16.0", "mbi==1.1.0", "pandas==2.3.3"],
    "smartnoise": ["smartnoise-synth==1.0.8", "torch==2.13.0"],
}
"""Packages of each family of peers."""

PEERS: dict[str, dict[str, Any]] = {
    "dpmm_mst": {},
    "dpmm_aim": {},
    "dpmm_privbayes": {},
    "opendp_mst": {},
    "opendp_aim": {"max_size": 4.0, "rounds": 30, "queries": 2},
    "smartnoise_mst": {},
    "smartnoise_aim": {},
    "smartnoise_patectgan": {},
}
"""Options of each peer that are not its defaults. OpenDP's AIM has a smaller model than its default of 80 MB, with
which it does not end on one core."""

OURS = {"tabsynth": "marginal", "tabsynth_mst": "mst", "tabsynth_aim": "aim", "independent": "independent"}
"""Models of ``private.py``."""

NAMES = (*OURS, "public_bins", *PEERS)

WALL_FACTOR = 4
"""Minutes on the clock per minute of CPU time, after which a peer is stopped on a busy machine."""


def main() -> None:
    """Print and keep a line of JSON for each table, epsilon, peer and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=",".join(["tabsynth", *PEERS]), help=f"of {', '.join(NAMES)}")
    parser.add_argument("--tables", default="adult")
    parser.add_argument("--epsilons", default="1")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--bins", type=int, default=DEFAULT_BINS, help="public bins of a numeric column")
    parser.add_argument("--minutes", type=float, default=60.0, help="CPU minutes of each peer")
    parser.add_argument(
        "--environments", type=Path, help="folder of the peers' environments; by default a temporary one"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--machine", default="2 CPU cores")
    parser.add_argument("--short", action="store_true", help="our model and the public bins, on a table made by rule")
    args = parser.parse_args()
    if args.short:
        print(json.dumps(run_short()))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare_yardstick(folder)
        grid = itertools.product(
            args.tables.split(","),
            map(float, args.epsilons.split(",")),
            args.peers.split(","),
            map(int, args.seeds.split(",")),
        )
        for table, epsilon, peer, seed in grid:
            figures: dict[str, Any] = {"table": table, "model": peer, "epsilon": epsilon, "delta": DELTA, "seed": seed}
            figures |= run(peer, table, epsilon, seed, folder, args)
            figures |= {"date": datetime.date.today().isoformat(), "machine": args.machine}
            print_result(figures, args.output)


def run(peer: str, table: str, epsilon: float, seed: int, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Fit, draw and score one model."""
    train, schema = pd.read_csv(folder / f"{table}.train.csv"), schema_of(table)
    if peer == "public_bins":
        domain = PublicDomain(schema, args.bins)
        synthetic = domain.decode(domain.encode(train), np.random.default_rng(seed))
        seconds: dict[str, float] = {}
        out: dict[str, Any] = {"bins": args.bins}
    elif peer in OURS:
        began, spent = time.perf_counter(), time.process_time()
        synthetic, _ = drawn(train, schema, OURS[peer], epsilon, seed)
        seconds = {
            "seconds": round(time.perf_counter() - began, 2),
            "cpu_seconds": round(time.process_time() - spent, 2),
        }
        out = {"version": f"tabsynth=={tabsynth.__version__}"}
    else:
        out = {"version": PINS[peer.partition("_")[0]][0], "options": PEERS[peer]}
        if not peer.startswith("dpmm"):
            out["bins"] = args.bins
        try:
            python = environment_of(peer.partition("_")[0], args.environments or folder / "environments")
            synthetic, seconds = fit_peer(python, peer, train, schema, epsilon, seed, args.bins, args.minutes)
        except PeerError as error:
            return out | {"failed": str(error)}
    out |= {"rows": len(synthetic), **seconds} | distances(train, synthetic, schema)
    return out | scored(table, synthetic, folder)


class PeerError(Exception):
    """A peer could not be installed, or did not end."""


def environment_of(family: str, folder: Path) -> Path:
    """Make the environment of a family of peers unless the folder has it, and return its interpreter."""
    home = folder / family
    python, pins = home / "bin" / "python", home / "pins.json"
    if pins.is_file() and json.loads(pins.read_text()) == PINS[family]:
        return python
    venv.create(home, with_pip=True, clear=True)
    command = [python, "-m", "pip", "install", "--quiet", *PINS[family]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError(f"pip: {_last_line(done.stderr)}")
    pins.write_text(json.dumps(PINS[family]))
    return python


def fit_peer(
    python: Path,
    peer: str,
    train: pd.DataFrame,
    schema: Schema,
    epsilon: float,
    seed: int,
    bins: int,
    minutes: float,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return a peer's rows, as many as it was given, and its seconds."""
    domain = PublicDomain(schema, bins)
    job = {
        "peer": peer,
        "options": PEERS[peer],
        "epsilon": epsilon,
        "delta": DELTA,
        "rho": zcdp_rho(epsilon, DELTA),
        "seed": seed,
        "rows": len(train),
        "sizes": domain.sizes,
        "columns": domain.description(),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job))
        domain.encode(train).to_csv(folder / "codes.csv", index=False)
        domain.as_text(train).to_csv(folder / "text.csv", index=False)
        _run_limited([str(python), str(HERE / "_peer_runner.py"), name], minutes)
        synthetic = pd.read_csv(folder / "synthetic.csv", keep_default_na=False)
        seconds: dict[str, float] = json.loads((folder / "result.json").read_text())
    if peer.startswith("dpmm"):
        return domain.from_text(synthetic), seconds
    return domain.decode(synthetic, np.random.default_rng(seed)), seconds


def _run_limited(command: list[str], minutes: float) -> None:
    """Run a command on one thread within a limit of CPU time.

    Raises:
        PeerError: It failed or did not end.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    threads["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    limit = round(60 * minutes)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **threads},
            capture_output=True,
            text=True,
            timeout=WALL_FACTOR * limit,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"did not end in {WALL_FACTOR * minutes:g} minutes on the clock") from error
    if done.returncode < 0:
        raise PeerError(f"did not end in {minutes:g} CPU minutes")
    if done.returncode:
        raise PeerError(_last_line(done.stderr))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "no message"


def run_short() -> dict[str, Any]:
    """Fit our model to a table made by rule, beside the errors that the public bins alone make."""
    train, schema = by_rule(2000)
    domain = PublicDomain(schema)
    binned = domain.decode(domain.encode(train), np.random.default_rng(0))
    ours, _ = drawn(train, schema, "marginal", 1.0, 0)
    return {"tabsynth": distances(train, ours, schema), "bins": distances(train, binned, schema)}


if __name__ == "__main__":
    main()
