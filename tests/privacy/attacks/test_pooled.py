"""Attacks on all real rows: exact p-values, and each hears the leak that it is made for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.privacy.attacks.pooled.results import PooledResults, attack_pooled_rows
from tabsynth.privacy.attacks.pooled.scan_statistic import rank_labels, scan_p_value, scan_statistic
from tabsynth.schema import Schema

Draw = Callable[[int, int], pd.DataFrame]
NUMBERS = ["age", "income", "score"]


def attacked(train: pd.DataFrame, made: pd.DataFrame, held: pd.DataFrame, schema: Schema) -> PooledResults:
    real, synthetic, other = encode_tables([train, made.reset_index(drop=True), held.reset_index(drop=True)], schema)
    return attack_pooled_rows(real, other, synthetic, np.random.default_rng(0))


def p_values(results: PooledResults) -> dict[str, float]:
    return {result.name: 1.0 if result.p is None else result.p for result in results.results}


def test_the_p_value_of_a_scan_is_that_of_random_orders() -> None:
    rng, members, controls, depth = np.random.default_rng(0), 60, 40, 25
    member = np.arange(members + controls) < members
    drawn = np.array([scan_statistic(rng.permutation(member)[:depth], 0.6)[0] for _ in range(4000)])
    for level in (0.5, 0.1, 0.02):
        at = float(np.quantile(drawn, 1 - level))
        # Four deviations of a share of 4,000: 3e-5 by chance, and the seed is fixed.
        share = float((drawn >= at - 1e-9).mean())
        assert scan_p_value(at, members, controls, depth) == pytest.approx(share, abs=4 * (level / 4000) ** 0.5)


def test_a_scan_leaves_out_records_without_evidence() -> None:
    score = np.zeros(100)
    score[:7] = 1.0
    labels = rank_labels(score, np.arange(100) < 50, np.random.default_rng(0).permutation(100))
    assert labels.tolist() == [True] * 7
    chance = np.prod([(50 - i) / (100 - i) for i in range(7)])
    assert scan_p_value(scan_statistic(labels, 0.5)[0], 50, 50, 7) == pytest.approx(chance)
    assert scan_p_value(0.0, 50, 50, 0) == 1.0


def test_fresh_rows_raise_no_alarm(draw: Draw, schema: Schema) -> None:
    alarms = []
    for seed in range(20):
        rows = draw(1500, 100 + seed)
        p = p_values(attacked(rows[:500], rows[500:1000], rows[1000:], schema))
        alarms += [value for value in p.values() if value <= 0.02]
    assert len(alarms) <= 4  # 60 tests at 2 %: more than 4 once in 140, and the seeds are fixed


def test_noisy_copies_are_heard_by_their_nearness(draw: Draw, schema: Schema) -> None:
    rows = draw(6000, 41)
    copies = rows[:60].copy()
    spread = rows[NUMBERS].quantile(0.9) - rows[NUMBERS].quantile(0.1)
    noise = np.random.default_rng(0).normal(size=(60, 3))
    copies[NUMBERS] = copies[NUMBERS].to_numpy() + 0.01 * spread.to_numpy() * noise
    p = p_values(attacked(rows[:2000], pd.concat([copies, rows[4000:5940]]), rows[2000:4000], schema))
    assert p["nearest_pairs"] < 1e-4
    assert p["shared_cells"] > 0.01


def test_recombined_rows_are_heard_by_their_cells(draw: Draw, schema: Schema) -> None:
    rows = draw(6000, 42)
    one, other = rows[:60].reset_index(drop=True), rows[60:120].reset_index(drop=True)
    mixed = other.assign(income=one["income"], score=one["score"])
    p = p_values(attacked(rows[:2000], pd.concat([mixed, rows[4000:5940]]), rows[2000:4000], schema))
    assert p["shared_cells"] < 1e-4


def test_interpolated_rows_are_heard_by_their_ends() -> None:
    rows = pd.DataFrame(np.random.default_rng(0).lognormal(size=(3000, 3)), columns=list("abc"))
    schema = Schema.from_dict({"columns": {name: {"kind": "numeric"} for name in "abc"}})
    one, other = rows[:15].to_numpy(), rows[20:35].to_numpy()
    mixed = pd.DataFrame(one + 0.4 * (other - one), columns=list("abc"))
    results = attacked(rows[:1000], pd.concat([mixed, rows[2000:2985]]), rows[1000:2000], schema)
    p = p_values(results)
    assert p["interpolated_rows"] < 1e-5
    ends = np.flatnonzero(results.scores["interpolated_rows"])
    assert {int(results.real.member_rows[end]) for end in ends} == {*range(15), *range(20, 35)}
