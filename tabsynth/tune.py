"""Hyperparameter search for a synthesizer, by a score on held-out rows.

One half of the held-out rows selects the options. The other half scores only the selected options and the defaults, so
that its figures carry no selection bias.
"""

from __future__ import annotations

import inspect
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from tabsynth.common.atomic_files import write_text
from tabsynth.common.process_state import quiet_logger
from tabsynth.common.progress import Progress
from tabsynth.common.validation import check_required_integers, checked_arguments, validate_seed
from tabsynth.data.table import Table, TableLike
from tabsynth.data.train_test_split import split
from tabsynth.errors import DataError, InputError, TrainingError, missing_package, quote
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.inputs import relax_schema
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.registry import create
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

if TYPE_CHECKING:
    import optuna

SPACES: dict[str, dict[str, tuple[str, float, float]]] = {
    "masked": {"epochs": ("log", 4, 256)},
    "vae": {"epochs": ("log", 4, 256)},
    "ctgan": {
        "epochs": ("log", 50, 1000),
        "generator_lr": ("log real", 5e-5, 2e-3),
        "discriminator_lr": ("log real", 5e-5, 2e-3),
        "discriminator_steps": ("whole", 1, 5),
    },
    "tvae": {
        "epochs": ("log", 50, 1000),
        "l2scale": ("log real", 1e-6, 1e-3),
        "loss_factor": ("log real", 0.5, 8),
    },
    "copula_gan": {
        "epochs": ("log", 50, 1000),
        "generator_lr": ("log real", 5e-5, 2e-3),
        "discriminator_lr": ("log real", 5e-5, 2e-3),
    },
}
"""Search space of each kind: scale, low, high. ``min_group`` protects people and is never tuned."""

HOLDOUT_OBJECTIVES = ("shape_error", "trend_error", "detection_auc", "detection_column_auc")
"""Scores that compare the synthetic table with the held-out rows."""

UTILITY_OBJECTIVES = ("utility", "utility_gap")
"""Scores of a model that is trained on synthetic rows and tested on held-out rows."""


MIN_HOLDOUT_ROWS = 40


class _TimeLimitError(Exception):
    """The time of a search is over."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Result of a search.

    Attributes:
        kind: The synthesizer.
        options: The best options; empty if the defaults were best.
        objective: The score that was optimised.
        chosen: The best score on the selection half: optimistic.
        confirmed: The score of the same options on the confirmation half.
        default: The defaults' score on the confirmation half.
        trials: Options and score of each trial on the selection half, the defaults first; None if the fit failed.
    """

    kind: str
    options: Mapping[str, Any]
    objective: str
    chosen: Score
    confirmed: Score
    default: Score
    trials: tuple[tuple[Mapping[str, Any], float | None], ...]

    def __str__(self) -> str:
        options = ", ".join(f"{name} = {_round_digits(value)}" for name, value in self.options.items())
        return (
            f"best of {len(self.trials)} settings of {self.kind}: {options or 'the defaults'}\n"
            f"on the confirmation rows: {self.confirmed}\n"
            f"the defaults on these rows: {format_number(self.default.value, self.default.unit)}"
        )

    def to_yaml(self) -> str:
        """Return the options as the ``model`` step of a pipeline file, with the scores as comments."""
        step = {"model": {"kind": self.kind, **{name: _round_digits(value) for name, value in self.options.items()}}}
        comments = "".join(f"# {line}\n" for line in str(self).splitlines())
        return comments + yaml.safe_dump(step, sort_keys=False)

    def save(self, path: str | Path) -> None:
        """Write ``to_yaml`` to a file."""
        write_text(path, self.to_yaml())


@checked_arguments
def tune(
    data: TableLike,
    model: str = "masked",
    *,
    trials: int = 20,
    objective: str = "detection_auc",
    holdout: float = 0.2,
    target: str | None = None,
    schema: Schema | None = None,
    space: Mapping[str, tuple[str, float, float]] | None = None,
    minutes: float | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Search a synthesizer's options.

    The defaults are the first trial; Optuna's tree-structured Parzen estimator (Bergstra et al., "Algorithms for
    hyper-parameter optimization", NeurIPS 2011) proposes the others.

    Args:
        data: The table.
        model: The kind of synthesizer: a key of ``SPACES``.
        trials: Number of fits, including the defaults.
        objective: The score to optimise: one of ``HOLDOUT_OBJECTIVES`` or ``UTILITY_OBJECTIVES``.
        holdout: Share of held-out rows: half of them select, half confirm.
        target: The column to predict, for ``utility``; by default the one with that role.
        schema: The schema; inferred by default.
        space: Search space by option: ``("log" | "whole" | "log real" | "real", low, high)``.
        minutes: Start no further trial after this many minutes, and stop the training of the current one. The defaults
            are always fitted. The result then depends on the speed of the machine. By default there is no limit.
        seed: Seed of split, proposals, fits and samples.
        say: Called with one line per trial.

    Raises:
        InputError: An unknown kind, objective or option, invalid minutes, or too few rows.
        MissingDependencyError: Optuna is not installed.
        TrainingError: The defaults cannot be fitted.
    """
    check_required_integers(trials=trials)
    end = math.inf if minutes is None else time.monotonic() + 60 * _validate_minutes(minutes)
    if objective not in (*HOLDOUT_OBJECTIVES, *UTILITY_OBJECTIVES):
        raise InputError(
            f"cannot tune for {objective!r}; choose one of {', '.join((*HOLDOUT_OBJECTIVES, *UTILITY_OBJECTIVES))}"
        )
    create(model)
    searched = SPACES.get(model, {}) if space is None else space
    if not searched:
        raise InputError(f"the synthesizer {model!r} has no options to tune; choose one of {', '.join(SPACES)}")
    create(model, **dict.fromkeys(searched))
    study = _create_study(validate_seed(seed))
    table = Table.of(data, schema)
    target = target or next(iter(table.schema.with_role("target")), None)
    if objective in UTILITY_OBJECTIVES and target is None:
        raise InputError(f"the objective {objective} needs a column to predict: name it with target=")
    train, held = split(table, holdout, seed=seed, target=target)
    if len(held) < MIN_HOLDOUT_ROWS:
        raise DataError(
            f"{len(held)} held-out rows are too few, at least {MIN_HOLDOUT_ROWS} are needed; raise holdout={holdout:g}"
        )
    choosing, confirming = split(held, 0.5, seed=seed, target=target)

    def stop_late(progress: Progress) -> None:
        if time.monotonic() > end:
            raise _TimeLimitError("its training was stopped by the time limit")

    def draw(options: Mapping[str, Any]) -> pd.DataFrame:
        new = create(model, **options)
        # Only our own networks report their progress; a score of the defaults is always needed.
        callbacks = (stop_late,) if options and isinstance(new, TokenSynthesizer) else ()
        return new.fit(train, seed=seed, progress=False, callbacks=callbacks).sample(seed=seed, progress=False)

    def score(synthetic: pd.DataFrame, rows: Table) -> Score:
        return _score(objective, train, synthetic, rows, target, seed)

    best: dict[str, Any] = {}
    began = time.monotonic()
    by_default = best_synthetic = draw(best)
    chosen = score(by_default, choosing)
    done: list[tuple[Mapping[str, Any], float | None]] = [({}, chosen.value)]
    say(f"defaults: {objective} = {chosen.value:.4f} ({time.monotonic() - began:.0f} s)")
    for number in range(1, trials):
        if time.monotonic() > end:
            say(f"stopped before trial {number} of {trials}: {minutes:g} minutes have passed")
            break
        began, trial = time.monotonic(), study.ask()
        options = {name: _suggest(trial, name, bounds) for name, bounds in searched.items()}
        try:
            synthetic = draw(options)
            current = score(synthetic, choosing)
        except (TrainingError, _TimeLimitError) as error:
            study.tell(trial, state=_fail_state())
            done.append((options, None))
            say(f"trial {number}: {options}: {error}")
            continue
        study.tell(trial, _loss(current))
        done.append((options, current.value))
        say(f"trial {number}: {options}: {objective} = {current.value:.4f} ({time.monotonic() - began:.0f} s)")
        if _loss(current) < _loss(chosen):
            best, chosen, best_synthetic = options, current, synthetic
    default = score(by_default, confirming)
    return Tuning(
        kind=model,
        options=best,
        objective=objective,
        chosen=chosen,
        confirmed=score(best_synthetic, confirming) if best else default,
        default=default,
        trials=tuple(done),
    )


class _CallableModule(ModuleType):
    """Search a synthesizer's options: ``tabsynth.tune(data, "masked")`` is ``tabsynth.tune.tune(data, "masked")``."""

    __call__ = staticmethod(tune)


sys.modules[__name__].__class__ = _CallableModule
vars(sys.modules[__name__])["__signature__"] = inspect.signature(tune)


def _validate_minutes(minutes: float) -> float:
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes < math.inf:
        raise InputError(f"minutes must be a positive number, not {minutes!r}; leave it out for no limit")
    return minutes


def _score(objective: str, train: Table, synthetic: pd.DataFrame, rows: Table, target: str | None, seed: int) -> Score:
    """Return the objective of a synthetic table on held-out rows."""
    options: dict[str, Any] = {"seed": seed, "sdmetrics": False, "thorough": False}
    if objective in UTILITY_OBJECTIVES:
        report = evaluate(train, synthetic, rows, target=target, schema=train.schema, **options)
    else:
        report = evaluate(rows.frame, synthetic, schema=relax_schema(train.schema), **options)
    if objective not in report.scores:
        raise InputError(f"{objective} is not defined for this table; its scores are {quote(report.scores, 10)}")
    return report.scores[objective]


def _loss(score: Score) -> float:
    """Return a score as a loss."""
    if score.better == "target":
        return abs(score.value - (score.target or 0.0))
    return score.value if score.better == "lower" else -score.value


def _create_study(seed: int) -> optuna.Study:
    """Return a seeded, silent study."""
    try:
        import optuna
    except ImportError as error:
        raise missing_package("tuning", "optuna", "tune") from error
    with quiet_logger("optuna").made():
        return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=5))


def _fail_state() -> optuna.trial.TrialState:
    import optuna

    return optuna.trial.TrialState.FAIL


def _suggest(trial: optuna.Trial, name: str, bounds: tuple[str, float, float]) -> int | float:
    scale, low, high = bounds
    if scale in ("log", "whole"):
        return trial.suggest_int(name, int(low), int(high), log=scale == "log")
    if scale in ("log real", "real"):
        return trial.suggest_float(name, low, high, log=scale == "log real")
    raise InputError(f"space[{name!r}]: unknown scale {scale!r}; choose log, whole, log real or real")


def _round_digits(value: Any) -> Any:
    """Round a float to four digits."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
