"""A small declared table and its neighbours, for the tests of what a private fit may show."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from tabsynth.schema import Schema

ROWS = 60

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "key": {"kind": "identifier"},
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "pay": {"kind": "numeric", "low": 0, "high": 5000, "decimals": 2, "nullable": True},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "code": {"kind": "categorical", "values": [1, 2, 3], "nullable": True, "role": "target"},
            "same": {"kind": "categorical", "values": ["x", "y"]},
            "smoker": {"kind": "boolean", "nullable": True},
            "seen": {"kind": "datetime", "low": "2020-01-01", "high": "2021-12-31", "resolution": "D"},
            "note": {"kind": "text", "nullable": True},
        }
    }
)


def table() -> pd.DataFrame:
    """Sixty rows, one column of each kind, one of them constant."""
    rng = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "key": [f"K{i:04d}" for i in range(ROWS)],
            "age": rng.integers(18, 90, ROWS),
            "pay": np.round(rng.lognormal(6, 1, ROWS).clip(0, 5000), 2),
            "sex": rng.choice(["f", "m"], ROWS),
            "code": rng.integers(1, 4, ROWS),
            "same": ["x"] * ROWS,
            "smoker": rng.random(ROWS) < 0.3,
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, ROWS), "D"),
            "note": ["a note"] * ROWS,
        }
    )


def _row(**cells: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """One row more: the first row again, with other cells."""

    def add(frame: pd.DataFrame) -> pd.DataFrame:
        columns = {}
        for name in frame.columns:
            values = frame[name].tolist()
            columns[name] = [*values, cells.get(name, values[0])]
        return pd.DataFrame(columns)

    return add


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """A CSV reader's view of a table in which one code is a word: the whole column becomes text."""
    more = _row(code="n/k")(frame)
    return more.assign(code=more["code"].map(str))


CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "duplicate row": _row(),
    "row count crosses a threshold": lambda frame: pd.concat([frame] + [frame.iloc[:1]] * 4, ignore_index=True),
    "row count becomes round": lambda frame: frame.iloc[:-1].reset_index(drop=True),
    "null in a nullable number": _row(pay=None),
    "undeclared null in a number": _row(age=None),
    "undeclared null in a category": _row(sex=None),
    "undeclared null in a date": _row(seen=None),
    "null in a nullable boolean": _row(smoker=None),
    "null in a nullable category": _row(code=None),
    "null in an identifier": _row(key=None),
    "null in text": _row(note=None),
    "new category": _row(sex="other sex"),
    "new code": _row(code=99),
    "broken constant": _row(same="y"),
    "undeclared value in a constant": _row(same="z"),
    "extreme value": _row(age=10**9),
    "extreme below": _row(pay=-1e300),
    "infinite value": _row(pay=np.inf),
    "more decimals": _row(pay=1.23456789),
    "a fraction among whole numbers": _row(age=41.5),
    "text among numbers": _row(age="forty"),
    "a number among text": _row(sex=3.5),
    "a list in a cell": _row(sex=["f", "m"]),
    "a type that flips the column": _as_text,
    "a date far away": _row(seen=pd.Timestamp("1700-01-01")),
    "a date as text": _row(seen="2020-05-05"),
    "a date that is none": _row(seen="yesterday"),
    "a word for a boolean": _row(smoker="maybe"),
    "a long note": _row(note="word " * 500),
    "a key of another form": _row(key="!"),
}
"""What turns the table into a neighbour of it, or into one of the worst kind."""


def neighbours() -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Every pair, by name."""
    for name, change in CHANGES.items():
        yield name, table(), change(table())
