"""Contract of every synthesizer: output, seeds, files, random states and model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.data import Table
from tabsynth.errors import InputError
from tabsynth.synthesizers import registry
from tabsynth.synthesizers.base import Synthesizer

from .quick_kinds import QUICK, ROWS, SCHEMA, random_states


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
    model, given, states = make(), frame.copy(), [random_states()]
    options = model.get_params()
    returned = model.fit(given, schema=SCHEMA, seed=0)
    model.sample(10, seed=0)
    path = tmp_path_factory.mktemp("watched") / "m.tabsynth"
    model.save(path)
    registry.load(path)
    states.append(random_states())
    return Watched(model, returned, given, options, states)


@pytest.fixture(scope="module")
def fitted(watched: Watched) -> Synthesizer:
    return watched.model


@pytest.fixture(scope="module")
def synthetic(fitted: Synthesizer) -> pd.DataFrame:
    return fitted.sample(400, seed=1)


def test_every_kind_of_the_catalog_is_tested() -> None:
    assert set(QUICK) == set(registry.KINDS)


def test_fit_returns_the_model_and_leaves_its_options(watched: Watched) -> None:
    model = watched.model
    assert watched.returned is model
    assert model.get_params() == watched.options
    assert model.rows_ == ROWS
    assert model.seed_ == 0


def test_fit_leaves_the_frame_alone(watched: Watched, frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(watched.given, frame)


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
    with pytest.raises(InputError, match="at most 10,000,000,000 rows"):
        fitted.sample(10**30)


def test_chunks_add_up(fitted: Synthesizer) -> None:
    assert [len(part) for part in fitted.sample_chunks(25, chunk=10, seed=0)] == [10, 10, 5]


@pytest.mark.parametrize("chunk", [0, -1, 2.5, "10", True])
def test_a_size_of_chunks_that_is_none(fitted: Synthesizer, chunk: Any) -> None:
    with pytest.raises(InputError, match=r"chunk must be a whole number of at least 1, not"):
        next(iter(fitted.sample_chunks(25, chunk=chunk, seed=0)))
    with pytest.raises(InputError, match=r"chunk must be"):
        fitted.sample_chunk(0, 25, chunk=chunk, seed=0)


@pytest.mark.parametrize("number", [-1, 3, 1.0, None])
def test_a_chunk_that_is_not_there(fitted: Synthesizer, number: Any) -> None:
    with pytest.raises(InputError, match=r"there is no chunk .*: 25 rows in chunks of 10 have 3, counted from 0"):
        fitted.sample_chunk(number, 25, chunk=10, seed=0)


def test_missing_cells_are_imputed_or_the_call_is_refused(fitted: Synthesizer, frame: pd.DataFrame) -> None:
    if fitted.kind in ("masked", "marginal"):
        assert len(fitted.impute(frame.head(3), seed=0)) == 3
    else:
        with pytest.raises(InputError, match=r"cannot impute; use MaskedSynthesizer or MarginalSynthesizer"):
            fitted.impute(frame.head(3), seed=0)


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


def test_global_random_states_are_left_alone(watched: Watched) -> None:
    before, after = watched.states
    assert before == after


def test_the_card_names_model_rows_and_privacy(fitted: Synthesizer) -> None:
    card = fitted.card()
    assert card["synthesizer"] == type(fitted).__name__
    assert card["rows"] == ROWS
    assert "epsilon = infinity" in card["privacy"]
