"""Search a synthesizer's options for those that serve one table best, by a score on rows that were never fitted.

The held-out rows are cut in two. One half chooses among the settings; since the best of many is partly luck, the figure
to believe is the other half's, which sees only the setting chosen and the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from tabsynth.common.atomic_files import write_text
from tabsynth.common.validation import checked_seed
from tabsynth.data.table import Table
from tabsynth.data.train_test_split import split
from tabsynth.errors import DataError, InputError, MissingDependencyError, TrainingError, quote
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.inputs import relaxed
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import figure
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.registry import create

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
"""What is searched of each kind: how, from and to. ``min_group`` is a floor for persons' sake, so it is never tuned."""

SETTLED = ("shape_error", "trend_error", "detection_auc", "detection_column_auc")
"""Scores for which the held-out rows stand in the place of the real table."""

NEEDING_TRAIN = ("utility", "utility_gap")
"""Scores that ask what a model trained on synthetic rows makes of the held-out ones."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a search found.

    Attributes:
        kind: The synthesizer.
        options: The best options; empty when nothing was better than the defaults.
        objective: The name of the score that was sought.
        chosen: The best score on the rows that chose: too good by some luck.
        confirmed: The score of the same options on the rows that did not choose.
        default: The defaults' score on those rows.
        trials: Options and value of each trial on the rows that chose, the defaults first; None where the fit failed.
    """

    kind: str
    options: Mapping[str, Any]
    objective: str
    chosen: Score
    confirmed: Score
    default: Score
    trials: tuple[tuple[Mapping[str, Any], float | None], ...]

    def __str__(self) -> str:
        found = ", ".join(f"{name} = {_plain(value)}" for name, value in self.options.items())
        return (
            f"best of {len(self.trials)} settings of {self.kind}: {found or 'the defaults'}\n"
            f"on rows that did not choose it: {self.confirmed}\n"
            f"the defaults there: {figure(self.default.value, self.default.unit)}"
        )

    def to_yaml(self) -> str:
        """The options as the ``model`` step of a pipeline file, the figures as comments."""
        step = {"model": {"kind": self.kind, **{name: _plain(value) for name, value in self.options.items()}}}
        comments = "".join(f"# {line}\n" for line in str(self).splitlines())
        return comments + yaml.safe_dump(step, sort_keys=False)

    def save(self, path: str | Path) -> None:
        """Write ``to_yaml`` to a file."""
        write_text(path, self.to_yaml())


def tune(
    data: pd.DataFrame | Table | str | Path,
    model: str = "masked",
    *,
    trials: int = 20,
    objective: str = "detection_auc",
    holdout: float = 0.2,
    target: str | None = None,
    schema: Schema | None = None,
    space: Mapping[str, tuple[str, float, float]] | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Search a synthesizer's options.

    The defaults are the first trial; Optuna's tree-structured Parzen estimator (Bergstra et al., "Algorithms for
    hyper-parameter optimization", NeurIPS 2011) proposes the others.

    Args:
        data: The table.
        model: The kind of synthesizer; see ``SPACES``.
        trials: Number of fits, the defaults' included.
        objective: The score to better, in its own direction: one of ``SETTLED`` or ``NEEDING_TRAIN``.
        holdout: Share of rows kept out of every fit: half of them choose, half confirm.
        target: The column to predict, for ``utility``; by default the one with that role.
        schema: What the table is; inferred when left out.
        space: What to search instead, by option: ``("log" | "whole" | "log real" | "real", from, to)``.
        seed: Seed of the split, the proposals, the fits and the draws.
        say: Called with a line after each trial.

    Raises:
        InputError: An unknown kind, objective or option, or too few rows.
        MissingDependencyError: Optuna is not installed.
        TrainingError: The defaults cannot be fitted.
    """
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise InputError(f"trials must be a whole number of at least 1, not {trials!r}")
    if objective not in (*SETTLED, *NEEDING_TRAIN):
        raise InputError(f"cannot tune for {objective!r}; choose one of {', '.join((*SETTLED, *NEEDING_TRAIN))}")
    create(model)  # says so if there is no such kind
    searched = SPACES.get(model, {}) if space is None else space
    if not searched:
        raise InputError(f"the synthesizer {model!r} has no options to tune; choose one of {', '.join(SPACES)}")
    create(model, **dict.fromkeys(searched))
    study = _study(checked_seed(seed))
    table = Table.of(data, schema)
    target = target or next(iter(table.schema.with_role("target")), None)
    if objective in NEEDING_TRAIN and target is None:
        raise InputError(f"{objective} is about predicting a column: name it with target=")
    train, held = split(table, holdout, seed=seed, target=target)
    if len(held) < 40:
        raise DataError(f"{len(held)} held-out rows are too few to choose by; hold out more than {holdout:g}")
    choosing, confirming = split(held, 0.5, seed=seed, target=target)

    def score(options: Mapping[str, Any], rows: Table) -> Score:
        synthetic = create(model, **options).fit(train, seed=seed, progress=False).sample(seed=seed, progress=False)
        return _score(objective, train, synthetic, rows, target, seed)

    best: dict[str, Any] = {}
    chosen = score(best, choosing)
    done: list[tuple[Mapping[str, Any], float | None]] = [({}, chosen.value)]
    say(f"defaults: {objective} = {chosen.value:.4f}")
    for number in range(1, trials):
        trial = study.ask()
        options = {name: _suggested(trial, name, how) for name, how in searched.items()}
        try:
            found = score(options, choosing)
        except TrainingError as error:
            study.tell(trial, state=_failed())
            done.append((options, None))
            say(f"trial {number}: {options}: {error}")
            continue
        study.tell(trial, _loss(found))
        done.append((options, found.value))
        say(f"trial {number}: {options}: {objective} = {found.value:.4f}")
        if _loss(found) < _loss(chosen):
            best, chosen = options, found
    default = score({}, confirming)
    return Tuning(
        kind=model,
        options=best,
        objective=objective,
        chosen=chosen,
        confirmed=score(best, confirming) if best else default,
        default=default,
        trials=tuple(done),
    )


def _score(objective: str, train: Table, synthetic: pd.DataFrame, rows: Table, target: str | None, seed: int) -> Score:
    """One score of a synthetic table on rows that were not fitted."""
    if objective in NEEDING_TRAIN:
        report = evaluate(train, synthetic, rows, target=target, schema=train.schema, seed=seed, sdmetrics=False)
    else:
        report = evaluate(rows.frame, synthetic, schema=relaxed(train.schema), seed=seed, sdmetrics=False)
    if objective not in report.scores:
        raise InputError(f"{objective} cannot be measured on this table; it has {quote(report.scores, 10)}")
    return report.scores[objective]


def _loss(score: Score) -> float:
    """A score as a number to make small."""
    if score.better == "target":
        return abs(score.value - (score.target or 0.0))
    return score.value if score.better == "lower" else -score.value


def _study(seed: int) -> optuna.Study:
    """A search with its own seeded generator, that says nothing on stderr."""
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("tuning needs the package optuna: pip install 'tabsynth[tune]'") from error
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=5))
    finally:
        optuna.logging.set_verbosity(level)


def _failed() -> optuna.trial.TrialState:
    import optuna

    return optuna.trial.TrialState.FAIL


def _suggested(trial: optuna.Trial, name: str, how: tuple[str, float, float]) -> int | float:
    """A value for one option."""
    way, low, high = how
    if way in ("log", "whole"):
        return trial.suggest_int(name, int(low), int(high), log=way == "log")
    if way in ("log real", "real"):
        return trial.suggest_float(name, low, high, log=way == "log real")
    raise InputError(f"the option {name!r} is searched by log, whole, log real or real, not {way!r}")


def _plain(value: Any) -> Any:
    """A number of few digits, as a person would write it into a file."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
