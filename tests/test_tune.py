"""Hyperparameter search: a better score on held-out rows, with an unbiased estimate of it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from tabsynth.cli import main
from tabsynth.errors import DataError, InputError, MissingDependencyError
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.registry import create
from tabsynth.tune import _create_study, tune

COMPONENTS = {"components": ("whole", 1, 3)}
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
        ({"minutes": 0}, "minutes must be a positive number, not 0"),
        ({"minutes": float("nan")}, "minutes must be a positive number"),
    ],
)
def test_what_cannot_be_tuned_is_said_before_any_fit(
    toy: pd.DataFrame, arguments: dict[str, object], message: str
) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(InputError, match=message):
        tune(toy, **arguments)  # type: ignore[arg-type]


def test_each_setting_is_fitted_once(toy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    fits: list[int] = []
    fit = MarginalSynthesizer.fit

    def counted(self: MarginalSynthesizer, *args: Any, **kwargs: Any) -> MarginalSynthesizer:
        fits.append(len(fits))
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(MarginalSynthesizer, "fit", counted)
    rows = toy[["age", "outcome"]].dropna()[:120]
    found = tune(rows, "marginal", trials=3, objective="shape_error", space=COMPONENTS, holdout=0.4)
    assert len(fits) == len(found.trials) == 3


def test_a_search_ends_at_its_time_limit(toy: pd.DataFrame) -> None:
    pytest.importorskip("optuna")
    lines: list[str] = []
    arguments: Any = {"objective": "shape_error", "space": COMPONENTS, "trials": 3, "say": lines.append}
    found = tune(toy[["age", "outcome"]].dropna(), "marginal", minutes=1e-6, **arguments)
    assert len(found.trials) == 1
    assert found.options == {}
    assert found.confirmed == found.default
    assert lines[-1] == "stopped before trial 1 of 3: 1e-06 minutes have passed"


def test_the_training_of_a_trial_is_stopped_at_the_time_limit(
    toy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    # One epoch by default keeps the test short.
    monkeypatch.setattr("tabsynth.tune.create", lambda kind, **options: create(kind, **({"epochs": 1} | options)))
    clock = iter([0.0, *[1.0] * 4, *[1e9] * 1000])  # the limit passes while the second network is trained
    monkeypatch.setattr("tabsynth.tune.time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines: list[str] = []
    arguments: Any = {"objective": "shape_error", "space": {"epochs": ("log", 1, 2)}, "trials": 3, "minutes": 1}
    found = tune(toy[["age", "outcome"]].dropna()[:120], "vae", holdout=0.4, **arguments, say=lines.append)
    assert [value is None for _, value in found.trials] == [False, True]
    assert "its training was stopped by the time limit" in lines[-2]


def test_too_few_rows_to_choose_by(toy: pd.DataFrame) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(DataError, match="20 held-out rows are too few, at least 40"):
        tune(toy, holdout=0.05)


def test_a_new_study_is_not_logged() -> None:
    pytest.importorskip("optuna")
    logged: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = logged.append  # type: ignore[method-assign]
    logging.getLogger("optuna").addHandler(handler)
    try:
        _create_study(0)
    finally:
        logging.getLogger("optuna").removeHandler(handler)
    assert logged == []


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
