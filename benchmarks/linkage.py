"""How well and at what cost records are linked: two registers of 5000 people, and as many invented ones as you like.

The truth is read only to score what was found. Of the generated registers, people get names, streets and towns drawn by
frequencies that fall as 1 / rank, and a part of the cells gets a slip of the pen or goes missing. The peak of memory is
that of the whole process, the two tables included.

    python benchmarks/linkage.py                     the Febrl registers by every engine, then 100,000 invented
    python benchmarks/linkage.py --rows 1000000      a million records against a million
    python benchmarks/linkage.py --short             500 against 500
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _common import DATA

from tabsynth.mixing.linkage.link import link
from tabsynth.mixing.linkage.spec import LinkSpec

FIELDS = ("given_name", "surname", "street", "town", "postcode", "born")


def main() -> None:
    """Print a line of JSON for each linkage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="only invented registers, with so many records each")
    parser.add_argument("--overlap", type=float, default=0.5, help="the share of people who are in both")
    parser.add_argument("--short", action="store_true", help="only 500 invented records each")
    parser.add_argument("--output", type=Path, help="write the lines to a file as well")
    args = parser.parse_args()
    lines = []
    rows = 500 if args.short else args.rows or 100_000
    if not args.short and not args.rows and (DATA / "febrl4a.csv.gz").is_file():
        frames = {s: pd.read_csv(DATA / f"febrl4{s}.csv.gz", dtype=str) for s in "ab"}
        truth = {s: f.pop("rec_id").str.extract(r"rec-(\d+)-")[0].to_numpy(np.int64) for s, f in frames.items()}
        every = tuple(frames["a"].columns)
        for engine in ("splink", "clk"):
            for fields in (every, tuple(name for name in every if name != "soc_sec_id")):
                lines.append(measured("febrl4", engine, frames, truth, fields))
        lines.append(measured("febrl4", "exact", frames, truth, ("soc_sec_id",)))
    frames, truth = registers(rows, args.overlap, seed=0)
    lines.append(measured(f"invented, {args.overlap:.0%} in both", "splink", frames, truth, FIELDS))
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measured(
    name: str, engine: str, frames: dict[str, pd.DataFrame], truth: dict[str, np.ndarray], fields: tuple[str, ...]
) -> str:
    """Link, score against the truth, and print."""
    began, cpu = time.perf_counter(), time.process_time()
    found = link(frames, {}, LinkSpec(engine, fields))  # type: ignore[arg-type]
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    a, b = (pd.Series(found.entities[s], index=truth[s]) for s in "ab")
    both = np.intersect1d(a.index, b.index)
    right = int((a[both].to_numpy() == b[both].to_numpy()).sum())
    linked = len(np.intersect1d(a.to_numpy(), b.to_numpy()))
    unit = 1e9 if sys.platform == "darwin" else 1e6
    line = json.dumps(
        {
            "table": name,
            "engine": engine,
            "rows": [len(frame) for frame in frames.values()],
            "fields": len(fields),
            "f1": round(2 * right / (linked + len(both)), 5),
            "precision": round(right / max(linked, 1), 5),
            "recall": round(right / len(both), 5),
            "review": found.report["review"],
            "together": found.report.get("together"),
            "pairs_compared": sum(rule["pairs"] for rule in found.report.get("blocking", [])) or None,
            "seconds": round(took, 1),
            "cpu_seconds": round(cpu, 1),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2),
        }
    )
    print(line, flush=True)
    return line


def registers(rows: int, overlap: float, seed: int) -> tuple[dict[str, pd.DataFrame], dict[str, np.ndarray]]:
    """Two registers of invented people, and each record's person."""
    rng = np.random.default_rng(seed)
    shared = int(rows * overlap)
    people = 2 * rows - shared
    given, family, street, town = (names(rng, count) for count in (2_000, 20_000, 30_000, 3_000))
    towns = drawn(rng, len(town), people)
    values = {
        "given_name": given[drawn(rng, len(given), people)],
        "surname": family[drawn(rng, len(family), people)],
        "street": np.char.add(
            np.char.add(rng.integers(1, 200, people).astype(str), " "), street[drawn(rng, len(street), people)]
        ),
        "town": town[towns],
        "postcode": (2000 + towns).astype(str),
        "born": (np.datetime64("1930-01-01") + rng.integers(0, 30_000, people).astype("timedelta64[D]")).astype(str),
    }
    frames, truth = {}, {}
    for source, members in (("a", np.arange(rows)), ("b", np.arange(rows - shared, people))):
        members = rng.permutation(members)
        columns = {}
        for name, value in values.items():
            text = value[members]
            slips = np.flatnonzero(rng.random(rows) < 0.08)
            # Text without a Python object for each cell takes a tenth of the memory.
            column = pd.Series(text, dtype="string[pyarrow]")
            column.iloc[slips] = [slip(str(one), rng) for one in text[slips]]
            column[rng.random(rows) < 0.03] = pd.NA
            columns[name] = column
        frames[source], truth[source] = pd.DataFrame(columns), members
    return frames, truth


def names(rng: np.random.Generator, count: int) -> np.ndarray:
    """Different words of two to four syllables."""
    syllables = np.array([a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "ar", "en", "il", "on")])
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(syllables, rng.integers(2, 5)))] = None
    return np.array(list(found))


def drawn(rng: np.random.Generator, ranks: int, n: int) -> np.ndarray:
    """Ranks, the first the most frequent."""
    share = 1 / (np.arange(ranks) + 10.0)
    return rng.choice(ranks, n, p=share / share.sum())


def slip(text: str, rng: np.random.Generator) -> str:
    """The text with one letter gone, doubled, changed or in its neighbour's place."""
    place = int(rng.integers(max(len(text) - 1, 1)))
    kind = int(rng.integers(4))
    middle = ("", text[place] * 2, chr(97 + int(rng.integers(26))), text[place + 1 : place + 2] + text[place])[kind]
    return text[:place] + middle + text[place + (2 if kind == 3 else 1) :]


if __name__ == "__main__":
    main()
