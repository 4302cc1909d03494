"""Step 3: the choice of protection, the meaning of epsilon in words, the expected loss of quality, and the ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabsynth.budget_planning.assumptions import PLACEHOLDER_VALUES
from tabsynth.errors import InputError, PrivacyError
from tabsynth.privacy.accounting.accountant import compose_epsilon
from tabsynth.privacy.accounting.explanation import explain_gaussian, gaussian_bounds
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy, default_delta, gaussian_mu
from tabsynth.privacy.domains import has_open_facts
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.web.project import LEDGER, PLAN, Project, read_state, write_state

EPSILONS = (0.1, 0.3, 1.0, 3.0, 10.0)
WORDS = {0.1: "Very strong", 0.3: "Strong", 1.0: "Standard", 3.0: "Moderate", 10.0: "Weak"}

MEASURE_SHARE = 0.2
"""Share of the budget (as rho) for measuring facts that the schema does not declare."""

SLACK = 0.98
"""Of rho: the measurement of categories adds a small delta, which the ledger turns into epsilon."""


@dataclass(frozen=True)
class Protection:
    """The choice of step 3.

    Attributes:
        epsilon: The epsilon of this release; None without differential privacy.
        budget: The most that all releases of this table may spend together.
        rows_public: Approximate number of rows, if it may be published.
        unit: ``row``, or the column that identifies persons.
        rows_per_person: Rows used of each person, if persons are protected.
    """

    epsilon: float | None = None
    budget: float | None = None
    rows_public: int | None = None
    unit: str = "row"
    rows_per_person: int | None = None

    @classmethod
    def of(cls, project: Project) -> Protection:
        """Return the project's choice; without one, no protection."""
        return cls(**project.state.get("protection") or {})

    @property
    def private(self) -> bool:
        """Whether the fit is differentially private."""
        return self.epsilon is not None

    @property
    def delta(self) -> float:
        """Delta of the ledger and of every fit."""
        return default_delta(self.rows_public)

    def claim(self) -> Privacy:
        """Return the guarantee in all, for the audit."""
        assert self.epsilon is not None
        return Privacy(self.epsilon, self.delta)

    def save(self, project: Project) -> None:
        """Keep the choice, after checking it against the ledger.

        Raises:
            PrivacyError: The budget does not allow it, or the ledger is for another unit.
        """
        if self.epsilon is not None:
            Privacy(self.epsilon, self.delta, unit=self.unit, rows_per_person=self.rows_per_person)
            _check_ledger(self, project.path(LEDGER))
        project.update(protection=asdict(self))


def _check_ledger(protection: Protection, path: Path) -> None:
    epsilon, budget = protection.epsilon or 0.0, protection.budget or 0.0
    if not path.exists():
        if budget < epsilon:
            raise PrivacyError(f"the budget of the table, {budget:g}, is smaller than the epsilon, {epsilon:g}")
        return
    ledger = PrivacyLedger.open(path)
    if ledger.unit != protection.unit:
        raise PrivacyError(f"the ledger of this table protects each {ledger.unit!r}; keep that choice")
    if not ledger.epsilon_with(_event(gaussian_mu(epsilon, ledger.delta), SLACK)) <= ledger.epsilon_budget:
        raise PrivacyError(
            f"the budget of this table is {ledger.epsilon_budget:g}, of which {ledger.epsilon():.2g} is spent; "
            "choose a smaller epsilon"
        )


def ledger_balance(project: Project) -> dict[str, float] | None:
    """Return the budget, spending and charges of the ledger; None before the first charge."""
    path = project.path(LEDGER)
    if not path.exists():
        return None
    ledger = PrivacyLedger.open(path)
    return {"budget": ledger.epsilon_budget, "spent": ledger.epsilon(), "charges": len(ledger), "delta": ledger.delta}


def declare(schema: Schema) -> Schema:
    """Return the schema with every column declared; the user has confirmed each of them.

    Identifiers lose their pattern, which was inferred from the rows.
    """
    columns: dict[str, Column] = {}
    for name, column in schema.items():
        changes: dict[str, Any] = {}
        if isinstance(column, Identifier) and column.origin == "inferred":
            changes["pattern"] = None
        if isinstance(column, Numeric) and column.origin == "inferred":
            changes |= {"decimals": None, "csv_format": None}
        columns[name] = schema.replace(name, **changes)[name]
    return Schema(columns, schema.constraints)


def needs_measurement(schema: Schema) -> bool:
    """Return whether a private fit needs facts that the schema does not declare."""
    return any(has_open_facts(column) for column in schema.values())


def measurement_privacy(protection: Protection, ledger: Path) -> Privacy:
    """Return the part of the budget that measures open facts."""
    return _part(protection, ledger, MEASURE_SHARE)


def fit_privacy(protection: Protection, ledger: Path, *, measured: bool) -> Privacy:
    """Return the rest of the budget, or the whole."""
    return _part(protection, ledger, 1 - MEASURE_SHARE if measured else 1.0)


def _part(protection: Protection, path: Path, share: float) -> Privacy:
    assert protection.epsilon is not None
    if not path.exists():
        PrivacyLedger(protection.budget or protection.epsilon, protection.delta, unit=protection.unit, path=path)
    delta = PrivacyLedger.open(path).delta
    mu = gaussian_mu(protection.epsilon, delta)
    return Privacy(
        compose_epsilon([_event(mu, SLACK * share)], delta),
        delta,
        unit=protection.unit,
        rows_per_person=protection.rows_per_person,
        ledger=path,
    )


def _event(mu: float, share: float) -> dict[str, Any]:
    """Return the event of a share of a budget, as rho."""
    return {"type": "GaussianDpEvent", "noise_multiplier": 1 / (mu * math.sqrt(share))}


def explain(epsilon: float, rows_public: int | None, unit: str) -> dict[str, Any]:
    """Return how many of 100 members an attacker recognises at most at an epsilon, and a sentence for it."""
    delta = default_delta(rows_public)
    mu = gaussian_mu(epsilon, delta)
    recognised = 100 * gaussian_bounds(epsilon, delta, mu)[0]
    return {
        "epsilon": epsilon,
        "word": WORDS.get(epsilon, ""),
        "recognised": f"{recognised:.1f}",
        "dots": max(1, round(recognised)),
        "text": explain_gaussian(epsilon, delta, mu, "row" if unit == "row" else "person"),
    }


def planning_schema(schema: Schema) -> Schema:
    """Return the public columns with neutral names, and placeholders for facts that are not declared."""
    columns: dict[str, Column] = {}
    for column in schema.values():
        if isinstance(column, (Identifier, Text)):
            continue
        name = f"c{len(columns) + 1}"
        if isinstance(column, (Numeric, Datetime)):
            columns[name] = Numeric(name=name, low=0, high=100, decimals=1)
        elif isinstance(column, Boolean):
            columns[name] = Boolean(name=name)
        else:
            declared = len(column.values) if isinstance(column, Categorical) and column.values else PLACEHOLDER_VALUES
            columns[name] = Categorical(name=name, values=tuple(f"v{i}" for i in range(max(declared, 2))))
    if not columns:
        raise InputError("every column is a key or free text: there is nothing to learn")
    return Schema(columns)


def simulate_plan(project: Project) -> None:
    """Simulate the expected error at each epsilon, and keep it in the project. No real row is read."""
    from tabsynth.budget_planning.simulation import plan_privacy

    schema = planning_schema(project.schema)
    rows = round_rows(project.state["rows"])
    plan = plan_privacy(schema, rows, epsilons=EPSILONS, progress=False).to_dict()
    write_state(project.path(PLAN), {"key": plan_key(project), "plan": plan})


def plan_key(project: Project) -> str:
    """Return the key of everything that a plan depends on; another key makes it stale."""
    kinds = ",".join(f"{c.kind}{len(getattr(c, 'values', None) or ())}" for c in project.schema.values())
    return f"{round_rows(project.state['rows'])}:{kinds}"


def read_plan(project: Project) -> dict[float, dict[str, Any]] | None:
    """Return the expected errors of pairs by epsilon, with the width of their bars; None without a current plan."""
    kept: Mapping[str, Any] = read_state(project.path(PLAN))
    if kept.get("key") != plan_key(project):
        return None
    expected: dict[float, float] = {}
    least = math.inf
    for one in sorted(kept["plan"]["expected"], key=lambda one: one["epsilon"]):
        least = min(
            least, one["pairs"]
        )  # a larger budget never reduces the quality, even if the noise of the simulation suggests it
        expected[one["epsilon"]] = least
    top = max(*expected.values(), 1e-9)
    return {epsilon: {"error": error, "bar": round(100 * error / top)} for epsilon, error in expected.items()}


def round_rows(rows: int) -> int:
    """Return the number of rows to one significant digit."""
    return max(10, int(float(f"{rows:.1g}")))
