"""Attacks: no detection under the null, and detection of copied rows by each attack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.privacy.attacks.copies import count_kmap
from tabsynth.privacy.attacks.membership import score_exposure, score_targets
from tabsynth.privacy.attacks.membership_game import split_targets
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, find_nearest
from tabsynth.privacy.attacks.rate_tests import holm_correction
from tabsynth.privacy.attacks.run_all import AttackResults, run_attacks
from tabsynth.privacy.audit.evidence import rank_records
from tabsynth.schema import Schema

Draw = Callable[[int, int], pd.DataFrame]
SECRETS, GROUPS = ["sex", "ill", "score"], ["sex"]


def attacked(
    train: pd.DataFrame, made: pd.DataFrame, holdout: pd.DataFrame, schema: Schema, seed: int = 0
) -> AttackResults:
    tables = encode_tables([frame.reset_index(drop=True) for frame in (train, made, holdout)], schema)
    return run_attacks(*tables, SECRETS, GROUPS, seed)


def test_a_bootstrap_of_the_training_rows_is_found_by_every_attack(draw: Draw, schema: Schema) -> None:
    rows = draw(3000, 1)
    train, holdout = rows[:1500], rows[1500:]
    found = attacked(train, train.sample(1500, replace=True, random_state=0), holdout, schema)
    adjusted = holm_correction([item.p or 0.0 for item in found.tests])
    missed = [item.name for item, p in zip(found.tests, adjusted, strict=True) if p > 0.05]
    assert missed == ["interpolated_rows"]
    groups = {item.group for item in found.tests}
    assert groups == {"membership", "singling_out", "linkability", "inference", "copies"}


def test_codes_of_rare_categories_do_not_reveal_the_table_of_a_row() -> None:
    # Most values occur in one row; three tables of different sizes have other rows of the same population.
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"place": [f"p{i}" for i in rng.permutation(60_000)[:2900]], "x": rng.normal(size=2900)})
    known = Schema.from_dict({"columns": {"place": {"kind": "categorical"}, "x": {"kind": "numeric"}}})
    parts = [part.reset_index(drop=True) for part in (rows[:1200], rows[1200:2300], rows[2300:])]
    train, made, holdout = encode_tables(parts, known)
    game = split_targets(train, made, holdout, rng)
    scores = score_targets(game, rng).scores["classifier"]
    auc, (low, high) = delong_auc(game.is_member, scores)
    assert low < 0.5 < high, auc
    again = encode_tables([pd.concat(parts[::-1], ignore_index=True)], known)
    assert again[0].encoding.labels == train.encoding.labels


@pytest.mark.slow
def test_fresh_rows_raise_no_more_alarms_than_the_level(draw: Draw, schema: Schema) -> None:
    runs, alarms, single, low = 25, 0, Counter[str](), Counter[str]()
    for seed in range(runs):
        rows = draw(600, seed)
        found = attacked(rows[:200], rows[200:400], rows[400:], schema, seed).tests
        alarms += bool((holm_correction([item.p or 0.0 for item in found]) <= 0.05).any())
        single.update(item.name for item in found if item.p is not None and item.p <= 0.05)
        low.update(item.name for item in found if item.interval[0] > item.floor)
    assert alarms <= binom.ppf(0.999, runs, 0.05)
    assert max(single.values(), default=0) <= binom.ppf(0.9999, runs, 0.05)
    assert max(low.values(), default=0) <= binom.ppf(0.9999, runs, 0.05)


@pytest.mark.parametrize("repeated", [0, pytest.param(12, marks=pytest.mark.slow)])
def test_a_generator_that_copies_some_rows_is_caught_on_the_records_it_copied(
    repeated: int, draw: Draw, schema: Schema
) -> None:
    rows = draw(9_000, 2)
    train, holdout, fresh = rows[:3_000], rows[3_000:6_000], rows[6_000:]
    copied = np.random.default_rng(0).permutation(3_000)[:150]  # 5 %
    met = holdout[:repeated]  # rows that repeat in the population meet a synthetic row without having been copied
    found = attacked(train, pd.concat([train.iloc[copied], fresh[: 2_850 - repeated], met]), holdout, schema)
    named = {item.name: item for item in found.tests}
    pointed = named["neighbourhood_exposed_tpr"]
    assert pointed.interval[0] > 30
    assert 8 < pointed.floor < 20  # a tenth of all is pointed at, 1 % of others may be mistaken
    if repeated:
        return
    assert named["copies_exact"].interval[0] > 4
    exposed = found.attacks.sets["exposed"]
    scores = found.attacks.scores["neighbourhood"]
    first = exposed[np.argsort(-scores[exposed])][:50]
    assert set(found.game.member_rows[first[first < len(found.game.members)]]) <= set(copied)
    assert np.mean(first < len(found.game.members)) == 1.0


def test_nearest_is_exact(draw: Draw, schema: Schema) -> None:
    left, right = encode_tables([draw(300, 3), draw(200, 4)], schema)
    space = DistanceSpace.of(right)
    a, b = space.points(left), space.points(right)
    distance, index = find_nearest(a, b, 3)
    slow = np.sqrt(((a[:, None, :].astype(float) - b[None].astype(float)) ** 2).sum(axis=2))
    assert np.allclose(distance, np.sort(slow, axis=1)[:, :3], atol=1e-5)
    assert np.allclose(np.take_along_axis(slow, index, 1), distance)
    assert (find_nearest(a, a, 1)[0] == 0).all()
    assert find_nearest(a, b[:2], 3)[0].shape == (300, 3)


def test_categories_of_many_codes_keep_their_distance() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"code": [f"c{i}" for i in range(500)], "x": rng.normal(size=500)})
    schema = Schema.from_dict({"columns": {"code": {"kind": "categorical"}, "x": {"kind": "numeric"}}})
    (table,) = encode_tables([frame], schema)
    points = DistanceSpace.of(table).points(table, [0])
    apart = ((points[:50, None] - points[None, :50]) ** 2).sum(axis=2)[~np.eye(50, dtype=bool)]
    assert points.shape[1] <= 64
    assert apart.mean() == pytest.approx(1.0, abs=0.05)
    assert apart.min() > 0.4


def test_kmap_counts_groups(schema: Schema, draw: Draw) -> None:
    rows = draw(400, 5)
    train, made, holdout = encode_tables([rows[:200], rows[:200].copy(), rows[200:].reset_index(drop=True)], schema)
    game = split_targets(train, made, holdout, np.random.default_rng(0))
    counts = count_kmap(game, ["town", "sex"])
    assert sum(counts["synthetic"].values()) == pytest.approx(100)
    assert counts["unique_met"] == 100.0
    towns = pd.Series(game.members.codes[:, 4]).astype(str) + pd.Series(game.members.codes[:, 3]).astype(str)
    assert counts["unique"] == int((towns.value_counts() == 1).sum())


@pytest.mark.parametrize("held", [90, 500])
def test_the_worst_records_are_those_of_all_training_rows(schema: Schema, draw: Draw, held: int) -> None:
    """With few held-out rows only some members are attacked; the others are measured by the same scale."""
    rows = draw(900, 6)
    train, holdout = rows[:300], rows[400 : 400 + held]
    made = pd.concat([train[:40], rows[300:400]])
    found = attacked(train, made, holdout, schema)
    game = found.game
    assert (len(game.members) < 300) == (held == 90)
    gap, isolation = score_exposure(game, found.attacks, game.train)
    count = len(game.members)
    assert gap[game.member_rows] == pytest.approx(found.attacks.exposure[:count], abs=1e-6)
    assert isolation[game.member_rows] == pytest.approx(found.attacks.isolation[:count], abs=1e-6)
    worst = rank_records(found)
    assert [record["row"] for record in worst] == np.argsort(-gap, kind="stable")[: len(worst)].tolist()
    mistaken = [float((found.attacks.exposure[count:] >= gap[record["row"]]).mean()) for record in worst]
    assert [record["false_positive_rate"] for record in worst] == pytest.approx(mistaken)
