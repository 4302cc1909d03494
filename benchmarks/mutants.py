"""Damaged files of every kind, read by the function that reads them: only errors of `tabsynth.errors` may be raised.

A mutant has flipped, removed, inserted or repeated bytes, or, in text, other values or lines.
A mutant that is read is no fault by itself, unless it is a release or its signature, of which every byte counts; one
that takes more than ten seconds is a hang.

    python benchmarks/mutants.py                1,000 mutants of each of 13 kinds of files
    python benchmarks/mutants.py --short        20 of each
    python benchmarks/mutants.py --kinds plan   one kind
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

import tabsynth as ts
from tabsynth.common.input_files import read_json
from tabsynth.common.yaml_files import read_yaml
from tabsynth.evaluation.gates import read_gates
from tabsynth.evaluation.report import Report
from tabsynth.mixing.matching.suggest import suggest
from tabsynth.mixing.plan.plan import Plan
from tabsynth.pipeline.config import EXAMPLE, read_job
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.release import build, create_keys, verify
from tabsynth.rules import generate

SECONDS = 10
VALUES = (
    "null", "true", "-1", "1e400", "9" * 400, '"x"', "[]", "{}", "[[[1]]]", '{"a": {"b": 1}}', "nan", ".inf",
    "2020-01-01", "!!timestamp x", "&a [*a]", '"\\u0000"', "0.1", '""',
)  # fmt: skip
VALUE = re.compile(r"(?<=[:\[,\s])(\"[^\"\n]*\"|-?\d[\w.+-]*|[A-Za-z_][\w.-]*)(?=[\s,\]}])")

Read = Callable[[Path], Any]
Kinds = dict[str, tuple[str, bytes, Read]]


def good_files(folder: Path) -> Kinds:
    """A good file of each kind: its name, its bytes and what reads it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=80).round(2), "s": rng.choice(list("xyz"), 80)})
    for suffix in ("csv", "parquet", "xlsx"):
        ts.write(frame, folder / f"table.{suffix}")
    model = ts.MarginalSynthesizer(components=2).fit(frame, seed=0)
    model.save(folder / "model.tabsynth")
    ts.Schema.infer(frame).to_json(folder / "schema.json")
    ledger = PrivacyLedger(1.0, 1e-6, path=folder / "data.ledger")
    del ledger
    (folder / "gates.yaml").write_text(
        "gates:\n  shape_error: {max: 2, above_floor: 1.5}\n  utility_gap: {min: 0.1}\nunmeasured: skip\n"
        "waivers:\n- {gate: shape_error, who: A, why: pilot, until: 2031-01-31}\n"
    )
    (folder / "rules.yaml").write_text(
        "columns:\n  age: {kind: numeric, low: 0, high: 99, decimals: 0}\n  sex: {kind: categorical, values: [f, m]}\n"
    )
    (folder / "pipeline.yaml").write_text(EXAMPLE)
    suggest({"a": folder / "table.csv", "b": folder / "table.parquet"}).accept().save(folder / "plan.yaml")
    report = ts.evaluate(frame, model.sample(80, seed=0), seed=0, quick=True)
    report.save(folder / "report.json")
    create_keys(folder / "key.pem", folder / "key.pub")
    waivers = [{"gate": gate, "who": "A", "why": "a test", "until": "2130-01-01"} for gate in ("audit", "evaluation")]
    about = {"name": "x", "date": "2026-01-01"}
    build(folder / "bundle.zip", frame, about=about, key=folder / "key.pem", waivers=waivers)
    build(folder / "release", frame, about=about, key=folder / "key.pem", waivers=waivers)
    (folder / "signature").write_bytes((folder / "release/manifest.sig").read_bytes())

    def read_signature(path: Path) -> Any:
        (folder / "release/manifest.sig").write_bytes(path.read_bytes())
        return verified(folder / "release")

    def verified(path: Path) -> Any:
        found = verify(path, folder / "key.pub")
        if not found.ok:
            raise ts.errors.InputError(found.failures[0])
        return found

    readers: dict[str, tuple[str, Read]] = {
        "model": ("model.tabsynth", lambda path: ts.load(path).sample(3, seed=0)),
        "schema": ("schema.json", ts.Schema.from_json),
        "ledger": ("data.ledger", lambda path: PrivacyLedger.open(path).verify()),
        "gates": ("gates.yaml", read_gates),
        "rules": ("rules.yaml", lambda path: generate(read_yaml(path, "rules"), 3, seed=0)),
        "pipeline": ("pipeline.yaml", read_job),
        "plan": ("plan.yaml", Plan.load),
        "report": ("report.json", lambda path: Report.from_dict(read_json(path, "report")).to_html()),
        "csv": ("table.csv", ts.read),
        "parquet": ("table.parquet", ts.read),
        "xlsx": ("table.xlsx", ts.read),
        "bundle": ("bundle.zip", verified),
        "signature": ("signature", read_signature),
    }
    return {kind: (name, (folder / name).read_bytes(), read) for kind, (name, read) in readers.items()}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy."""
    way = int(rng.integers(6))
    if way >= 3 and b"\0" not in data[:4000]:
        text = data.decode()
        found = list(VALUE.finditer(text))
        if found and way < 5:
            one = found[int(rng.integers(len(found)))]
            value = VALUES[int(rng.integers(len(VALUES)))]
            return (text[: one.start()] + value + text[one.end() :]).encode()
        lines = text.splitlines(keepends=True)
        place = int(rng.integers(len(lines)))
        again = lines[:place] + [lines[place]] * 2 + lines[place + 1 :]
        return "".join(lines[:place] + lines[place + 1 :] if rng.random() < 0.5 else again).encode()
    out = bytearray(data)
    place = int(rng.integers(len(out)))
    length = int(rng.choice([1, 2, 8, 100]))
    if way == 0:
        for at in rng.integers(len(out), size=length):
            out[at] ^= 1 << int(rng.integers(8))
    elif way == 1:
        del out[place : place + length if rng.random() < 0.7 else None]
    else:
        out[place:place] = out[place : place + length] if rng.random() < 0.5 else rng.bytes(length)
    return bytes(out)


def _raise_timeout(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


def outcome_of(read: Read, path: Path) -> str:
    """What became of reading a mutant: ``read``, ``refused``, or the foreign exception."""
    signal.alarm(SECONDS)
    try:
        read(path)
    except ts.TabsynthError:
        return "refused"
    except TimeoutError:
        return "hang"
    except Exception as error:  # the very thing that is looked for
        where = traceback.extract_tb(error.__traceback__)
        ours = next(
            (part for part in reversed(where) if "tabsynth" in part.filename or "/release/" in part.filename), where[-1]
        )
        return f"{type(error).__name__} at {Path(ours.filename).name}:{ours.lineno}: {error}"[:200]
    finally:
        signal.alarm(0)
    return "read"


def run_mutants(count: int, first: int, kinds: list[str] | None = None) -> dict[str, Counter[str]]:
    """What became of the mutants of each kind, by outcome; foreign exceptions have the number of their mutant."""
    found: dict[str, Counter[str]] = {}
    signal.signal(signal.SIGALRM, _raise_timeout)
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, (file, data, read) in good_files(Path(name)).items():
            if kinds and kind not in kinds:
                continue
            outcomes = found[kind] = Counter[str]()
            path = Path(name) / "mutants" / file
            path.parent.mkdir(exist_ok=True)
            for number in range(first, first + count):
                mutant = mutate(data, np.random.default_rng([number, len(data)]))
                if mutant == data:
                    continue
                path.write_bytes(mutant)
                outcomes[outcome_of(read, path)] += 1
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="20 mutants of each kind")
    parser.add_argument("--count", type=int, default=1_000, help="mutants of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--kinds", nargs="+")
    args = parser.parse_args()
    began = time.monotonic()
    found = run_mutants(20 if args.short else args.count, args.first, args.kinds)
    figures = {}
    for kind, outcomes in found.items():
        foreign = {text: count for text, count in outcomes.items() if text not in ("read", "refused", "hang")}
        for text, count in sorted(foreign.items(), key=lambda item: -item[1]):
            print(f"{kind}: {count}x {text}")
        figures[kind] = {key: outcomes[key] for key in ("read", "refused", "hang")} | {"foreign": sum(foreign.values())}
    print(json.dumps({"seconds": round(time.monotonic() - began), "kinds": figures}, indent=1))


if __name__ == "__main__":
    main()
