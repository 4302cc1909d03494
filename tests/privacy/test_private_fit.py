"""Private fits: refused arguments, reads and side effects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.data import Table
from tabsynth.errors import InputError, PrivacyError, SchemaError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.domains import measure
from tabsynth.schema import Schema
from tabsynth.synthesizers.base import Synthesizer

from .tables import SCHEMA, table

MAKE: dict[str, Callable[[], Synthesizer]] = {
    "marginal": lambda: tabsynth.MarginalSynthesizer(components=8),
    "masked": lambda: tabsynth.MaskedSynthesizer(epochs=1),
    "vae": lambda: tabsynth.VAESynthesizer(epochs=1),
    "gan": lambda: tabsynth.GANSynthesizer(epochs=1),
    "vae by dp-sgd": lambda: tabsynth.VAESynthesizer(epochs=1, private_training="dp-sgd"),
    "gan by dp-sgd": lambda: tabsynth.GANSynthesizer(epochs=1, private_training="dp-sgd"),
}
PRIVACY = Privacy(epsilon=3.0, delta=1e-5)


SLOW = {"vae", "gan", "vae by dp-sgd", "gan by dp-sgd"}
"""Distilled or trained by DP-SGD as masked is, which does both."""


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MAKE])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Synthesizer]:
    from tabsynth.synthesizers.private import masked as own

    monkeypatch.setattr(own, "N_PRETRAINING_EPOCHS", 1)
    return MAKE[request.param]


def test_it_spends_what_was_asked_for_and_says_so(make: Callable[[], Synthesizer], tmp_path: Path) -> None:
    model = make().fit(table(), schema=SCHEMA, privacy=PRIVACY, progress=False)
    assert 0.98 * 3 <= model.ledger_.epsilon() <= 3
    assert all(len(entry.output or "") == 64 for entry in model.ledger_.entries)
    assert "differential privacy of a row" in model.card()["privacy"]
    assert ("DP-SGD" in model.card()["privacy"]) == any("DP-SGD" in entry.purpose for entry in model.ledger_.entries)
    assert model.card()["ledger"] == model.ledger_.to_dict()
    model.save(tmp_path / "m")
    read = tabsynth.load(tmp_path / "m")
    assert read.ledger_.to_dict() == model.ledger_.to_dict()
    pd.testing.assert_frame_equal(read.sample(30, seed=1), model.sample(30, seed=1))
    drawn = model.sample(seed=2)
    assert list(drawn.columns) == list(SCHEMA)
    assert len(drawn) == model.rows_
    assert set(drawn["sex"]) <= {"f", "m"}
    assert drawn["age"].between(0, 120).all()


@pytest.mark.parametrize(
    "name", ["marginal", "masked", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vae", "gan"))]
)  # DP-SGD of the others begins as masked does
def test_the_number_of_rows_is_a_noisy_one(name: str) -> None:
    private = Privacy(epsilon=0.2, delta=1e-6)
    rows = {MAKE[name]().fit(table(), schema=SCHEMA, privacy=private, progress=False).rows_ for _ in range(3)}
    assert rows != {len(table())}


def test_nothing_is_read_that_was_not_charged(make: Callable[[], Synthesizer], guarded: pd.DataFrame) -> None:
    with pytest.raises(AssertionError, match="nobody had paid"):
        len(guarded)
    with pytest.raises(AssertionError, match="nobody had paid"):
        guarded["age"]
    model = make().fit(guarded, schema=SCHEMA, privacy=PRIVACY, progress=False)
    assert len(model.ledger_) >= 1


def test_measuring_reads_nothing_that_was_not_charged(guarded: pd.DataFrame) -> None:
    schema = Schema.from_dict({"columns": {name: {"kind": SCHEMA[name].kind} for name in SCHEMA}})
    ledger = PrivacyLedger(3.0, 1e-5)
    measure(guarded, schema, Privacy(3.0, 1e-5, ledger=ledger))
    assert len(ledger) == 6


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"seed": 1}, "takes no seed: noise that a seed decides"),
        ({"checkpoint": "x"}, "takes no checkpoint"),
        ({"weights": np.ones(60)}, "takes no weights"),
        ({"schema": None}, "needs a declared schema"),
        ({"privacy": 1.0}, "must be a tabsynth.Privacy"),
        ({"schema": SCHEMA.replace("age", high=None)}, "column 'age' has no high"),
        ({"schema": SCHEMA.replace("age", origin="inferred")}, "column 'age' was inferred"),
        ({"privacy": Privacy(1.0, 1e-6, unit="sex", rows_per_person=1)}, "declare it identifier"),
        ({"privacy": Privacy(1.0, 0.0)}, "delta above 0"),
    ],
)
def test_what_cannot_be_private_is_refused_and_costs_nothing(
    make: Callable[[], Synthesizer], facts: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "set.ledger"
    PrivacyLedger(9.0, 1e-6, path=path)
    before = path.read_bytes()
    given = {"schema": SCHEMA, "privacy": Privacy(1.0, 1e-6, ledger=path)} | facts
    with pytest.raises(PrivacyError, match=says):
        make().fit(table(), progress=False, **given)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", [tabsynth.MaskedSynthesizer, tabsynth.VAESynthesizer, tabsynth.GANSynthesizer])
def test_options_are_checked_before_anything_is_charged(kind: Any) -> None:
    ledger = PrivacyLedger(9.0, 1e-6)
    with pytest.raises(InputError, match="epochs must be a whole number"):
        kind(epochs=0).fit(table(), schema=SCHEMA, privacy=Privacy(1.0, 1e-6, ledger=ledger))
    assert len(ledger) == 0


@pytest.mark.parametrize("kind", [tabsynth.VAESynthesizer, tabsynth.GANSynthesizer])
def test_a_training_that_is_none_is_refused_and_costs_nothing(kind: Any) -> None:
    ledger = PrivacyLedger(9.0, 1e-6)
    with pytest.raises(InputError, match="private_training must be one of distilled, dp-sgd, not 'sgd'"):
        kind(private_training="sgd").fit(table(), schema=SCHEMA, privacy=Privacy(1.0, 1e-6, ledger=ledger))
    assert len(ledger) == 0


@pytest.mark.parametrize("name", ["vae by dp-sgd", pytest.param("gan by dp-sgd", marks=pytest.mark.slow)])
def test_dp_sgd_pays_for_the_mixture_first_and_then_for_all_steps(name: str) -> None:
    model = MAKE[name]().fit(table(), schema=SCHEMA, privacy=PRIVACY, progress=False)
    *counts, steps = model.ledger_.entries
    assert counts
    assert "DP-SGD" not in " ".join(entry.purpose for entry in counts)
    assert "DP-SGD" in steps.purpose
    assert steps.event["event"]["type"] == "PoissonSampledDpEvent"
    assert model.card()["parameters"]["private_training"] == "dp-sgd"


def test_an_inferred_schema_is_refused_whole() -> None:
    with pytest.raises(PrivacyError, match="were inferred from the data"):
        MAKE["marginal"]().fit(Table.of(table()), privacy=PRIVACY)


def test_columns_that_do_not_fit_are_named() -> None:
    with pytest.raises(SchemaError, match="'age'"):
        MAKE["marginal"]().fit(table().drop(columns="age"), schema=SCHEMA, privacy=PRIVACY)


def test_a_second_fit_over_budget_is_refused_unread(tmp_path: Path, guarded: pd.DataFrame) -> None:
    path = tmp_path / "set.ledger"
    private = Privacy(1.0, 1e-6, ledger=path)
    MAKE["marginal"]().fit(table(), schema=SCHEMA, privacy=private, progress=False)
    before = path.read_bytes()
    model = MAKE["marginal"]()
    with pytest.raises(PrivacyError, match="Nothing was read or charged"):
        model.fit(guarded, schema=SCHEMA, privacy=private, progress=False)
    assert path.read_bytes() == before
    assert not hasattr(model, "schema_")


def test_a_fit_that_the_budget_cannot_bear_whole_is_refused_before_its_first_charge(
    make: Callable[[], Synthesizer], guarded: pd.DataFrame
) -> None:
    ledger = PrivacyLedger(1.0, 1e-6)
    with pytest.raises(PrivacyError, match=r"a fit at epsilon 1.3 would bring .* Nothing was read or charged"):
        make().fit(guarded, schema=SCHEMA, privacy=Privacy(1.3, 1e-6, ledger=ledger), progress=False)
    assert len(ledger) == 0


def test_an_insecure_seed_stamps_everything(make: Callable[[], Synthesizer]) -> None:
    private = Privacy(3.0, 1e-5, insecure_seed=5)
    one, other = (make().fit(table(), schema=SCHEMA, privacy=private, progress=False) for _ in range(2))
    pd.testing.assert_frame_equal(one.sample(20, seed=1), other.sample(20, seed=1))
    assert one.card()["privacy"].startswith("NOT DP")
    assert "NOT DP" in str(one.ledger_)


@pytest.mark.parametrize("name", ["CTGAN", "TVAE", "GaussianCopula", "CopulaGAN"])
def test_adapters_refuse_and_say_what_to_use(name: str) -> None:
    with pytest.raises(PrivacyError, match=f"{name}Synthesizer cannot guarantee .* use MarginalSynthesizer"):
        getattr(tabsynth, f"{name}Synthesizer")().fit(table(), schema=SCHEMA, privacy=PRIVACY)


def test_without_privacy_epsilon_is_infinite() -> None:
    model = MAKE["marginal"]().fit(table().drop(columns="note"), seed=0, progress=False)
    assert model.ledger_.epsilon() == float("inf")
    assert "epsilon = infinity" in model.card()["privacy"]


def test_persons_of_several_rows(make: Callable[[], Synthesizer]) -> None:
    frame = pd.concat([table(), table(), table().iloc[:20]], ignore_index=True)
    private = Privacy(5.0, 1e-5, unit="key", rows_per_person=2)
    model = make().fit(frame, schema=SCHEMA, privacy=private, progress=False)
    assert model.ledger_.unit == "key"
    assert model.ledger_.entries[0].sensitivity == 2
    assert model.ledger_.epsilon() <= 5
    assert "person (column 'key')" in model.card()["privacy"]


def test_a_file_is_read_as_it_is_spelled(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "t.csv", index=False)
    private = Privacy(100.0, 1e-5)
    from_file = MAKE["marginal"]().fit(tmp_path / "t.csv", schema=SCHEMA, privacy=private, progress=False)
    ages = from_file.sample(500, seed=0)["age"]
    assert abs(ages.mean() - table()["age"].mean()) < 12
    assert set(from_file.sample(500, seed=0)["code"].dropna()) == {1, 2, 3}
