"""Recurring differences under privacy: discovery, charges, and sensitivity on neighbouring tables."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.count_source import NoisyCounts
from tabsynth.synthesizers.marginal.private_rows import PrivateRows, public_grids
from tabsynth.synthesizers.marginal.recurring_differences import (
    candidate_pairs,
    difference_cells,
    measure_recurring_differences,
    search_share,
)
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

AMOUNT = {"kind": "numeric", "low": 0, "high": 100_000, "decimals": 0}
SCHEMA = Schema.from_dict(
    {
        "columns": {
            "bill": {**AMOUNT, "low": -1000},
            "paid": AMOUNT,
            "rate": {**AMOUNT, "decimals": 2},
            "age": {**AMOUNT, "high": 100},
            "far": {**AMOUNT, "low": 200_000, "high": 900_000},
        }
    }
)
ROWS = 8000


def table(equal: float = 0.3, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    bill, paid = (np.rint(rng.gamma(2, 3000, rows)).clip(0, 100_000) for _ in range(2))
    paid = np.where(rng.random(rows) < equal, bill, paid)
    other = {"rate": rng.random(rows), "age": rng.integers(0, 99, rows), "far": rng.integers(200_000, 900_000, rows)}
    return pd.DataFrame({"bill": bill, "paid": paid, **other})


def fitted(frame: pd.DataFrame, epsilon: float = 2.0) -> MarginalSynthesizer:
    model = MarginalSynthesizer(components=64)
    return model.fit(frame, schema=SCHEMA, privacy=Privacy(epsilon, 1e-6, insecure_seed=1), progress=False)


@pytest.fixture(scope="module")
def model() -> MarginalSynthesizer:
    return fitted(table())


def same(frame: pd.DataFrame) -> float:
    return float((frame["bill"] == frame["paid"]).mean())


def test_numbers_that_are_often_the_same_stay_so(model: MarginalSynthesizer) -> None:
    assert {own: difference.partner for own, difference in model.relations_.differences.items()} == {"paid": "bill"}
    assert same(model.sample(seed=1)) == pytest.approx(0.3, abs=0.08)
    assert model.ledger_.epsilon() <= 2.0
    recorded = [entry.purpose for entry in model.ledger_.entries]
    assert any(purpose.startswith("equal numbers in 1 pairs") for purpose in recorded), recorded
    assert any(purpose.startswith("differences of 1 pairs") for purpose in recorded), recorded


def test_numbers_that_are_seldom_the_same_are_not_tied() -> None:
    free = fitted(table(equal=0.0))
    assert free.relations_.differences == {}
    assert same(free.sample(seed=1)) < 0.02


def test_nothing_is_spent_where_noise_would_hide_every_tie() -> None:
    few = fitted(table(rows=100), epsilon=0.5)
    assert few.relations_.differences == {}
    assert not any("equal numbers" in entry.purpose for entry in few.ledger_.entries)


def test_only_lines_of_one_lattice_that_meet_are_compared(model: MarginalSynthesizer) -> None:
    assert candidate_pairs(SCHEMA, public_grids(SCHEMA), model.codec_) == [("bill", "paid")]


def test_the_search_costs_less_in_a_long_table() -> None:
    source = NoisyCounts(0.02, PrivacyLedger(9.0, 1e-6), Noise.insecure(1))
    few, many = (search_share(3, rows, source) for rows in (3000.0, 30_000.0))
    assert few == pytest.approx(0.01)
    assert many < few / 10
    # Four standard deviations of noise stay below the least share of equal rows that is kept.
    assert 4 * source.sigma(many) == pytest.approx(0.025 * 30_000, rel=1e-4)
    assert search_share(3, 100.0, source) == 0
    assert search_share(0, 30_000.0, source) == 0


def test_cells_of_a_difference_are_public_and_leave_no_gap(model: MarginalSynthesizer) -> None:
    bill, paid = (model.codec_.coders[name] for name in ("bill", "paid"))
    low, high = difference_cells(bill, paid)  # type: ignore[arg-type]
    assert np.all(low <= high)
    assert np.all((low[1:] - high[:-1]) <= 1)  # only between zero and the least step
    assert low[0] <= -101_000
    assert high[-1] >= 101_000
    assert ((low == 0) & (high == 0)).sum() == 1


class Recording(NoisyCounts):
    """Record the exact counts, and report every pair as equal."""

    recorded: ClassVar[list[Any]] = []

    def counts(self, reads: Any, shares: Any, purpose: str, columns: Any) -> list[Any]:
        exact = [read() for read in reads]
        self.recorded.extend(exact)
        return [np.full(len(own), 1e4) if len(own) == 1 else own.astype(float) for own in exact]


@pytest.mark.parametrize("row", [{"bill": 5000, "paid": 5000}, {"bill": 10**9, "paid": -5}, {"bill": 7, "paid": 90}])
def test_a_row_changes_every_histogram_by_one_cell_at_most(model: MarginalSynthesizer, row: dict[str, int]) -> None:
    base = table(rows=300)
    more = pd.concat([base, base.iloc[:1].assign(bill=row["bill"], paid=row["paid"])], ignore_index=True)
    seen: list[list[Any]] = []
    for frame in (base, more):
        grids, noise = public_grids(SCHEMA), Noise.insecure(1)
        rows = PrivateRows(frame, RuleSet.of(SCHEMA), grids, Privacy(1.0, 1e-6), noise)
        source = Recording(50.0, PrivacyLedger(9.0, 1e-6), noise)
        source.recorded.clear()
        measure_recurring_differences(SCHEMA, grids, model.codec_, rows.line, 300.0, source)
        seen.append(list(source.recorded))
    assert len(seen[0]) == 2
    for one, other in zip(*seen, strict=True):
        assert np.abs(one - other).sum() <= 1
