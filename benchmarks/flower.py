"""A federated fit over Flower on this machine: one SuperLink, one SuperNode and one process for each of three sites.

Flower's pins clash with those of the web page, so it is installed into an environment of its own, which the script
makes at the first run (from the package index). The relay is ``examples/federated``. The figures are the seconds,
messages and bytes of the same fit in one process, over sockets, and over Flower.

    python benchmarks/flower.py --environment build/flower
    python benchmarks/flower.py --short         without Flower
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from tabsynth.federated import FederatedPlan, InProcessTransport, Site, SocketTransport, fit_federated, serve_site
from tabsynth.federated.transport import Transport
from tabsynth.schema import Schema

ROOT = Path(__file__).parents[1]
FLOWER = "flwr==1.42.0"
SITES = ("north", "south", "west")
PORT = 19091
SCHEMA = Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric", "low": 18, "high": 100, "decimals": 0},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "smoker": {"kind": "boolean"},
        }
    }
)


class Counting:
    """A transport that counts messages and bytes."""

    def __init__(self, inner: Transport) -> None:
        self.inner, self.messages, self.bytes = inner, 0, 0

    def send(self, site: str, message: bytes) -> bytes:
        """Return the answer of a site."""
        answer = self.inner.send(site, message)
        self.messages += 1
        self.bytes += len(message) + len(answer)
        return answer


def rows_of(site: str) -> pd.DataFrame:
    """Return a site's rows."""
    rng = np.random.default_rng(SITES.index(site))
    age = rng.integers(18, 90, 2_000)
    smoker = rng.random(2_000) < age / 150
    return pd.DataFrame({"age": age, "sex": rng.choice(["f", "m"], 2_000), "smoker": smoker})


def site_process(plan: FederatedPlan, name: str, path: str) -> None:
    """Serve a site in a process of its own."""
    serve_site(Site(name, plan, rows_of(name)), path)


@contextmanager
def started(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the context lasts."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def served(plan: FederatedPlan, folder: Path) -> Iterator[dict[str, Path]]:
    """Serve every site in a process of its own; yields the sockets."""
    paths = {name: folder / f"{name}.site" for name in SITES}
    processes = [get_context("spawn").Process(target=site_process, args=(plan, n, str(p))) for n, p in paths.items()]
    for process in processes:
        process.start()
    try:
        wait_for(*paths.values())
        yield paths
    finally:
        for process in processes:
            process.terminate()
            process.join()


def wait_for(*paths: Path) -> None:
    """Wait until there are these files."""
    for _ in range(1_500):
        if all(path.exists() for path in paths):
            return
        time.sleep(0.2)
    raise SystemExit(f"there is no {', '.join(path.name for path in paths if not path.exists())} after 300 s")


@contextmanager
def flower(binaries: Path, folder: Path, sites: dict[str, Path]) -> Iterator[dict[str, Path]]:
    """Run SuperLink, SuperNodes and the relay; yields the sockets at the coordinator."""
    home = folder / "flower"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{PORT}"\ninsecure = true\n'
    )
    environment = os.environ | {"FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    environment["PATH"] = f"{binaries}{os.pathsep}{environment['PATH']}"
    with ExitStack() as stack:
        link = [str(binaries / "flower-superlink"), "--insecure", "--disable-runtime-dependency-installation"]
        stack.enter_context(started([*link, "--port", str(PORT)], folder / "superlink.log", environment))
        time.sleep(8)
        for number, (name, socket) in enumerate(sites.items()):
            node = [str(binaries / "flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{PORT}"]
            node += ["--port", str(PORT + 10 + number), "--node-config", f'site="{name}" socket="{socket}"']
            stack.enter_context(started(node, folder / f"{name}.log", environment))
        config = f'folder="{folder}" sites="{",".join(SITES)}" timeout=120.0'
        run = [str(binaries / "flwr"), "run", str(ROOT / "examples/federated"), "here", "--run-config", config]
        subprocess.run(run, check=True, env=environment, timeout=300, stdout=subprocess.DEVNULL)
        wait_for(folder / "ready")
        yield {name: folder / f"{name}.socket" for name in SITES}
        (folder / "done").touch()


def timed(plan: FederatedPlan, inner: Transport) -> dict[str, float]:
    """Fit and return what it took."""
    transport = Counting(inner)
    began = time.perf_counter()
    fit_federated(plan, transport, progress=False)
    seconds = round(time.perf_counter() - began, 1)
    return {"seconds": seconds, "messages": transport.messages, "bytes": transport.bytes}


def main() -> None:
    """Make the environment, fit over each transport, print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, help="folder of Flower's environment; default: without Flower")
    parser.add_argument("--short", action="store_true", help="without Flower")
    args = parser.parse_args()
    plan = FederatedPlan(schema=SCHEMA, sites=SITES, epsilon=1.0)
    sites = {name: Site(name, plan, rows_of(name)) for name in SITES}
    done = {"one process": timed(plan, InProcessTransport(sites))}
    with tempfile.TemporaryDirectory() as folder, served(plan, Path(folder)) as paths:
        done["sockets"] = timed(plan, SocketTransport(paths))
    if args.environment and not args.short:
        binaries = args.environment.resolve() / "bin"
        if not (binaries / "flwr").exists():
            subprocess.run([sys.executable, "-m", "venv", str(args.environment)], check=True)
            subprocess.run([str(binaries / "python"), "-m", "pip", "install", "--quiet", FLOWER], check=True)
        with tempfile.TemporaryDirectory() as folder, served(plan, Path(folder)) as paths:
            try:
                with flower(binaries, Path(folder), paths) as sockets:
                    done["flower"] = timed(plan, SocketTransport(sockets))
            except BaseException:
                for log in sorted(Path(folder).glob("*.log")):
                    print(log.name, log.read_text()[-3000:], file=sys.stderr)
                raise
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
