"""Holes around the mechanisms that were found and closed, each opened again: the test that closes it fails.

Every mutation undoes one repair where it was made, and names the test of the suite that catches it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabsynth.codec import codec, column_values, identifiers, quantile_bins
from tabsynth.privacy import domains, public_schema
from tabsynth.privacy.accounting import hash_chain, ledger
from tabsynth.privacy.attacks import holdout_overlap
from tabsynth.privacy.audit import canary
from tabsynth.privacy.mechanisms import canonical_cells, contribution_bounding
from tabsynth.schema.columns import Categorical, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers import private_fit

from ..codec import test_identifiers as keys
from ..codec import test_released_numbers as numbers
from . import test_artefacts as artefacts
from . import test_domains as measuring
from .accounting import test_dataset_ledger as ledgers
from .attacks import test_pooled as pooled
from .attacks import test_rate_tests as rates
from .attacks.conftest import SCHEMA, population
from .audit import test_audit as audits
from .audit import test_canary as canaries
from .mechanisms import test_canonical_cells as cells
from .mechanisms import test_contribution_bounding as persons

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]
Check = Callable[[Path], Any]


def put(where: Any, name: str, by: Any) -> Mutation:
    """Put something else in the place of a name."""
    return lambda patch: patch.setattr(where, name, by)


def keep_evidence(patch: Patch) -> None:
    own = Schema.replace

    def changed(self: Schema, name: str, **facts: Any) -> Schema:
        out = own(self, name, **facts)
        return Schema({**out.columns, name: replace(out[name], why=self[name].why)}, out.constraints)

    patch.setattr(Schema, "replace", changed)


def accept_links(patch: Patch) -> None:
    own = Path.stat

    def stat(self: Path, **options: Any) -> os.stat_result:
        found = list(own(self, **options))
        found[3] = 1
        return os.stat_result(found)

    patch.setattr(hash_chain.Path, "stat", stat)


def divisor_of_all(values: Any, who: Any, floor: int, decimals: int | None) -> int:
    return 1 if decimals is None else int(np.gcd.reduce(np.rint(values * 10.0**decimals).astype(np.int64)))


def bounds_of_the_rows(values: Any, start: Any, *rest: Any) -> tuple[Any, Any]:
    return values[start], values[np.append(start[1:], len(values)) - 1]


def text_alone(cell: Any) -> str | None:
    return cell if isinstance(cell, str) else contribution_bounding.NO_KEY


def ambiguous(facts: dict[str, Any], says: str) -> Check:
    check = cells.test_what_readers_could_take_for_another_value_is_refused_by_the_schema_alone
    return lambda _: check(facts, says)


EVERY_FACT = frozenset(item.name for kind in (Categorical, Numeric) for item in fields(kind))
MUTATIONS: dict[str, tuple[Mutation, Check]] = {
    "facts that inference saw are published": (
        put(public_schema, "_PUBLISHED", EVERY_FACT),
        artefacts.test_only_the_facts_that_shape_the_output_are_kept,
    ),
    "a declared column keeps its evidence": (
        keep_evidence,
        lambda _: artefacts.test_a_column_that_a_person_declares_keeps_nothing_that_was_seen_in_the_rows(),
    ),
    "charges of measuring dropped": (
        put(private_fit, "compose_ledgers", lambda first, second: second),
        measuring.test_a_model_counts_what_measuring_its_schema_has_spent,
    ),
    "charges of the first measuring dropped": (
        put(domains, "compose_ledgers", lambda first, second: second),
        lambda _: measuring.test_a_second_measurement_keeps_the_charges_of_the_first(),
    ),
    "a measured schema accepted without its charges": (
        put(private_fit, "get_measurement_ledger", lambda schema: None),
        lambda _: measuring.test_a_measured_schema_without_its_charges_is_refused(),
    ),
    "canonical form off": (
        put(canonical_cells, "_cell_to_text", lambda cell, number: None if cell is None else str(cell)),
        lambda _: cells.test_what_a_cell_says("code", "007", 7),
    ),
    "values that collide accepted": (
        put(public_schema, "find_ambiguity", lambda values: ""),
        ambiguous({"values": [7, "007"]}, "7 and '007' are equal as numbers"),
    ),
    "whole numbers beyond 2**53 taken for exact": (
        put(public_schema, "MAX_EXACT_INTEGER", np.inf),
        ambiguous({"kind": "numeric", "low": 0, "high": 2**60, "decimals": 0}, r"from 2\*\*53 on"),
    ),
    "a link taken for another ledger": (
        put(ledger.os.path, "realpath", str),
        ledgers.test_a_link_and_the_name_behind_it_are_one_ledger,
    ),
    "a ledger of several names accepted": (
        accept_links,
        ledgers.test_a_file_of_several_names_is_refused_and_unchanged,
    ),
    "reservations not counted": (
        put(ledger, "spent_records", lambda records, own=None: [r for r in records if r["kind"] == "charge"]),
        ledgers.test_the_first_charge_reserves_the_whole_fit,
    ),
    "float person keys accepted": (
        put(private_fit, "check_person_column", lambda values: None),
        lambda _: persons.test_a_type_without_exact_keys_is_refused_before_any_charge([1.0, np.nan], True),
    ),
    "person keys of other types made one": (
        put(contribution_bounding, "_cell_to_key", text_alone),
        lambda _: persons.test_different_keys_are_different_persons(lambda i: bytes([i])),
    ),
    "canaries without power called powered": (
        put(canary, "MIN_POWER", 0.0),
        canaries.test_power_and_the_most_that_could_be_seen_are_said,
    ),
    "altered training rows accepted as a holdout": (
        put(holdout_overlap, "_check_altered", lambda ours, theirs, column: None),
        lambda _: audits.test_a_holdout_of_altered_training_rows_is_refused(population, SCHEMA),
    ),
    "scans not corrected for their depths": (
        put(pooled, "scan_p_value", lambda statistic, *sizes: float(np.exp(-statistic))),
        lambda _: pooled.test_the_p_value_of_a_scan_is_that_of_random_orders(),
    ),
    "attacks not corrected for their number": (
        put(rates, "holm_correction", lambda p, weights=None: np.asarray(p)),
        lambda _: rates.test_holm_keeps_the_family(),
    ),
    "ends of a column taken from rows": (
        put(quantile_bins, "round_ends", lambda raw, who, values, *rest: (float(values[0]), float(values[-1]))),
        lambda _: numbers.test_the_ends_of_a_column_are_not_values_of_single_persons(),
    ),
    "ends of bins taken from rows": (
        put(quantile_bins, "_bin_bounds", bounds_of_the_rows),
        lambda _: numbers.test_no_continuous_value_of_a_person_is_stored(numbers.continuous(800, 1)),
    ),
    "decimals of one person published": (
        put(codec, "hide_rare_precision", lambda column, *rest: column),
        lambda _: numbers.test_decimals_of_too_few_persons_leave_no_trace(0.25, 1),
    ),
    "seconds of one person published": (
        put(column_values, "_hide_rare_resolution", lambda column, *rest: column),
        lambda _: numbers.test_a_resolution_of_too_few_persons_leaves_no_trace(1, None, 1),
    ),
    "the step of all rows published": (
        put(quantile_bins, "common_step", divisor_of_all),
        lambda _: numbers.test_a_step_that_too_few_persons_break_is_kept(),
    ),
    "learned spellings hold training keys": (
        put(identifiers, "avoid_keys", lambda forms, keys, **options: tuple(forms)),
        lambda _: keys.test_no_key_that_a_pattern_can_spell_is_a_training_key("most of a dense range"),
    ),
    "declared spellings hold training keys": (
        put(identifiers, "unused_forms", lambda forms, keys: tuple(forms)),
        lambda _: keys.test_no_key_that_a_pattern_can_spell_is_a_training_key("declared, half of it taken"),
    ),
    "lengthened spellings hold training keys": (
        put(identifiers, "MIN_LONGER_KEYS", 1),
        lambda _: keys.test_a_lengthened_pattern_spells_no_long_key_of_too_few_persons(),
    ),
}


@pytest.mark.parametrize("mutation", list(MUTATIONS))
def test_a_hole_that_is_opened_again_is_found(mutation: str, monkeypatch: Patch, tmp_path: Path) -> None:
    plant, check = MUTATIONS[mutation]
    plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(tmp_path)


def test_every_hole_is_opened_once() -> None:
    assert len(MUTATIONS) >= 20
