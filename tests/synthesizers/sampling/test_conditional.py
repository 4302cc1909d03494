"""Conditional sampling filters unconditional rows unless few of them satisfy the condition."""

from __future__ import annotations

import numpy as np
from scipy.stats import chisquare

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.synthesizers.options import SampleContext
from tabsynth.synthesizers.sampling.conditional import TRIAL_ROWS, matches, sample_conditionally

JOINT = np.array([[0.30, 0.10, 0.01], [0.05, 0.30, 0.01], [0.10, 0.10, 0.03]])
"""Of two slots; the last token of the second is rare."""

CONDITIONAL = 2
"""What the second slot of a conditional draw holds, so that one is recognised."""


class Model:
    """Right where nothing is asked; where something is, it gives what it should and nothing else right."""

    def __init__(self) -> None:
        self.plain = self.conditional = 0

    def __call__(self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext) -> Tokens:
        if (fixed >= 0).any() or any(limit is not None for limit in limits):
            assert not draw.calibrate
            self.conditional += len(fixed)
            return np.where(fixed >= 0, fixed, CONDITIONAL).astype(np.int32)
        self.plain += len(fixed)
        cells = draw.rng.choice(9, len(fixed), p=JOINT.ravel())
        return np.stack([cells // 3, cells % 3], axis=1).astype(np.int32)


def drawn(
    model: Model, fixed: list[int], limits: list[Floats | None], rows: int = 6000, budget: int = 20_000
) -> Tokens:
    wanted = np.tile(np.array(fixed, np.int32), (rows, 1))
    return sample_conditionally(model, budget, wanted, limits, SampleContext.of(3, False, stratify=False))


def test_a_frequent_condition_has_the_plain_rows_distribution() -> None:
    """A right method fails one time in 1,000."""
    model = Model()
    rows = drawn(model, [1, -1], [None, None])
    assert (rows[:, 0] == 1).all()
    assert len(rows) == 6000
    assert not model.conditional
    assert chisquare(np.bincount(rows[:, 1], minlength=3), 6000 * JOINT[1] / JOINT[1].sum()).pvalue > 1e-3


def test_a_token_that_is_allowed_in_part_comes_as_often_as_its_part() -> None:
    model = Model()
    share = np.array([1.0, 0.25, 0.0])
    rows = drawn(model, [-1, -1], [share, None])
    expected = (JOINT * share[:, None])[:2].ravel()
    found = np.bincount(rows[:, 0] * 3 + rows[:, 1], minlength=9)
    assert not found[6:].any()
    assert chisquare(found[:6], 6000 * expected / expected.sum()).pvalue > 1e-3


def test_a_rare_condition_costs_a_glance_and_is_drawn_given() -> None:
    model = Model()
    rows = drawn(model, [1, 2], [None, None], rows=500)
    assert (rows == [1, CONDITIONAL]).all()
    assert model.conditional == 500
    assert model.plain <= TRIAL_ROWS[1]


def test_few_rows_of_a_rare_condition_are_picked_within_the_budget() -> None:
    """One row in fifty meets it, too few for thousands of rows; 300 take fewer plain rows than one sample has."""
    model = Model()
    rows = drawn(model, [-1, 2], [np.array([1.0, 1.0, 0.0]), None], rows=300)
    assert (rows[:, 1] == 2).all()
    assert not model.conditional
    assert 300 / 0.02 < model.plain < 1.5 * 300 / 0.02
    assert chisquare(np.bincount(rows[:, 0], minlength=2), [150, 150]).pvalue > 1e-3  # false alarms: 1 in 1,000


def test_rows_that_ask_for_different_things_are_drawn_given() -> None:
    model = Model()
    wanted = np.array([[0, -1], [1, -1], [-1, -1]], np.int32)
    rows = sample_conditionally(model, 20_000, wanted, [None, None], SampleContext.of(3, False))
    assert (rows[:2, 0] == [0, 1]).all()
    assert model.plain == 0


def test_the_low_digit_of_a_wide_column_says_what_is_allowed() -> None:
    """Its limits have a row for each high digit; those of the high digit are its shares by frequency, and not meant."""
    low = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    tokens = np.stack(np.divmod(np.arange(9), 3), axis=1).astype(np.int32)
    limits: list[Floats | None] = [np.array([0.1, 0.1, 0.0]), low]
    free = np.array([-1, -1], np.int32)
    assert (matches(tokens, free, limits, np.random.default_rng(0)) == low.ravel().astype(bool)).all()
