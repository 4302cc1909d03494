"""What every synthesizer must do, whatever its model."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from tabsynth.data import Table
from tabsynth.errors import DataError, InputError, NotFittedError, PrivacyError
from tabsynth.schema import Schema
from tabsynth.synthesizers import registry
from tabsynth.synthesizers.base import Synthesizer

QUICK: dict[str, dict[str, int]] = {
    "masked": {"epochs": 1},
    "vae": {"epochs": 1},
    "gan": {"epochs": 1},
    "marginal": {"components": 32},
    "ctgan": {"epochs": 1, "batch_size": 100},
    "tvae": {"epochs": 10, "batch_size": 100},
    "gaussian_copula": {},
    "copula_gan": {"epochs": 1, "batch_size": 100},
}
"""Options for a fit of a second or so, by kind."""

ROWS = 307

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "mrn": {"kind": "identifier"},
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "income": {"kind": "numeric", "nullable": True, "decimals": 2},
            "visits": {"kind": "numeric", "nullable": True, "decimals": 0},
            "sex": {"kind": "categorical", "values": ["f", "m"], "nullable": True},
            "grade": {"kind": "categorical", "ordered": True},
            "smoker": {"kind": "boolean"},
            "consent": {"kind": "boolean", "nullable": True},
            "seen": {"kind": "datetime", "resolution": "D"},
            "born": {"kind": "datetime", "format": "%d/%m/%Y", "resolution": "D", "nullable": True},
            "note": {"kind": "text"},
            "country": {"kind": "categorical"},
            "dose": {"kind": "numeric"},
            "empty": {"kind": "numeric", "nullable": True},
        }
    }
)


def _toy() -> pd.DataFrame:
    """A seeded frame of every kind of column, with gaps, a constant column of each sort and one without values."""
    rng = np.random.default_rng(7)
    age = rng.integers(18, 91, ROWS)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), "D")
    born = pd.Series(pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 20_000, ROWS), "D"))
    frame = pd.DataFrame(
        {
            "mrn": [f"M{number:010d}" for number in rng.permutation(ROWS)],
            "age": age,
            "income": np.round(rng.lognormal(8, 1, ROWS) + 20 * age, 2),
            "visits": pd.array(rng.poisson(3, ROWS), dtype="Int64"),
            "sex": rng.choice(["f", "m"], ROWS).astype(object),
            "grade": pd.Categorical(rng.choice(["low", "mid", "high"], ROWS), ["low", "mid", "high"], ordered=True),
            "smoker": rng.random(ROWS) < 0.3,
            "consent": pd.array(rng.random(ROWS) < 0.6, dtype="boolean"),
            "seen": day,
            "born": born.dt.strftime("%d/%m/%Y").astype(object),
            "note": [f"seen by nurse {number}" for number in range(ROWS)],
            "country": "CH",
            "dose": 2.5,
            "empty": np.nan,
        }
    )
    for name, share in {"income": 0.2, "visits": 0.15, "sex": 0.1, "consent": 0.25, "born": 0.1}.items():
        frame.loc[rng.random(ROWS) < share, name] = None
    return frame


def _random_states() -> tuple[Any, list[int], list[int]]:
    """The states of the global generators of Python, numpy and torch."""
    keys: list[int] = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    return random.getstate(), keys, torch.get_rng_state().tolist()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return _toy()


@pytest.fixture(scope="module", params=list(QUICK))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name in ("ctgan", "tvae", "gaussian_copula", "copula_gan"):
        for package in ("ctgan", "sdv"):  # here, for importing sdv draws random numbers
            pytest.importorskip(package)
    return name


@pytest.fixture(scope="module")
def make(kind: str) -> Callable[[], Synthesizer]:
    return lambda: registry.create(kind, **QUICK[kind])


@dataclass(frozen=True)
class Watched:
    """A model that was fitted, sampled, saved and loaded, and what was there before and after."""

    model: Synthesizer
    returned: Synthesizer
    given: pd.DataFrame
    options: dict[str, Any]
    states: list[Any]


@pytest.fixture(scope="module")
def watched(make: Callable[[], Synthesizer], frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    model, given, states = make(), frame.copy(), [_random_states()]
    options = model.get_params()
    returned = model.fit(given, schema=SCHEMA, seed=0)
    model.sample(10, seed=0)
    path = tmp_path_factory.mktemp("watched") / "m.tabsynth"
    model.save(path)
    registry.load(path)
    states.append(_random_states())
    return Watched(model, returned, given, options, states)


@pytest.fixture(scope="module")
def fitted(watched: Watched) -> Synthesizer:
    return watched.model


@pytest.fixture(scope="module")
def synthetic(fitted: Synthesizer) -> pd.DataFrame:
    return fitted.sample(400, seed=1)


def test_every_kind_of_the_catalog_is_tested() -> None:
    assert set(QUICK) == set(registry.KINDS)


def test_is_a_scikit_learn_estimator(make: Callable[[], Synthesizer], kind: str) -> None:
    model = make()
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    assert repr(copy) == repr(model)
    assert all(f"{name}={value}" in repr(model) for name, value in QUICK[kind].items())
    assert model.set_params(min_group=7).min_group == 7


def test_fit_returns_the_model_and_leaves_its_options(watched: Watched) -> None:
    model = watched.model
    assert watched.returned is model
    assert model.get_params() == watched.options
    assert model.rows_ == ROWS
    assert model.seed_ == 0


def test_fit_leaves_the_frame_alone(watched: Watched, frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(watched.given, frame)


def test_an_unfitted_model_says_so(make: Callable[[], Synthesizer], tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        make().sample(1)
    with pytest.raises(NotFittedError):
        make().save(tmp_path / "m.tabsynth")


def test_columns_order_and_dtypes_come_back(synthetic: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert list(synthetic.columns) == list(frame.columns)
    assert synthetic.dtypes.to_dict() == frame.dtypes.to_dict()
    assert synthetic.index.equals(pd.RangeIndex(400))


def test_values_are_missing_where_they_were_and_only_there(synthetic: pd.DataFrame, frame: pd.DataFrame) -> None:
    pd.testing.assert_series_equal(synthetic.isna().any(), frame.isna().any())


def test_values_stay_inside_what_was_seen(synthetic: pd.DataFrame, frame: pd.DataFrame) -> None:
    for name in ("age", "income", "visits", "seen"):
        assert synthetic[name].min() >= frame[name].min()
        assert synthetic[name].max() <= frame[name].max()
    for name in ("sex", "grade", "smoker", "consent", "country"):
        assert set(synthetic[name].dropna()) <= set(frame[name].dropna())
    born = pd.to_datetime(synthetic["born"], format="%d/%m/%Y")
    assert born.max() <= pd.to_datetime(frame["born"], format="%d/%m/%Y").max()


def test_numbers_keep_their_decimals(synthetic: pd.DataFrame) -> None:
    income = synthetic["income"].dropna().to_numpy()
    np.testing.assert_array_equal(income, np.round(income, 2))


def test_identifiers_are_unique_and_new(synthetic: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert synthetic["mrn"].is_unique
    assert not set(synthetic["mrn"]) & set(frame["mrn"])


def test_text_is_never_copied(synthetic: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert not set(synthetic["note"]) & set(frame["note"])


def test_constant_and_empty_columns_come_back(synthetic: pd.DataFrame) -> None:
    assert (synthetic["country"] == "CH").all()
    assert (synthetic["dose"] == 2.5).all()
    assert synthetic["empty"].isna().all()


@pytest.mark.parametrize("n", [0, 1, 13])
def test_as_many_rows_as_asked_for(fitted: Synthesizer, frame: pd.DataFrame, n: int) -> None:
    drawn = fitted.sample(n, seed=0)
    assert len(drawn) == n
    assert list(drawn.columns) == list(frame.columns)
    assert drawn["age"].dtype == frame["age"].dtype


def test_by_default_as_many_rows_as_the_training_table(fitted: Synthesizer) -> None:
    assert len(fitted.sample(seed=0)) == ROWS


def test_a_number_of_rows_that_is_none(fitted: Synthesizer) -> None:
    with pytest.raises(InputError, match="n must be"):
        fitted.sample(-1)


def test_chunks_add_up(fitted: Synthesizer) -> None:
    assert [len(part) for part in fitted.sample_chunks(25, chunk=10, seed=0)] == [10, 10, 5]


def test_one_seed_gives_one_model_and_one_sample_of_a_frame_and_of_a_table(
    make: Callable[[], Synthesizer], frame: pd.DataFrame, synthetic: pd.DataFrame
) -> None:
    again = make().fit(Table.of(frame, SCHEMA), seed=0)
    pd.testing.assert_frame_equal(again.sample(400, seed=1), synthetic)


def test_another_seed_gives_another_sample(fitted: Synthesizer, synthetic: pd.DataFrame) -> None:
    assert not fitted.sample(400, seed=2).equals(synthetic)
    assert not fitted.sample(400).equals(fitted.sample(400))


def test_a_saved_model_samples_bit_for_bit_the_same(
    fitted: Synthesizer, synthetic: pd.DataFrame, kind: str, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m.tabsynth")
    read = registry.load(tmp_path / "m.tabsynth")
    assert type(read) is type(fitted)
    assert read.kind == kind
    assert read.get_params() == fitted.get_params()
    assert read.schema_ == fitted.schema_
    pd.testing.assert_frame_equal(read.sample(400, seed=1), synthetic)
    read.save(tmp_path / "again.tabsynth")
    assert (tmp_path / "again.tabsynth").read_bytes() == (tmp_path / "m.tabsynth").read_bytes()


def test_a_path_is_accepted(make: Callable[[], Synthesizer], frame: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "toy.csv"
    frame[["age", "sex"]].to_csv(path, index=False)
    drawn = make().fit(path, seed=0).sample(20, seed=1)
    assert list(drawn.columns) == ["age", "sex"]


def test_one_row_is_too_few(make: Callable[[], Synthesizer], frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="one row"):
        make().fit(frame.head(1), schema=SCHEMA)


@pytest.mark.filterwarnings("ignore")
def test_a_few_rows_are_enough(make: Callable[[], Synthesizer], frame: pd.DataFrame) -> None:
    few = frame[["age", "sex", "smoker"]].dropna().head(7)
    schema = Schema({name: SCHEMA[name] for name in few.columns})
    drawn = make().set_params(min_group=1).fit(few, schema=schema, seed=0).sample(30, seed=0)
    assert drawn["age"].between(few["age"].min(), few["age"].max()).all()


def test_a_single_column_is_enough(make: Callable[[], Synthesizer], frame: pd.DataFrame) -> None:
    for name in ("age", "sex"):
        schema = Schema({name: SCHEMA[name]})
        assert make().fit(frame[[name]], schema=schema, seed=0).sample(9, seed=0)[name].notna().any()


def test_rare_categories_and_extremes_are_not_released(make: Callable[[], Synthesizer]) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"town": ["A", "B"] * 60, "wealth": rng.normal(0, 1, 120)})
    frame.loc[0, "town"] = "Hermitage"
    frame.loc[0, "wealth"] = 1e6
    schema = Schema.from_dict({"columns": {"town": {"kind": "categorical"}, "wealth": {"kind": "numeric"}}})
    drawn = make().fit(frame, schema=schema, seed=0).sample(500, seed=0)
    assert set(drawn["town"]) <= {"A", "B"}
    assert drawn["wealth"].max() < 10


def test_privacy_is_refused(make: Callable[[], Synthesizer], frame: pd.DataFrame) -> None:
    with pytest.raises(PrivacyError, match=r"use MarginalSynthesizer|must be a tabsynth\.Privacy"):
        make().fit(frame, schema=SCHEMA, privacy=object())


def test_nothing_is_written_to_stdout(
    make: Callable[[], Synthesizer], frame: pd.DataFrame, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = make().fit(frame, schema=SCHEMA, seed=0)
    model.sample(10, seed=0)
    model.save(tmp_path / "m.tabsynth")
    registry.load(tmp_path / "m.tabsynth")
    assert capfd.readouterr() == ("", "")
    make().fit(frame, schema=SCHEMA, seed=0, progress=True).sample(10, progress=True)
    assert capfd.readouterr().out == ""


def test_global_random_states_are_left_alone(watched: Watched) -> None:
    before, after = watched.states
    assert before == after


def test_the_card_names_model_rows_and_privacy(fitted: Synthesizer) -> None:
    card = fitted.card()
    assert card["synthesizer"] == type(fitted).__name__
    assert card["rows"] == ROWS
    assert "epsilon = infinity" in card["privacy"]
