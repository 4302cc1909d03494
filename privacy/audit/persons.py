"""Records of an audit whose tables have several rows of a person."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.inputs import Inputs


def select_records(inputs: Inputs, seed: int, notes: list[str]) -> tuple[Integers, Integers]:
    """Return the row numbers of the training table and of the holdout that are attacked: one of each person.

    The tests assume that members and controls are exchangeable. If whole persons are held out, persons are, but rows
    are not, because rows of a person are alike: the tests would find leaks where there are none. If rows are held out,
    rows are exchangeable.

    Args:
        inputs: The tables, with a holdout.
        seed: Seed of the choice.
        notes: Notes of the report, to which the choice is added.
    """
    assert inputs.holdout is not None
    frames = (inputs.train, inputs.holdout)
    every = (np.arange(len(frames[0])), np.arange(len(frames[1])))
    column = next(iter(inputs.schema.with_role("person")), None)
    if column is None or not any(frame[column].dropna().duplicated().any() for frame in frames):
        return every
    shared = len(set(frames[0][column].dropna()) & set(frames[1][column].dropna()))
    if shared:
        notes.append(
            f"{shared:,} persons have training rows and held-out rows, so records are rows, and a person with several "
            "rows may be recognised more easily than stated. Hold out whole persons for an audit by person."
        )
        return every
    rng = np.random.default_rng([seed, 11])
    chosen = (_one_row_each(frames[0][column], rng), _one_row_each(frames[1][column], rng))
    notes.append(
        f"Records are persons ({column!r}): one row of each, chosen at random, is attacked ({len(chosen[0]):,} of "
        f"{len(frames[0]):,} training rows), because rows of a person depend on each other. A person with several rows "
        "may be recognised more easily than a single row."
    )
    return chosen


def _one_row_each(persons: pd.Series, rng: np.random.Generator) -> Integers:
    """Return the ascending number of a random row of each person; a row without a person is its own."""
    order = rng.permutation(len(persons))
    shuffled = persons.iloc[order]
    return np.sort(order[~shuffled.duplicated().to_numpy() | shuffled.isna().to_numpy()])
