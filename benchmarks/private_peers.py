"""Other toolkits' private models on the same split, scored like ours: each runs in an environment of its own.

    python benchmarks/private_peers.py --peer dpmm_mst --python /path/to/its/venv/bin/python
    python benchmarks/private_peers.py --peer dpmm_mst,dpmm_aim --python ... --table adult --epsilon 1 --minutes 20
    python benchmarks/private_peers.py --short     SDV's copula on 2,000 rows: the way there and back, nothing is kept

The yardstick's ``peers.py`` fits the peer with its defaults. What a peer reads off the rows uncharged (bounds
and categories, mostly) is in its favour; a peer that does not end in time is recorded as such.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from private import RESULTS, YARDSTICK, distances, schema_of, scored


def main() -> None:
    """Print and keep a line of JSON for each peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="sdv_gc", help="as the yardstick's peers.py names them")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the peer's environment")
    parser.add_argument("--table", default="adult")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--machine", default="2 CPU cores")
    parser.add_argument(
        "--short", action="store_true", help="2,000 rows of Adult by a peer that is here; nothing is kept"
    )
    args = parser.parse_args()
    if not YARDSTICK.is_dir():
        raise SystemExit(0 if args.short else f"the yardstick is not at {YARDSTICK}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, YARDSTICK / "prepare.py", folder], check=True, stdout=subprocess.DEVNULL)
        for peer in args.peer.split(","):
            figures = run(peer, args.python, args.table, args.epsilon, args.minutes, folder, short=args.short)
            figures |= {"date": datetime.date.today().isoformat(), "machine": args.machine}
            print(json.dumps(figures), flush=True)
            if not args.short:
                with args.output.open("a") as file:
                    file.write(json.dumps(figures) + "\n")


def run(
    peer: str, python: str, table: str, epsilon: float, minutes: float, folder: Path, *, short: bool
) -> dict[str, Any]:
    """Fit one peer and score its rows."""
    out: dict[str, Any] = {"table": table, "model": peer, "epsilon": epsilon, "seed": None}
    files = [str(folder / f"{table}.train.csv"), str(folder / f"{table}.json"), str(folder / "peer.csv")]
    if short:
        pd.read_csv(files[0], nrows=2000).to_csv(files[0], index=False)
    command = [python, str(YARDSTICK / "peers.py"), peer, *files]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "EPS": str(epsilon)},
            capture_output=True,
            text=True,
            timeout=60 * minutes,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return out | {"failed": f"did not end in {minutes:g} minutes"}
    if done.returncode:
        return out | {"failed": done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else "no message"}
    result = json.loads(done.stdout.strip().splitlines()[-1])
    real, synthetic = pd.read_csv(files[0]), pd.read_csv(files[2])
    out |= {"rows": len(synthetic), "seconds": round(result["fit_s"] + result["sample_s"], 2)}
    synthetic = synthetic.replace("nan", np.nan)  # how peers without missing values were given them
    out |= distances(real, synthetic, schema_of(table))
    return out if short else out | scored(table, synthetic, folder)


if __name__ == "__main__":
    main()
