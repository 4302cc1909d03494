"""Selection by a tree discriminator finds a model's faults and brings samples closer to the real rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create, load
from tabsynth.synthesizers.sampling.discriminator_selection import (
    BRANCHES,
    MAX_CANDIDATES,
    MIN_CANDIDATES,
    MIN_ROWS_FOR_TRIAL,
    MIN_TRIAL_GAIN,
    DiscriminatorSelection,
    fit_discriminator,
    needed_candidates,
)
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.discriminator import TreeDiscriminator, cross_validated_gain, validation_rows
from tabsynth.training.trees.token_forest import features
from tabsynth.training.validation_split import TrainValidation

SIZES = (6, 6, 3)


def tokens(rows: int, alike: float, seed: int) -> torch.Tensor:
    """Rows whose second token equals the first in a share of them, and is independent in the others."""
    rng = np.random.default_rng(seed)
    out = np.stack([rng.integers(0, size, rows) for size in SIZES], 1)
    out[:, 1] = np.where(rng.random(rows) < alike, out[:, 0], out[:, 1])
    return torch.from_numpy(out)


@pytest.fixture(scope="module")
def layout() -> Layout:
    """Two slots on a line, of which the second holds a missing value too, and a plain one."""
    real = tokens(4000, 0.5, 0).numpy()
    counts = tuple(np.bincount(real[:, slot], minlength=size) for slot, size in enumerate(SIZES))
    return Layout(SIZES, (6, 5, 0), counts)


@pytest.fixture(scope="module")
def critic(layout: Layout) -> TreeDiscriminator:
    return TreeDiscriminator.fit(layout, tokens(20_000, 0.5, 0), tokens(40_000, 0.2, 1), seed=0)


def test_the_log_odds_are_those_of_the_two_densities(critic: TreeDiscriminator) -> None:
    """Tokens that agree are 7/12 of real rows and 1/3 of drawn ones: log-odds .56 there and -.47 elsewhere."""
    rows = tokens(4000, 0.3, 2)
    found, alike = critic.log_odds(rows), rows[:, 0] == rows[:, 1]
    assert abs(float(found[alike].mean()) - np.log((7 / 12) / (1 / 3))) < 0.1
    assert abs(float(found[~alike].mean()) - np.log((5 / 12) / (2 / 3))) < 0.1
    # The divergence of equal halves of both, .031 nats, is what the best critic gains.
    assert 0.02 < critic.gain < 0.04


def test_nothing_is_learned_where_nothing_differs(layout: Layout) -> None:
    """Ten critics of equal populations; noise gains less than the threshold from which a critic is heard."""
    gains = [
        TreeDiscriminator.fit(layout, tokens(4000, 0.5, 2 * i), tokens(8000, 0.5, 2 * i + 1), seed=i).gain
        for i in range(10)
    ]
    assert np.mean(np.array(gains) < 0.001) >= 0.8


def test_weights_of_real_rows_count(layout: Layout) -> None:
    """Rows that agree count three times: 21/26 of the weight, which no trees of equal weights would say."""
    rows = tokens(20_000, 0.5, 0)
    weights = torch.where(rows[:, 0] == rows[:, 1], 3.0, 1.0).double().numpy()
    heavy = TreeDiscriminator.fit(layout, rows, tokens(40_000, 0.5, 1), seed=0, weights=weights)
    assert heavy.gain > 0.02


def test_a_seed_gives_the_same_trees(layout: Layout, critic: TreeDiscriminator) -> None:
    again = TreeDiscriminator.fit(layout, tokens(20_000, 0.5, 0), tokens(40_000, 0.2, 1), seed=0)
    np.testing.assert_array_equal(again.forest.nodes, critic.forest.nodes)
    np.testing.assert_array_equal(again.forest.leaves, critic.forest.leaves)


def test_plain_tokens_are_ranked_by_frequency() -> None:
    layout = Layout((3, 3), (0, 3), (np.array([1, 9, 5]), np.array([1, 9, 5])))
    rows = torch.tensor([[0, 0], [1, 1], [2, 2]])
    assert features(rows, layout).tolist() == [[2, 0], [0, 1], [1, 2]]


@pytest.mark.parametrize(("stratify", "least"), [(False, 0.50), (True, 0.56)])
def test_chosen_rows_are_nearer_and_none_comes_twice(
    layout: Layout, critic: TreeDiscriminator, stratify: bool, least: float
) -> None:
    """From 1/3 of rows that agree towards 7/12 = .58; by one of each six candidates, as for independent rows, to .53.

    Trees' log-odds are a little flatter than true ones: over eight pools .52 +- .01 came of each six, .57 of all.
    """
    pool = tokens(24_000, 0.2, 3)
    choice = DiscriminatorSelection(layout, [np.ones(size, bool) for size in SIZES], critic.log_odds)
    chosen = choice.of(pool, 4000, RowOptions([None, None], torch.Generator().manual_seed(0), True, stratify))
    assert len(chosen) == 4000
    assert len(chosen.unique()) == len(chosen)
    agree = (pool[:, 0] == pool[:, 1]).double()
    assert abs(float(agree.mean()) - 1 / 3) < 0.02
    assert least < float(agree[chosen].mean()) < 0.61


def test_the_number_of_candidates_follows_the_weights() -> None:
    """Of rows that count equally two candidates suffice; nine in ten rows that never occur take all six."""
    assert needed_candidates(torch.zeros(1000)) == MIN_CANDIDATES
    assert needed_candidates(torch.where(torch.arange(1000) < 100, 8.0, -8.0)) == MAX_CANDIDATES
    # A tenth of the rows weighs 3.6 times the mean: of three candidates .06 of the weight is lost, of four none.
    assert needed_candidates(torch.where(torch.arange(1000) < 100, 1.6094, 0.0)) == 4


def test_a_few_rows_of_great_weight_need_no_more_candidates() -> None:
    """Five rows in 1,000 that weigh 85 times the mean: no number of candidates uses this weight, each adds .005."""
    log_odds = torch.where(torch.arange(1000) < 5, 5.0, 0.0)
    assert needed_candidates(log_odds) == MIN_CANDIDATES


def test_the_weights_are_those_of_rows_that_the_trees_were_not_fitted_to(layout: Layout) -> None:
    """Of 25 real rows and 40 drawn ones, every tenth of all is held out: the drawn ones of numbers 5, 15, 25 and 35."""
    held = validation_rows(torch.zeros(25, 1), torch.arange(40).unsqueeze(1))
    assert held.flatten().tolist() == [5, 15, 25, 35]


def test_branches_are_selected_by_their_common_weight(layout: Layout, critic: TreeDiscriminator) -> None:
    """Rows of two candidates that share the first and the third token: no row twice, seldom both branches of one.

    As many agree as among candidates that share nothing, to within four standard errors, and a share of 58 % is the
    real one.
    """
    asked: list[tuple[int, int]] = []

    def pool(rows: int, branches: int, options: RowOptions) -> torch.Tensor:
        asked.append((rows, branches))
        own = tokens(rows * branches, 0.2, 5)
        first = tokens(rows, 0.0, 6).repeat_interleave(branches, 0)
        alike = own[:, 0] == own[:, 1]
        own[:, 0], own[:, 2] = first[:, 0], first[:, 2]
        own[:, 1] = torch.where(alike, own[:, 0], (own[:, 0] + 1 + own[:, 1] % 5) % 6)
        return own

    options = RowOptions([None, None, None], torch.Generator().manual_seed(0), True, True)
    choice = DiscriminatorSelection(layout, [np.ones(size, bool) for size in SIZES], critic.log_odds, 4)
    drawn = choice.draw(4000, pool, options)
    assert asked == [(8000, BRANCHES)]
    assert 0.56 < float((drawn[:, 0] == drawn[:, 1]).double().mean()) < 0.61
    rows = pool(8000, BRANCHES, options)
    chosen = choice.of(rows, 4000, options, BRANCHES)
    assert len(chosen.unique()) == 4000
    assert len((chosen // BRANCHES).unique()) > 3990
    # Candidates of independent draws, and two for each row, share nothing.
    asked.clear()
    DiscriminatorSelection(layout, choice.emit, critic.log_odds, 2).draw(4000, pool, options)
    choice.draw(40, pool, options)
    choice.draw(4000, pool, RowOptions([None, None, None], options.noise, True, False))
    assert asked == [(8000, 1), (240, 1), (24_000, 1)]


def test_few_candidates_select_as_well_in_large_stratified_samples(layout: Layout, critic: TreeDiscriminator) -> None:
    """Of 4,000 rows, as many agree if each is one of two or three candidates as if it is one of six."""
    pool = tokens(24_000, 0.2, 3)
    agree = []
    for many in (needed_candidates(critic.log_odds(pool)), MAX_CANDIDATES):
        choice = DiscriminatorSelection(layout, [np.ones(size, bool) for size in SIZES], critic.log_odds, many)
        own = pool[: many * 4000]
        options = RowOptions([None, None], torch.Generator().manual_seed(0), True, True)
        chosen = choice.of(own, 4000, options)
        assert len(chosen.unique()) == 4000
        agree.append(float((own[chosen, 0] == own[chosen, 1]).double().mean()))
    assert choice.candidates_for(4000, True) > needed_candidates(critic.log_odds(pool))
    assert choice.candidates_for(10, True) == choice.candidates_for(4000, False) == MAX_CANDIDATES
    assert abs(agree[0] - agree[1]) < 0.02


def test_cross_validated_gain_detects_differences_and_nothing_else(layout: Layout) -> None:
    """Trees of 3,000 rows find most of a divergence of .031 nats, and no significant one between equal populations.

    Of ten tests of equal populations, at most one may be a false alarm.
    """
    assert 0.015 < cross_validated_gain(layout, tokens(3000, 0.5, 0), tokens(3000, 0.2, 1), seed=0) < 0.045
    alarms = sum(
        cross_validated_gain(layout, tokens(3000, 0.5, 2 * i), tokens(3000, 0.5, 2 * i + 1), seed=i) >= MIN_TRIAL_GAIN
        for i in range(10)
    )
    assert alarms <= 1


def test_cross_validated_gain_uses_row_weights(layout: Layout) -> None:
    rows = tokens(3000, 0.5, 0)
    weights = torch.where(rows[:, 0] == rows[:, 1], 3.0, 1.0).double().numpy()
    assert cross_validated_gain(layout, rows, tokens(3000, 0.5, 1), seed=0, weights=weights) > 0.02
    assert cross_validated_gain(layout, rows, tokens(3000, 0.5, 1), seed=0, weights=np.ones(3000)) < MIN_TRIAL_GAIN


@pytest.mark.parametrize("finished_alike", [True, False])
def test_differences_that_refinement_removes_need_no_selection(layout: Layout, finished_alike: bool) -> None:
    """The gain is measured on refined rows, but candidates and training rows of the discriminator are not refined."""
    asked: list[bool] = []

    def pool(count: int, seed: int, finished: bool) -> torch.Tensor:
        asked.append(finished)
        return tokens(count, 0.5 if finished == finished_alike else 0.0, seed % 1000)

    found = fit_discriminator(
        layout, TrainValidation(tokens(MIN_ROWS_FOR_TRIAL, 0.5, 0), tokens(100, 0.5, 1)), pool, 0, False
    )
    assert found is None
    assert asked == [True] if finished_alike else asked[:2] == [True, False]


def near(rows: int, seed: int = 0) -> pd.DataFrame:
    """Two numbers that are nearly equal, which a network learns late, and a free one."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=rows)
    return pd.DataFrame({"first": first, "second": first + rng.normal(size=rows) * 0.05, "free": rng.normal(size=rows)})


@pytest.fixture(scope="module")
def short() -> MaskedSynthesizer:
    """A model that was fitted for too short a time."""
    return MaskedSynthesizer(epochs=1).fit(near(4000), seed=0, progress=False)


def test_branches_share_their_first_slots(short: MaskedSynthesizer) -> None:
    """Two of three slots are shared, the last is drawn for each branch; all marginals are the calibrated ones."""
    options = RowOptions([None] * 3, torch.Generator().manual_seed(0), True, True)
    with torch.inference_mode():
        rows = short._candidates(4000, 2, options)
    first, second = rows[::2], rows[1::2]
    *shared, last = short.order_
    assert torch.equal(first[:, shared], second[:, shared])
    assert float((first[:, last] == second[:, last]).double().mean()) < 0.2
    for slot, counts in enumerate(short.layout_.counts):
        found = np.bincount(rows[:, slot], minlength=len(counts)) / len(rows)
        assert np.abs(np.cumsum(found - counts / counts.sum())).max() < 0.03


def test_a_fit_that_misses_something_gets_a_critic(short: MaskedSynthesizer, tmp_path: Path) -> None:
    assert short.trees_ is not None
    assert "critic" in short.card()["chosen"]
    rows = short.sample(4000, seed=1)
    short.save(tmp_path / "m.tabsynth")
    read = load(tmp_path / "m.tabsynth")
    pd.testing.assert_frame_equal(read.sample(4000, seed=1), rows)
    assert read.card()["chosen"] == short.card()["chosen"]
    plain = load(tmp_path / "m.tabsynth")
    plain.trees_ = None  # type: ignore[attr-defined]
    off = (rows["first"] - rows["second"]).abs().mean()
    assert off < 0.9 * (plain.sample(4000, seed=1).eval("first - second")).abs().mean()
    assert short.sample(30, given={"first": (0.5, 1.0)}, seed=2)["first"].between(0.5, 1.0).all()


@pytest.mark.parametrize("kind", ["masked", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("vae", "gan"))])
def test_no_critic_outlives_its_fit(kind: str) -> None:
    """A refit to a table too small for a discriminator drops the previous one."""
    model = create(kind, epochs=1).fit(near(3600), seed=0, progress=False)
    assert model.trees_ is not None
    assert model.fit(near(300), seed=0, progress=False).trees_ is None
