"""Functional dependencies between categories of a child table hold in its synthetic rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.relations.categories.determined_tokens import excluded_tokens, propagate, repair_violations
from tabsynth.relations.categories.token_rules import hold
from tabsynth.relations.functional_dependencies import FunctionalDependency
from tabsynth.schema import Schema
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.synthesizers.relational.histories.sampling import barred_tokens
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

CODES = 14


def visits() -> dict[str, pd.DataFrame]:
    """Visits whose code determines its label and its ward; a third have neither code nor label."""
    rng = np.random.default_rng(0)
    patients = pd.DataFrame({"pid": range(90), "sex": rng.choice(["f", "m"], 90)})
    owner = np.repeat(np.arange(90), 1 + rng.poisson(9, 90))
    owner[:120] = 0  # one patient has many visits
    owner.sort()
    code = rng.integers(0, CODES, len(owner))
    frame = pd.DataFrame({"vid": range(len(owner)), "pid": owner})
    frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, len(owner)), unit="D")
    frame["code"] = [f"C{i:02d}" for i in code]
    frame["label"] = [f"kind {i % 9}" for i in code]
    frame["ward"] = np.array(["eye", "heart", "skin"])[code % 3]
    frame.loc[rng.random(len(frame)) < 0.3, ["code", "label"]] = None
    return {"patients": patients, "visits": frame}


@pytest.fixture(scope="module")
def fitted() -> tuple[dict[str, pd.DataFrame], RelationalSynthesizer]:
    tables = visits()
    schema = DatabaseSchema(
        tables={name: Schema.infer(frame) for name, frame in tables.items()},
        primary_keys={"patients": "pid", "visits": "vid"},
        foreign_keys=(ForeignKey("visits", "pid", "patients"),),
        order={"visits": "day"},
    )
    return tables, RelationalSynthesizer(epochs=1).fit(tables, schema=schema, seed=0)


def combinations(frame: pd.DataFrame) -> set[tuple[str, ...]]:
    return set(map(tuple, frame[["code", "label", "ward"]].astype(str).to_numpy().tolist()))


def test_codes_keep_their_labels(fitted: tuple[dict[str, pd.DataFrame], RelationalSynthesizer], tmp_path: Path) -> None:
    tables, model = fitted
    real = combinations(tables["visits"])
    sampled = model.sample(seed=1)["visits"]
    assert combinations(sampled) <= real
    assert sampled["code"].nunique() == CODES
    labelled = model.sample(given={"visits": {"label": "kind 3"}}, seed=2)["visits"]
    assert set(labelled["code"]) <= {"C03", "C12"}
    assert combinations(labelled) <= real
    assert "code decides label" in model.card()["relations"]["visits"]
    model.save(tmp_path / "m.tabsynth")
    again = RelationalSynthesizer.load(tmp_path / "m.tabsynth").sample(seed=1)["visits"]
    pd.testing.assert_frame_equal(again, sampled)


def test_masks_leave_what_the_earlier_slots_allow() -> None:
    forward = FunctionalDependency(0, 1, np.array([0, 1, -1], np.int32))
    backward = FunctionalDependency(1, 0, np.array([0, -1, 2], np.int32), gap=1)
    tokens = np.array([[0, 0], [1, 0], [2, 0]])
    mask = excluded_tokens([forward], 1, tokens, 3)
    assert mask is not None
    assert mask.tolist() == [[False, True, True], [True, False, True], [False, False, False]]
    other = excluded_tokens([backward], 1, tokens, 3)
    assert other is not None
    assert other.tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    assert excluded_tokens([forward], 2, tokens, 3) is None


def test_allowed_tokens_of_a_determinant_lead_to_allowed_ones() -> None:
    function = FunctionalDependency(0, 1, np.array([0, 1, -1], np.int32))
    allowed = propagate([function], [np.ones(3, bool), np.array([False, True, True])])
    assert allowed[0].tolist() == [False, True, True]


def test_contradicting_determinants_are_repaired() -> None:
    first = FunctionalDependency(0, 2, np.array([0, 1], np.int32))
    second = FunctionalDependency(1, 2, np.array([0, 1], np.int32))
    tokens = np.array([[0, 1, 0], [1, 1, 1]])
    repair_violations([first, second], tokens, [np.ones(2, bool)] * 3, np.random.default_rng(0))
    assert hold(tokens.astype(np.int32), [first, second]).all()
    assert tokens[1].tolist() == [1, 1, 1]


def test_rows_in_which_no_token_satisfies_the_dependencies_are_marked() -> None:
    contrary, unmasked = np.array([[True, True, False], [True, False, False]]), np.zeros(2, bool)
    allowed = np.array([True, True, False])
    barred = barred_tokens(allowed, None, contrary, np.zeros((2, 3), bool), unmasked)
    assert unmasked.tolist() == [True, False]
    assert barred.tolist() == [[False, False, True], [True, False, True]]
