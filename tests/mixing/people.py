"""Two or more registers of the same invented people, with slips of the pen, and linked rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

SYLLABLES = [
    "an",
    "bel",
    "cor",
    "da",
    "el",
    "fin",
    "gra",
    "hu",
    "is",
    "jo",
    "ka",
    "lin",
    "mo",
    "ne",
    "ol",
    "pe",
    "ra",
    "su",
]
FIELDS = ("given", "family", "street", "postcode", "born", "number")


def registers(sizes: Mapping[str, int], shared: int, seed: int = 0, slips: float = 0.15) -> dict[str, pd.DataFrame]:
    """Registers of which the first ``shared`` people are in all; column ``who`` holds the truth."""
    rng = np.random.default_rng(seed)
    total = shared + sum(size - shared for size in sizes.values())
    people = pd.DataFrame(
        {
            "given": words(rng, total, 2, 150),
            "family": words(rng, total, 3, 400),
            "street": [
                f"{a} {b} street" for a, b in zip(words(rng, total, 2, 200), words(rng, total, 2, 90), strict=True)
            ],
            "postcode": rng.integers(1000, 1400, total).astype(str),
            "born": (pd.Timestamp("1930-01-01") + pd.to_timedelta(rng.integers(0, 27_000, total), unit="D")).astype(
                str
            ),
            "number": (10_000_000 + rng.choice(80_000_000, total, replace=False)).astype(str),
        }
    )
    out, next_one = {}, shared
    for source, size in sizes.items():
        who = np.r_[np.arange(shared), np.arange(next_one, next_one + size - shared)]
        next_one += size - shared
        who = rng.permutation(who)
        frame = people.iloc[who].reset_index(drop=True)
        for name in FIELDS:
            frame[name] = [slip(value, rng) if rng.random() < slips else value for value in frame[name]]
            frame.loc[rng.random(size) < 0.03, name] = None
        out[source] = frame.assign(who=who)
    return out


def words(rng: np.random.Generator, n: int, syllables: int, different: int) -> np.ndarray:
    pool = np.unique(["".join(rng.choice(SYLLABLES, syllables)) for _ in range(different)])
    return rng.choice(pool, n)


def slip(value: str, rng: np.random.Generator) -> str:
    """One letter or digit other, gone, or in its neighbour's place."""
    place = int(rng.integers(len(value) - 1))
    kind = rng.integers(3)
    if kind == 0:
        pool = "0123456789" if value[place].isdigit() else "abcdefghijklmnopqrstuvwxyz"
        return value[:place] + str(rng.choice(list(pool))) + value[place + 1 :]
    if kind == 1:
        return value[:place] + value[place + 1 :]
    return value[:place] + value[place + 1] + value[place] + value[place + 2 :]


def f1(frames: Mapping[str, pd.DataFrame], entities: Mapping[str, np.ndarray]) -> float:
    """Pairwise F1 of the entities: over pairs of records of different sources."""
    both = [frame.assign(entity=entities[source], source=source) for source, frame in frames.items()]
    every = pd.concat(both)[["source", "who", "entity"]]

    def pairs(by: list[str]) -> float:
        held = every.groupby([*by, "source"]).size().unstack(fill_value=0)
        return float((held.sum(axis=1) ** 2 - (held**2).sum(axis=1)).sum() / 2)

    return 2 * pairs(["who", "entity"]) / (pairs(["who"]) + pairs(["entity"]))
