"""Faults that private fits are known for, each planted and each found: a suite that never fails proves nothing.

Every fault is planted where a programmer would make it. The check that finds it passes without the fault.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tabsynth.synthesizers.private import masked

from . import faults
from .checks import (
    all_steps_are_charged_and_taken,
    batches_are_poisson,
    dependence_is_charged,
    divided_cells_follow_from_counts,
    fresh_noise_differs,
    gradients_are_clipped_one_by_one,
    neighbours_leave_the_same_file,
    noise_is_what_was_charged,
    products_are_charged_and_bounded,
    public_gradients_are_added,
    quick_gan,
    quick_marginal,
    quick_masked,
    rare_values_are_rare,
    searches_cost_what_noisy_rows_say,
    selection_is_charged,
)

Patch = pytest.MonkeyPatch

A_FIT = quick_marginal
FAULTS: dict[str, tuple[Callable[[Patch], None], Callable[[Patch, Path], None]]] = {
    "sigma halved": (faults.half_sigma, noise_is_what_was_charged),
    "sigma zero": (faults.no_sigma, noise_is_what_was_charged),
    "sensitivity off by the root of two": (faults.wrong_sensitivity, noise_is_what_was_charged),
    "noise reused": (faults.reused_noise, noise_is_what_was_charged),
    "noise seed fixed": (faults.fixed_seed, fresh_noise_differs),
    "selection uncharged": (faults.uncharged_selection, selection_is_charged),
    "products of signs without noise": (faults.products_without_noise, products_are_charged_and_bounded),
    "signs beyond one": (faults.signs_beyond_one, products_are_charged_and_bounded),
    "dependence without noise": (faults.dependence_without_noise, dependence_is_charged),
    "cells divided by the data": (faults.cells_divided_by_the_data, divided_cells_follow_from_counts),
    "search paid by the raw row count": (faults.search_by_raw_rows, searches_cost_what_noisy_rows_say),
    "fixed threshold": (faults.fixed_threshold, rare_values_are_rare),
    "clipping skipped": (faults.no_clipping, gradients_are_clipped_one_by_one),
    "clipping after averaging": (faults.clipping_of_the_mean, gradients_are_clipped_one_by_one),
    "gradient accumulated twice": (faults.gradients_twice, gradients_are_clipped_one_by_one),
    "shuffle for Poisson": (faults.shuffled_batches, batches_are_poisson),
    "steps under-counted": (faults.steps_miscounted, all_steps_are_charged_and_taken),
    "validation stopping": (faults.stopping_by_a_score, all_steps_are_charged_and_taken),
    "q from the private row count": (
        faults.rate_of_raw_rows,
        neighbours_leave_the_same_file("duplicate row", quick_masked),
    ),
    "fake loss dropped": (faults.no_fake_loss, public_gradients_are_added),
    "warm start on real rows": (
        faults.warm_start_on_real_rows,
        neighbours_leave_the_same_file("duplicate row", quick_gan),
    ),
    "raw n used": (faults.raw_rows, neighbours_leave_the_same_file("duplicate row", A_FIT)),
    "categories from data": (faults.categories_of_the_data, neighbours_leave_the_same_file("new category", A_FIT)),
    "null column on demand": (
        faults.null_column_on_demand,
        neighbours_leave_the_same_file("undeclared null in a number", A_FIT),
    ),
    "constant dropped": (faults.constants_dropped, neighbours_leave_the_same_file("broken constant", A_FIT)),
    "bins from raw data": (faults.bins_of_the_data, neighbours_leave_the_same_file("extreme value", A_FIT)),
    "sampler with raw frequencies": (faults.raw_frequencies, neighbours_leave_the_same_file("duplicate row", A_FIT)),
    "types from data": (
        faults.columns_typed_by_the_data,
        neighbours_leave_the_same_file("undeclared null in a number", A_FIT),
    ),
    "a warning from data": (
        faults.a_warning_of_the_data,
        neighbours_leave_the_same_file("undeclared null in a category", A_FIT),
    ),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: Patch) -> None:
    monkeypatch.setattr(masked, "N_PRETRAINING_EPOCHS", 1)


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_fault_is_found(fault: str, monkeypatch: Patch, tmp_path: Path) -> None:
    plant, check = FAULTS[fault]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(monkeypatch, tmp_path)


@pytest.mark.parametrize("check", dict.fromkeys(check for _, check in FAULTS.values()))
def test_without_a_fault_all_is_well(check: Callable[[Patch, Path], None], monkeypatch: Patch, tmp_path: Path) -> None:
    check(monkeypatch, tmp_path)


def test_every_fault_that_was_listed_is_planted() -> None:
    assert len(FAULTS) >= 20
