"""Callbacks that write a fit's progress where TensorBoard and MLflow read it."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.common.progress import Progress
from tabsynth.errors import InputError, MissingDependencyError
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.training import callbacks


def test_tensorboard_holds_what_the_fit_said(tmp_path: Path, toy: pd.DataFrame) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    said: list[Progress] = []
    MaskedSynthesizer(epochs=3).fit(toy, seed=0, callbacks=(callbacks.tensorboard(tmp_path / "run"), said.append))
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    read = events.Scalars("loss")
    assert [event.step for event in read] == [progress.step for progress in said]
    assert [event.value for event in read] == pytest.approx([progress.loss for progress in said])
    assert set(events.Tags()["scalars"]) == {"loss", "validation", "seconds"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_mlflow_holds_what_was_said(tmp_path: Path) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy")
    watch = callbacks.mlflow(tmp_path, experiment="e", run="r")
    for step in (1, 2):
        watch(Progress(step, 2, 1.0 / step, 3.0 if step == 2 else None, 0.1))
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    assert run.info.run_name == "r"
    assert run.info.status == "FINISHED"
    assert [m.value for m in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 0.5]
    assert [m.step for m in client.get_metric_history(run.info.run_id, "validation")] == [2]


def test_mlflow_opens_no_connection() -> None:
    with pytest.raises(InputError, match="opens no connection"):
        callbacks.mlflow("http://localhost:5000")


@pytest.mark.parametrize(
    ("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow.tracking")]
)
def test_without_the_package_its_name_is_said(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=name):
        getattr(callbacks, name)(tmp_path)
