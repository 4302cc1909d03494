"""Contract of every synthesizer: small tables, arguments and side effects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from tabsynth.errors import DataError, NotFittedError, PrivacyError
from tabsynth.schema import Schema
from tabsynth.synthesizers import registry
from tabsynth.synthesizers.base import Synthesizer

from .quick_kinds import QUICK, SCHEMA


def test_is_a_scikit_learn_estimator(make: Callable[[], Synthesizer], kind: str) -> None:
    model = make()
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    assert repr(copy) == repr(model)
    assert all(f"{name}={value}" in repr(model) for name, value in QUICK[kind].items())
    assert model.set_params(min_group=7).min_group == 7


def test_an_unfitted_model_says_so(make: Callable[[], Synthesizer], tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        make().sample(1)
    with pytest.raises(NotFittedError):
        make().save(tmp_path / "m.tabsynth")


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
    few = frame[["age", "sex", "seen"]].dropna()
    schema = Schema({name: SCHEMA[name] for name in few})
    make().fit(few, schema=schema, seed=0, progress=True).sample(10, progress=True)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("kind", ["marginal", "masked"])
@pytest.mark.parametrize("draw", [False, True])
def test_rows_of_which_nothing_is_learned_are_imputed(kind: str, draw: bool) -> None:
    frame = pd.DataFrame({"id": [f"K{i:04d}" for i in range(40)], "constant": ["a"] * 40})
    model = registry.create(kind, **({"epochs": 1} if kind == "masked" else {})).fit(frame, seed=0)
    assert model.impute(frame.head(5), seed=0, draw=draw)["constant"].tolist() == ["a"] * 5
