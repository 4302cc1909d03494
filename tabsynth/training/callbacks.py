"""Callbacks for ``fit(callbacks=...)`` that log progress to TensorBoard or MLflow.

A callback is a function of a ``Progress``. These two write local files and finish with the last step of the fit:
``model.fit(frame, callbacks=(tensorboard("runs/first"),))``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tabsynth.common.process_state import environment
from tabsynth.common.progress import Progress
from tabsynth.errors import InputError, missing_package

Callback = Callable[[Progress], None]


def tensorboard(folder: str | Path) -> Callback:
    """Log loss and validation score by step to a folder for ``tensorboard --logdir``.

    Args:
        folder: Folder of the event file; created if missing.

    Raises:
        MissingDependencyError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise missing_package("this callback", "tensorboard", "tensorboard") from error
    writer = SummaryWriter(str(folder))

    def watch(progress: Progress) -> None:
        for name, value in figures(progress).items():
            writer.add_scalar(name, value, progress.step)
        writer.flush()
        if progress.step >= progress.steps:
            writer.close()

    return watch


def mlflow(folder: str | Path, *, experiment: str = "tabsynth", run: str | None = None) -> Callback:
    """Log loss and validation score by step as a run of a local MLflow store.

    MLflow's telemetry is switched off (``MLFLOW_DISABLE_TELEMETRY``); its global run and tracking URI do not change.
    The run of an interrupted fit stays marked as running.

    Args:
        folder: Folder of the store's database (``mlflow.db``); created if missing. Servers are refused: log to one
            with a callback of your own.
        experiment: The experiment that the run belongs to.
        run: The run's name; MLflow generates one by default.

    Raises:
        InputError: The folder names a server.
        MissingDependencyError: mlflow is not installed.
    """
    if "://" in str(folder):
        raise InputError(f"{str(folder)!r} is not a folder; tabsynth opens no connection, so name a local one")
    with environment(("MLFLOW_DISABLE_TELEMETRY", "true"), replace=False).made():  # read when mlflow is imported
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise missing_package("this callback", "mlflow", "mlflow") from error
    path = Path(folder).resolve()
    path.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{path / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    number = found.experiment_id if found else client.create_experiment(experiment, (path / "artifacts").as_uri())
    key = client.create_run(number, run_name=run).info.run_id

    def watch(progress: Progress) -> None:
        for name, value in figures(progress).items():
            client.log_metric(key, name, value, step=progress.step)
        if progress.step >= progress.steps:
            client.set_terminated(key, "FINISHED")

    return watch


def figures(progress: Progress) -> dict[str, float]:
    """Return the logged values: ``loss``, ``seconds``, and ``validation`` if it was measured."""
    out = {"loss": progress.loss, "seconds": progress.seconds}
    return out if progress.validation is None else out | {"validation": progress.validation}
