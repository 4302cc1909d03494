"""Expected error of private fits by epsilon, computed and simulated from public facts.

A table is simulated from the schema, with one latent factor behind all columns; every mechanism is fitted to it at
every epsilon, and its sample is compared with that table. No real table is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from tabsynth.budget_planning.assumptions import complete_schema
from tabsynth.budget_planning.expected_errors import (
    ExpectedErrors,
    StructureSavings,
    expected_errors,
    structure_savings,
)
from tabsynth.budget_planning.table_distances import mean_distances
from tabsynth.codec.column_values import numeric_values
from tabsynth.common.progress import progress_bar
from tabsynth.common.validation import validate_seed
from tabsynth.errors import InputError, quote
from tabsynth.privacy.budget import Privacy, default_delta
from tabsynth.privacy.public_schema import private_schema
from tabsynth.rules.generate import generate
from tabsynth.schema.columns import Categorical, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.registry import create

MECHANISMS: dict[str, tuple[str, dict[str, Any]]] = {
    "marginal": ("marginal", {}),
    "masked": ("masked", {}),
}
"""Mechanism name to synthesizer kind and options."""

EPSILONS = (0.1, 0.3, 1.0, 3.0, 10.0)

MAX_SIMULATED_ROWS = 100_000
"""Larger tables are simulated at this size."""

FACTOR_LOADING = 0.6
"""Correlation of each simulated column with the latent factor."""


@dataclass(frozen=True)
class Expected:
    """Expected error of one mechanism at one epsilon.

    Attributes:
        mechanism: A key of ``MECHANISMS``, or ``sampling`` for a bootstrap sample without privacy.
        epsilon: The epsilon, infinite for ``sampling``.
        columns: Mean total variation distance of single columns, from 0 to 1. One fit is simulated for each epsilon;
            where a larger epsilon erred more by chance, both get the mean.
        pairs: Mean total variation distance of pairs of columns, likewise.
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
        rows: Rows of the planned table.
        simulated: Rows of the simulated table.
        delta: The delta of every fit.
        rows_per_person: Maximum rows per person.
        floor: The error of a bootstrap sample without privacy.
        expected: Every mechanism at every epsilon.
        epsilons: The budgets.
        errors: The expected error of each column and pair at each epsilon, from the noise of the marginal mechanism.
        structure: Budget that the schema's constraints save; None if they save none.
        assumed: Facts that the schema leaves open, as they were assumed.
    """

    rows: int
    simulated: int
    delta: float
    rows_per_person: int
    floor: Expected
    expected: tuple[Expected, ...]
    epsilons: tuple[float, ...]
    errors: tuple[ExpectedErrors, ...]
    structure: StructureSavings | None
    assumed: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "rows": self.rows,
            "simulated": self.simulated,
            "delta": self.delta,
            "rows_per_person": self.rows_per_person,
            "floor": asdict(self.floor) | {"epsilon": None},
            "expected": [asdict(one) for one in self.expected],
            "errors": [
                {"epsilon": epsilon, **one.to_dict()} for epsilon, one in zip(self.epsilons, self.errors, strict=True)
            ],
            "structure": None if self.structure is None else self.structure.to_dict(),
            "assumed": list(self.assumed),
        }

    def best(self, epsilon: float) -> Expected:
        """Return the mechanism with the smallest error of pairs at an epsilon."""
        return min((one for one in self.expected if one.epsilon == epsilon), key=lambda one: one.pairs)


def plan_privacy(
    schema: Schema,
    rows: int,
    *,
    epsilons: Sequence[float] = EPSILONS,
    delta: float | None = None,
    mechanisms: Sequence[str] = ("marginal",),
    rules: Mapping[str, Any] | str | Path | None = None,
    table: pd.DataFrame | None = None,
    rows_per_person: int = 1,
    seed: int = 0,
    progress: bool | None = None,
) -> PrivacyPlan:
    """Simulate the expected error of private fits by epsilon.

    Args:
        schema: The schema of the planned table; facts that it leaves open are assumed, and the plan lists them.
        rows: Its approximate number of rows: a public number.
        epsilons: The budgets to try.
        delta: The delta of every fit; by default that of ``Privacy`` for this number of rows.
        mechanisms: Keys of ``MECHANISMS``.
        rules: Rules for the simulated table (see ``tabsynth.rules``); by default, one factor correlates all columns.
        table: A public table of the same schema, to use instead of a simulated one.
        rows_per_person: Maximum rows per person, if people are protected.
        seed: Seed of the simulation.
        progress: Show a progress bar; by default on a terminal.

    Raises:
        InputError: A mechanism is unknown, or ``rows`` is below 10.
        PrivacyError: The schema has what no private fit accepts, or a budget is invalid.
    """
    assumed: tuple[str, ...] = ()
    if table is None:
        schema, assumed = complete_schema(schema)
    private_schema(schema)
    unknown = [name for name in mechanisms if name not in MECHANISMS]
    if unknown or not mechanisms:
        raise InputError(f"mechanisms: unknown {quote(unknown) or None}; choose from {', '.join(MECHANISMS)}")
    if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 10:
        raise InputError(f"rows must be an integer of at least 10, not {rows!r}")
    delta = default_delta(int(rows)) if delta is None else delta
    budgets = [
        Privacy(float(epsilon), delta, n_public=int(rows), insecure_seed=validate_seed(seed)) for epsilon in epsilons
    ]
    size = min(int(rows), MAX_SIMULATED_ROWS)
    simulated = simulate_table(schema, size, rules, seed) if table is None else table
    resampled = simulated.sample(len(simulated), replace=True, random_state=seed)
    floor = Expected("sampling", math.inf, *mean_distances(simulated, resampled, schema), 0.0)
    expected = []
    with progress_bar(len(mechanisms) * len(budgets), "simulate", "fit", progress) as shown:
        for name in mechanisms:
            for privacy in budgets:
                expected.append(_evaluate_mechanism(name, privacy, simulated, schema, rows_per_person, seed))
                shown.update()
    facts = (schema, int(rows), [privacy.epsilon for privacy in budgets], delta, rows_per_person)
    return PrivacyPlan(
        rows=int(rows),
        simulated=len(simulated),
        delta=delta,
        rows_per_person=rows_per_person,
        floor=floor,
        expected=_decreasing(expected),
        epsilons=tuple(privacy.epsilon for privacy in budgets),
        errors=expected_errors(*facts),
        structure=structure_savings(*facts),
        assumed=assumed,
    )


def simulate_table(schema: Schema, rows: int, rules: Mapping[str, Any] | str | Path | None, seed: int) -> pd.DataFrame:
    """Return a table generated by rules; without rules, columns are correlated through one latent factor."""
    simulated = generate(schema, rows, rules=rules, seed=seed)
    if rules is not None or schema.constraints:
        return simulated
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=rows)
    for name, column in schema.items():
        if isinstance(column, (Identifier, Text)):
            continue
        # Iman and Conover (1982): the column's own values, in the order of a number that follows the factor.
        follows = FACTOR_LOADING * factor + math.sqrt(1 - FACTOR_LOADING**2) * rng.normal(size=rows)
        if isinstance(column, (Numeric, Datetime)):
            order = numeric_values(column, simulated[name]).argsort(kind="stable")
        else:
            order = simulated[name].astype(object).map(str).to_numpy().argsort(kind="stable")
        permuted = np.empty(rows, np.int64)
        permuted[np.argsort(follows)] = order
        simulated[name] = simulated[name].iloc[permuted].reset_index(drop=True)
    return simulated


def from_cardinalities(sizes: Sequence[int]) -> Schema:
    """Return a schema of categorical columns with these numbers of values."""
    if not sizes or any(size < 2 for size in sizes):
        raise InputError(f"every column needs at least two values, not {list(sizes)}")
    columns = {
        f"c{i + 1}": Categorical(name=f"c{i + 1}", values=tuple(f"v{value:04d}" for value in range(size)))
        for i, size in enumerate(sizes)
    }
    return Schema(columns)


def _evaluate_mechanism(
    name: str, privacy: Privacy, simulated: pd.DataFrame, schema: Schema, rows_per_person: int, seed: int
) -> Expected:
    """Fit one mechanism to the simulated table and compare its sample."""
    kind, options = MECHANISMS[name]
    began = time.process_time()
    own, unit = schema, privacy
    if rows_per_person > 1:  # every person has the maximum number of rows
        person = Identifier(name="_person", role="person")
        own = Schema({**schema.columns, "_person": person}, schema.constraints)
        simulated = simulated.assign(_person=np.arange(len(simulated)) // rows_per_person)
        unit = Privacy(
            privacy.epsilon,
            privacy.delta,
            unit="_person",
            rows_per_person=rows_per_person,
            n_public=privacy.n_public,
            insecure_seed=privacy.insecure_seed,
        )
    model = create(kind, **options).fit(simulated, schema=own, privacy=unit, progress=False)
    drawn = model.sample(len(simulated), seed=seed, progress=False)
    seconds = time.process_time() - began
    return Expected(name, privacy.epsilon, *mean_distances(simulated, drawn, schema), round(seconds, 2))


def _decreasing(expected: Sequence[Expected]) -> tuple[Expected, ...]:
    """Fit errors that do not rise with epsilon to those of each mechanism's single fits (isotonic regression)."""
    out = {}
    for name in dict.fromkeys(one.mechanism for one in expected):
        own = sorted((one.epsilon, place) for place, one in enumerate(expected) if one.mechanism == name)
        places = [place for _, place in own]
        fitted = [
            isotonic_regression(errors, increasing=False).x.round(5).tolist()
            for errors in ([expected[at].columns for at in places], [expected[at].pairs for at in places])
        ]
        for place, columns, pairs in zip(places, *fitted, strict=True):
            out[place] = replace(expected[place], columns=columns, pairs=pairs)
    return tuple(out[place] for place in range(len(expected)))
