"""Hyperparameter search: a better score on held-out rows, with an unbiased estimate of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tabsynth.cli import main
from tabsynth.errors import DataError, InputError, MissingDependencyError
from tabsynth.tune import tune

SPACE = {"epochs": ("log", 1, 6)}


@pytest.mark.slow
def test_a_search_finds_and_confirms(toy: pd.DataFrame) -> None:
    pytest.importorskip("optuna")
    toy = toy[["group", "age", "outcome"]].dropna()
    lines: list[str] = []
    found = tune(toy, trials=2, objective="shape_error", space=SPACE, holdout=0.4, seed=0, say=lines.append)
    assert len(found.trials) == len(lines) == 2
    values = [value for _, value in found.trials if value is not None]
    assert found.chosen.value == min(values)
    assert found.confirmed.interval is not None
    assert set(found.options) <= {"epochs"}
    step = yaml.safe_load(found.to_yaml())
    assert step == {"model": {"kind": "masked", **found.options}}
    again = tune(toy, trials=2, objective="shape_error", space=SPACE, holdout=0.4, seed=0)
    assert again == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "beauty"}, "cannot tune for 'beauty'; choose one of shape_error"),
        ({"model": "masqued"}, "there is no synthesizer 'masqued'"),
        ({"model": "gaussian_copula"}, "has no options to tune"),
        ({"space": {"epoch": ("log", 1, 2)}}, "has no option 'epoch'"),
        ({"objective": "utility"}, "name it with target="),
        ({"trials": 0}, "trials must be"),
    ],
)
def test_what_cannot_be_tuned_is_said_before_any_fit(
    toy: pd.DataFrame, arguments: dict[str, object], message: str
) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(InputError, match=message):
        tune(toy, **arguments)  # type: ignore[arg-type]


def test_too_few_rows_to_choose_by(toy: pd.DataFrame) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(DataError, match="20 held-out rows are too few, at least 40"):
        tune(toy, holdout=0.05)


def test_without_optuna_its_name_is_said(toy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match="optuna"):
        tune(toy)


@pytest.mark.slow
def test_the_command_writes_the_options(toy: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    toy[["age", "weight", "outcome"]].to_csv(tmp_path / "toy.csv", index=False)
    best = tmp_path / "best.yaml"
    arguments = ["--trials", "1", "--objective", "utility", "--target", "outcome", "--holdout", "0.4"]
    assert main(["tune", str(tmp_path / "toy.csv"), *arguments, "--output", str(best)]) == 0
    assert yaml.safe_load(best.read_text())["model"]["kind"] == "masked"
    assert '"objective": "utility"' in capsys.readouterr().out
    assert main(["tune", str(tmp_path / "toy.csv"), "--objective", "x", "--output", str(best)]) == 2
