"""Random tables of every dtype through every public verb: no exception outside `tabsynth.errors` may escape.

Each case has its own seed: `--first SEED --cases 1` repeats one.

    python benchmarks/fuzz.py                   10,000 cases
    python benchmarks/fuzz.py --short           20 cases
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import json
import tempfile
import time
import traceback
import uuid
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dateutil.tz
import numpy as np
import pandas as pd
import pyarrow as pa

import tabsynth as ts
from tabsynth.rules import generate

Values = Callable[[np.random.Generator, int], Any]


def _pick(values: list[Any]) -> Values:
    return lambda rng, n: pd.Series([values[i] for i in rng.integers(len(values), size=n)], dtype=object)


def _arrow(kind: pa.DataType, values: list[Any]) -> Values:
    def make(rng: np.random.Generator, n: int) -> Any:
        cells = pa.array([values[i] for i in rng.integers(len(values), size=n)], kind)
        return pd.Series(pd.arrays.ArrowExtensionArray(cells))

    return make


def _series(dtype: str, make: Callable[[np.random.Generator, int], Any]) -> Values:
    return lambda rng, n: pd.Series(make(rng, n)).astype(dtype)


DAY = pd.Timedelta("1D")
DATES = [datetime.date(2020, 1, day) for day in range(1, 9)]
COLUMNS: dict[str, Values] = {
    "int8": _series("int8", lambda rng, n: rng.integers(-100, 100, n)),
    "int64": _series("int64", lambda rng, n: rng.integers(0, 5000, n)),
    "big int": _series("int64", lambda rng, n: rng.integers(2**60, 2**62, n)),
    "uint64": _series("uint64", lambda rng, n: rng.integers(2**63, 2**64, n, dtype=np.uint64)),
    "Int64": _series("Int64", lambda rng, n: rng.integers(0, 9, n)),
    "float32": _series("float32", lambda rng, n: rng.normal(size=n)),
    "float64": _series("float64", lambda rng, n: np.exp(9 * rng.normal(size=n))),
    "infinite": _series("float64", lambda rng, n: np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n))),
    "constant": _series("float64", lambda rng, n: np.zeros(n)),
    "all missing": _series("float64", lambda rng, n: np.full(n, np.nan)),
    "missing objects": _pick([None]),
    "complex": _series("complex128", lambda rng, n: rng.normal(size=n)),
    "bool": _series("bool", lambda rng, n: rng.random(n) < 0.5),
    "boolean": _series("boolean", lambda rng, n: rng.random(n) < 0.5),
    "text": _pick(["a", "b", "", " ", "NA", "\x00", "é", "=cmd()", "<script>"]),
    "unique text": lambda rng, n: pd.Series([f"{i}-{rng.integers(10**9)}" for i in range(n)]),
    "long text": lambda rng, n: pd.Series([" ".join(["word"] * int(rng.integers(1, 60))) for _ in range(n)]),
    "string": _series("string", lambda rng, n: rng.choice(["x", "y"], n)),
    "category": lambda rng, n: pd.Series(pd.Categorical(rng.choice(["u", "v"], n), ordered=bool(rng.random() < 0.5))),
    "interval": lambda rng, n: pd.Series(pd.cut(np.append(rng.random(n), 0.5), 4)[:n]),
    "period": lambda rng, n: pd.Series(pd.period_range("2020-01", periods=12, freq="M")[rng.integers(12, size=n)]),
    "timedelta": lambda rng, n: pd.Series(pd.to_timedelta(rng.integers(0, 99, n), unit="h")),
    "datetime": lambda rng, n: pd.Series(pd.to_datetime(rng.integers(0, 2 * 10**9, n), unit="s")),
    "zoned": lambda rng, n: pd.Series(pd.to_datetime(rng.integers(0, 2 * 10**9, n), unit="s", utc=True)),
    "date": _pick(DATES),
    "far date": _pick([datetime.date(1, 1, 1), datetime.date(9999, 12, 31), *DATES]),
    "time": _pick([datetime.time(hour) for hour in range(9)]),
    "decimal": _pick([decimal.Decimal("1.10"), decimal.Decimal("2.25"), decimal.Decimal("NaN")]),
    "uuid": lambda rng, n: pd.Series([uuid.UUID(bytes=rng.bytes(16)) for _ in range(n)]),
    "bytes": _pick([b"a", b"b"]),
    "numpy bytes": lambda rng, n: pd.Series(list(np.array([b"a", b"b"])[rng.integers(2, size=n)])),
    "lists": _pick([[1], [2, 3], []]),
    "dicts": _pick([{"a": 1}, {}]),
    "controls": _pick(["\x1b[31mred", "a\rb", "\x07", "\u202egnp", "zero\u200bwidth", "\u2066x", "\x9b1m"]),
    "half a surrogate": _pick(["\ud800", "a"]),
    "huge int": _pick([2**70, 1]),
    "float16": _series("float16", lambda rng, n: rng.normal(size=n)),
    "zones": _pick([pd.Timestamp("2020-01-01", tz=zone) for zone in ("UTC", "Asia/Tokyo")]),
    "offsets": _pick([pd.offsets.Day(2)]),
    "sets": _pick([{1}, {2}]),
    "mixed": _pick([1, "a", 2.5, None, True, datetime.date(2020, 1, 1)]),
    "money": lambda rng, n: pd.Series([f"${value:,.2f}" for value in rng.gamma(2, 999, n)]),
    "sparse": lambda rng, n: pd.Series(pd.arrays.SparseArray(rng.integers(0, 2, n))),
    "arrow int": _arrow(pa.int32(), [1, 2, None]),
    "arrow string": _arrow(pa.string(), ["p", "q", None]),
    "arrow decimal": _arrow(pa.decimal128(9, 2), [decimal.Decimal("1.25"), None]),
    "arrow time": _arrow(pa.time64("us"), [datetime.time(3), None]),
    "arrow list": _arrow(pa.list_(pa.int64()), [[1], None]),
    "arrow dictionary": _arrow(pa.dictionary(pa.int32(), pa.string()), ["r", "s"]),
    "zone of dateutil": _pick(
        [pd.Timestamp("2020-01-01", tz=dateutil.tz.gettz("Europe/Paris")) + k * DAY for k in range(9)]
    ),
    "named offset": _pick(
        [datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "CEST"))]
    ),
    "huge decimal": _pick([decimal.Decimal(10**20 + k) for k in range(9)]),
    "arrow date": _arrow(pa.date32(), [*DATES, None]),
    "arrow half": _arrow(pa.float16(), [np.float16(1.5), np.float16(2), None]),
    "arrow timestamp": _arrow(pa.timestamp("ns", "UTC"), [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), None]),
}
NAMES = ["x", "", " ", "a,b", "ü", "<script>", "=1", "x\ny", "select", "_source", 7, "very long name " * 20]
NAMES += ["\x1b]0;title\x07", "a\rb", "\u202egnp", "zero\u200bwidth", "=cmd|' /C calc'!A0", "x\x9b1m"]
CONDITIONS = [
    1,
    "a",
    None,
    (0, 1),
    (None, 5),
    ("a", "b"),
    [1, "a"],
    [],
    np.nan,
    np.inf,
    (1, 2, 3),
    object(),
    np.arange(3),
]


def random_frame(rng: np.random.Generator) -> pd.DataFrame:
    """A frame of 0 to 60 rows and 1 to 4 columns, some of whose cells are missing."""
    rows = int(rng.choice([0, 1, 2, 12, 40, 60], p=[0.03, 0.03, 0.04, 0.2, 0.4, 0.3]))
    columns, names = [], []
    for _ in range(int(rng.integers(1, 5))):
        made = COLUMNS[str(rng.choice(list(COLUMNS)))](rng, rows)
        if rng.random() < 0.25 and made.dtype.kind not in "iub":
            made = made.mask(pd.Series(rng.random(rows) < 0.2))
        columns.append(made.reset_index(drop=True))
        names.append(f"c{len(names)}" if rng.random() < 0.8 else NAMES[int(rng.integers(len(NAMES)))])
    frame = pd.concat(columns, axis=1)
    frame.columns = pd.Index(names, dtype=object)
    return frame


def _accepted(frame: pd.DataFrame) -> list[int]:
    """The positions of the columns that a schema can be inferred of, fewer than all, with different names."""
    found: list[int] = []
    for at in range(frame.shape[1]):
        try:
            ts.Schema.infer(frame.iloc[:, [*found, at]])
        except ts.TabsynthError:
            continue
        except Exception:  # the verbs report it
            continue
        found.append(at)
    return found if len(found) < frame.shape[1] else []


def run_case(seed: int, folder: Path) -> dict[str, str]:
    """The exceptions outside the tree of one case, by verb; and what every verb came to."""
    rng = np.random.default_rng(seed)
    frame = random_frame(rng)
    outcome: dict[str, str] = {}

    def attempt(verb: str, work: Callable[[], Any]) -> Any:
        try:
            value = work()
        except ts.TabsynthError:
            outcome[verb] = "refused"
            return None
        except Exception as error:  # the very thing that is looked for
            where = traceback.extract_tb(error.__traceback__)[-1]
            outcome[verb] = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"[:300]
            return None
        outcome[verb] = "ok"
        return value

    kind = rng.choice(["marginal", "marginal", "marginal", "masked"])
    new = ts.MaskedSynthesizer(epochs=1) if kind == "masked" else ts.MarginalSynthesizer(components=2)
    model = attempt("fit", lambda: new.fit(frame, seed=1, progress=False))
    if model is None and (kept := _accepted(frame)):  # most tables have a column that is refused
        frame = frame.iloc[:, kept]
        model = attempt("fit without the refused columns", lambda: new.fit(frame, seed=1, progress=False))
    suffix = str(rng.choice([".csv", ".parquet", ".xlsx", ".feather", ".jsonl"]))
    attempt(f"write {suffix}", lambda: ts.write(frame, folder / f"real{suffix}"))
    attempt("infer", lambda: ts.Schema.infer(frame).to_json(folder / "schema.json"))
    if model is None:
        return outcome
    synthetic = attempt("sample", lambda: model.sample(20, seed=2, progress=False))
    name = frame.columns[int(rng.integers(frame.shape[1]))]
    value = CONDITIONS[int(rng.integers(len(CONDITIONS)))]
    if rng.random() < 0.4:
        value = frame[name].iloc[int(rng.integers(len(frame)))] if frame.columns.is_unique else None
    attempt("sample given", lambda: model.sample(5, given={name: value}, seed=3, progress=False))
    attempt("save", lambda: model.save(folder / "model.tabsynth"))
    if outcome["save"] == "ok":
        loaded = attempt("load", lambda: ts.load(folder / "model.tabsynth"))
        attempt("card", lambda: json.dumps(loaded.card(), default=str))
    if rng.random() < 0.5:
        attempt("impute", lambda: model.impute(frame, seed=4))
    if synthetic is not None:
        attempt(f"write synthetic {suffix}", lambda: ts.write(synthetic, folder / f"new{suffix}"))
        if rng.random() < 0.08:
            attempt("evaluate", lambda: ts.evaluate(frame, synthetic, quick=True, seed=0).to_html())
        if rng.random() < 0.05:
            attempt("audit", lambda: ts.audit(frame, synthetic, frame.iloc[: len(frame) // 2], seed=0))
    declared: Any = {"columns": {"v": {"kind": "numeric", "low": value, "high": 5}}}
    attempt("generate", lambda: generate(declared, 3, seed=0))
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="20 cases")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no further case after so many")
    asked = parser.parse_args()
    cases = 20 if asked.short else asked.cases
    warnings.simplefilter("ignore")
    began, verbs, foreign, done = time.monotonic(), Counter[str](), {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.first, asked.first + cases):
            if time.monotonic() - began > 60 * asked.minutes:
                break
            done += 1
            for verb, end in run_case(seed, Path(folder)).items():
                verbs[f"{verb}: {end if end in ('ok', 'refused') else 'foreign exception'}"] += 1
                if end not in ("ok", "refused"):
                    foreign.setdefault(f"{verb}: {end}", []).append(seed)
    for text, seeds in sorted(foreign.items(), key=lambda item: -len(item[1])):
        print(f"{len(seeds)}x (seed {seeds[0]}) {text}")
    figures = {"cases": done, "calls": sum(verbs.values()), "foreign": sum(len(seeds) for seeds in foreign.values())}
    print(json.dumps(figures | {"seconds": round(time.monotonic() - began), "verbs": dict(sorted(verbs.items()))}))


if __name__ == "__main__":
    main()
