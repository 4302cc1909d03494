"""What a private fit can be expected to cost, before anything is spent: by simulation, from public facts alone.

A table is made by rule from the schema, with one factor behind all columns; every mechanism is fitted to it at every
epsilon, and its rows are compared with the made ones. Nothing of a real table is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.progress import bar
from tabsynth.common.validation import checked_seed
from tabsynth.errors import InputError
from tabsynth.privacy.budget import Privacy, default_delta
from tabsynth.privacy.public_schema import private_schema
from tabsynth.rules.generate import generate
from tabsynth.schema.columns import Categorical, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.registry import create

MECHANISMS: dict[str, tuple[str, dict[str, Any]]] = {
    "marginal": ("marginal", {}),
    "tree": ("marginal", {"method": "tree"}),
    "masked": ("masked", {}),
}
"""What can be planned for: a name, the synthesizer's kind and its options."""

EPSILONS = (0.1, 0.3, 1.0, 3.0, 10.0)

MOST_ROWS = 100_000
"""Larger tables are simulated at this size; their errors are smaller than those shown."""

FACTOR = 0.6
"""How strongly the made columns follow the factor behind them."""

BINS = 20
PAIRS = 300

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Expected:
    """What one mechanism is expected to reach at one epsilon.

    Attributes:
        mechanism: A name of ``MECHANISMS``, or ``sampling`` for a fresh sample of the same size without privacy.
        epsilon: The epsilon, infinite for ``sampling``.
        columns: Mean total variation distance of single columns, from 0 to 1.
        pairs: Mean total variation distance of pairs of columns.
        seconds: CPU seconds of fit and sample.
    """

    mechanism: str
    epsilon: float
    columns: float
    pairs: float
    seconds: float


@dataclass(frozen=True)
class PrivacyPlan:
    """Expected errors by mechanism and epsilon.

    Attributes:
        rows: Rows of the table to come.
        simulated: Rows of the made table.
        delta: The delta of every fit.
        rows_per_person: How many rows a person has at most.
        floor: What a fresh sample without privacy would show.
        expected: Every mechanism at every epsilon.
    """

    rows: int
    simulated: int
    delta: float
    rows_per_person: int
    floor: Expected
    expected: tuple[Expected, ...]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data."""
        out = asdict(self)
        out["floor"]["epsilon"] = None
        return out

    def best(self, epsilon: float) -> Expected:
        """The mechanism of the least error of pairs at an epsilon."""
        return min((one for one in self.expected if one.epsilon == epsilon), key=lambda one: one.pairs)


def plan_privacy(
    schema: Schema,
    rows: int,
    *,
    epsilons: Sequence[float] = EPSILONS,
    delta: float | None = None,
    mechanisms: Sequence[str] = ("marginal", "tree"),
    rules: Mapping[str, Any] | str | Path | None = None,
    table: pd.DataFrame | None = None,
    rows_per_person: int = 1,
    seed: int = 0,
    progress: bool | None = None,
) -> PrivacyPlan:
    """Expected error against epsilon, by simulation.

    Args:
        schema: The declared schema of the table to come.
        rows: About how many rows it has: a public number.
        epsilons: The budgets to try.
        delta: The delta of every fit; by default that of ``Privacy`` for so many rows.
        mechanisms: Names of ``MECHANISMS``.
        rules: Rules that the made table follows (see ``tabsynth.rules``); by default one factor is behind all columns.
        table: A public table of the same schema, to simulate on instead.
        rows_per_person: How many rows a person has at most, where persons are protected.
        seed: Seed of everything.
        progress: Whether to show a bar; by default one on a terminal, for work of over two seconds.

    Raises:
        InputError: A mechanism is unknown, or the number of rows is none.
        PrivacyError: The schema does not declare all that a private fit needs, or a budget makes no sense.
    """
    private_schema(schema)
    unknown = [name for name in mechanisms if name not in MECHANISMS]
    if unknown or not mechanisms:
        raise InputError(f"mechanisms must be of {', '.join(MECHANISMS)}, not {unknown or 'none'}")
    if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 10:
        raise InputError(f"rows must be a whole number of at least 10, not {rows!r}")
    delta = default_delta(int(rows)) if delta is None else delta
    budgets = [
        Privacy(float(epsilon), delta, n_public=int(rows), insecure_seed=checked_seed(seed)) for epsilon in epsilons
    ]
    size = min(int(rows), MOST_ROWS)
    made = imagined(schema, size, rules, seed) if table is None else table
    fresh = made.sample(len(made), replace=True, random_state=seed)
    floor = Expected("sampling", math.inf, *_distances(made, fresh, schema), 0.0)
    found = []
    with bar(len(mechanisms) * len(budgets), "simulate", "fit", progress) as shown:
        for name in mechanisms:
            for privacy in budgets:
                found.append(_tried(name, privacy, made, schema, rows_per_person, seed))
                shown.update()
    return PrivacyPlan(int(rows), len(made), delta, rows_per_person, floor, tuple(found))


def imagined(schema: Schema, rows: int, rules: Mapping[str, Any] | str | Path | None, seed: int) -> pd.DataFrame:
    """A table made by rule; without rules, cells are put in an order that follows one factor behind all columns."""
    made = generate(schema, rows, rules=rules, seed=seed)
    if rules is not None or schema.constraints:
        return made
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=rows)
    for name, column in schema.items():
        if isinstance(column, (Identifier, Text)):
            continue
        # Iman and Conover (1982): the column's own values, in the order of a number that follows the factor.
        follows = FACTOR * factor + math.sqrt(1 - FACTOR**2) * rng.normal(size=rows)
        order = made[name].astype(object).map(str).argsort(kind="stable")
        if isinstance(column, (Numeric, Datetime)):
            order = pd.Series(pd.to_numeric(made[name], errors="coerce")).argsort(kind="stable")
        put = np.empty(rows, np.int64)
        put[np.argsort(follows)] = np.asarray(order)
        made[name] = made[name].iloc[put].reset_index(drop=True)
    return made


def from_cardinalities(sizes: Sequence[int]) -> Schema:
    """A schema of columns of categories, for a table of which only their numbers of values are known."""
    if not sizes or any(size < 2 for size in sizes):
        raise InputError(f"every column needs at least two values, not {list(sizes)}")
    columns = {
        f"c{i + 1}": Categorical(name=f"c{i + 1}", values=tuple(f"v{value:04d}" for value in range(size)))
        for i, size in enumerate(sizes)
    }
    return Schema(columns)


def _tried(
    name: str, privacy: Privacy, made: pd.DataFrame, schema: Schema, rows_per_person: int, seed: int
) -> Expected:
    """Fit one mechanism to the made table and compare."""
    kind, options = MECHANISMS[name]
    began = time.process_time()
    own, unit = schema, privacy
    if rows_per_person > 1:  # a column of persons, each with as many rows as are allowed
        person = Identifier(name="_person", role="person")
        own = Schema({**schema.columns, "_person": person}, schema.constraints)
        made = made.assign(_person=np.arange(len(made)) // rows_per_person)
        unit = Privacy(
            privacy.epsilon,
            privacy.delta,
            unit="_person",
            rows_per_person=rows_per_person,
            n_public=privacy.n_public,
            insecure_seed=privacy.insecure_seed,
        )
    model = create(kind, **options).fit(made, schema=own, privacy=unit, progress=False)
    drawn = model.sample(len(made), seed=seed, progress=False)
    seconds = time.process_time() - began
    return Expected(name, privacy.epsilon, *_distances(made, drawn, schema), round(seconds, 2))


def _distances(real: pd.DataFrame, drawn: pd.DataFrame, schema: Schema) -> tuple[float, float]:
    """Mean total variation distance of single columns and of pairs."""
    learned = [name for name, column in schema.items() if not isinstance(column, (Identifier, Text))]
    codes = [_codes(real[name], drawn[name], isinstance(schema[name], (Numeric, Datetime))) for name in learned]
    pairs = list(combinations(range(len(codes)), 2))
    if len(pairs) > PAIRS:
        pairs = [pairs[i] for i in np.random.default_rng(0).choice(len(pairs), PAIRS, replace=False)]
    single = float(np.mean([_distance(real_codes, own) for real_codes, own, _ in codes]))
    joint = []
    for a, b in pairs:
        (first, second, _), (third, fourth, size) = codes[a], codes[b]
        joint.append(_distance(first * size + third, second * size + fourth))
    return round(single, 5), round(float(np.mean(joint)) if joint else single, 5)


def _codes(real: pd.Series, drawn: pd.Series, on_line: bool) -> tuple[Codes, Codes, int]:
    """A column's values in both tables as small numbers, lines in bins; and how many there are."""
    if on_line:
        first, second = (
            pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan) for values in (real, drawn)
        )
        edges = np.unique(np.nanquantile(first, np.linspace(0, 1, BINS + 1)[1:-1]))
        found = [
            np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x, side="right")) for x in (first, second)
        ]
        return found[0], found[1], len(edges) + 2
    both = pd.concat([real.astype(object), drawn.astype(object)])
    codes = pd.factorize(both.map(str).where(both.notna(), ""))[0].astype(np.int64)
    return codes[: len(real)], codes[len(real) :], int(codes.max()) + 1


def _distance(real: Codes, drawn: Codes) -> float:
    """Total variation distance."""
    cells = np.unique(np.concatenate([real, drawn]), return_inverse=True)[1]
    size = int(cells.max()) + 1
    one, two = (np.bincount(part, minlength=size) / len(part) for part in np.split(cells, [len(real)]))
    return float(np.abs(one - two).sum() / 2)
