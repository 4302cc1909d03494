"""What a pipeline file says, checked key by key before anything is read or written."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.sample_datasets import is_shipped
from tabsynth.errors import InputError, quote
from tabsynth.schema.schema import Schema

VERSION = 1
"""Version of the pipeline file; a file of a later version is refused."""

EXAMPLE = """\
# A whole job for `tabsynth run`: read, split, fit, sample, evaluate. Only version, input and output must be given.
# Relative paths start at this file's folder; the files of the steps below go into the output folder.
version: 1
input: sklearn:breast_cancer      # a CSV, Parquet or Excel file, or sklearn:NAME for a table that ships with it
output: output                    # folder, made if it is not there
# schema: schema.json             # what the columns are, as a file or written out here; inferred when left out
target: diagnosis                 # the column that the table is used to predict, if there is one
holdout: 0.2                      # share of rows kept out of the fit (or a file of such rows) to evaluate against
seed: 0                           # of everything random (default: 0); a step may have a seed of its own

model:
  kind: masked                    # `tabsynth fit --help` lists the kinds
  # epochs: 20                    # any option of the model; by default as long as the table needs
  # min_group: 5                  # values that fewer rows than this share are never released
  output: model.tabsynth
  # checkpoint: false             # by default a long fit keeps its state, and goes on from it when run again

sample:
  # rows: 1000                    # by default as many as were fitted
  # given: {diagnosis: benign, mean radius: [10, 20]}   # what every row must meet: a value, a range, a list of values
  output: synthetic.parquet       # or .csv

evaluate:                         # `evaluate: false` leaves it out
  report: report.html
  json: report.json
  # require: {NAME: 0.9}          # a score of the report must be at least this good, or `tabsynth run` exits with 3
"""


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """Which synthesizer to fit, with its options by name; ``checkpoint`` None keeps one if the model can."""

    kind: str = "masked"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    output: str = "model.tabsynth"
    checkpoint: bool | None = None


@dataclass(frozen=True, kw_only=True)
class SampleStep:
    """How many rows to draw, what they must meet and where they go."""

    rows: int | None = None
    given: Mapping[str, Any] | None = None
    seed: int | None = None
    output: str = "synthetic.parquet"


@dataclass(frozen=True, kw_only=True)
class EvaluateStep:
    """Where the report goes, and how good which score must be."""

    report: str = "report.html"
    json: str | None = "report.json"
    require: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A checked pipeline: what to read, and what each step does. A step that is None is left out."""

    input: str | Path
    output: Path
    schema: Schema | None = None
    target: str | None = None
    holdout: float | Path | None = None
    seed: int = 0
    model: ModelStep = field(default_factory=ModelStep)
    sample: SampleStep | None = field(default_factory=SampleStep)
    evaluate: EvaluateStep | None = field(default_factory=EvaluateStep)


def read_job(path: str | Path) -> Job:
    """Read a pipeline file.

    Raises:
        SourceError: The file cannot be read, or is not YAML.
        InputError: A key is unknown, missing or of the wrong type; the message names it and what is allowed.
    """
    data = read_yaml(path, "pipeline")
    return job_from_dict(data, folder=Path(path).parent, name=Path(path).name)


def job_from_dict(data: Any, *, folder: str | Path = ".", name: str = "pipeline") -> Job:
    """Check a pipeline given as plain data.

    Args:
        data: The pipeline as a mapping.
        folder: Where relative paths start.
        name: What to call the pipeline in messages.

    Raises:
        InputError: A key is unknown, missing or of the wrong type; the message names it and what is allowed.
    """
    top = _Keys(data, name)
    version = top.take("version", int, "a whole number", required=True)
    if version > VERSION:
        raise InputError(f"{name}: version {version} is later than {VERSION}: upgrade tabsynth to run it")
    source = top.take("input", str, "a path or sklearn:NAME", required=True)
    output = top.take("output", str, "a folder", required=True)
    schema = top.take("schema", (str, Mapping), "a path or a schema written out")
    holdout = top.take("holdout", (str, float), "a share such as 0.2 or a path")
    if isinstance(holdout, float) and not 0 < holdout < 1:
        raise InputError(f"{name}: holdout must lie between 0 and 1, not {holdout:g}")
    base = Path(folder)
    job = Job(
        input=source if is_shipped(source) else base / source,
        output=base / output,
        schema=Schema.from_json(base / schema) if isinstance(schema, str) else schema and Schema.from_dict(schema),
        target=top.take("target", str, "a column's name"),
        holdout=base / holdout if isinstance(holdout, str) else holdout,
        seed=top.seed() or 0,
        model=_model(_Keys(top.take("model", Mapping, "a mapping", {}), f"{name}: model")),
        sample=_sample(top.step("sample")),
        evaluate=_evaluate(top.step("evaluate")),
    )
    top.end()
    if job.evaluate is not None and job.sample is None:
        raise InputError(f"{name}: without sample there is nothing to evaluate; add evaluate: false")
    return job


def _model(keys: _Keys) -> ModelStep:
    """The model step; whatever key is left is an option of the model, checked when it is made."""
    return ModelStep(
        kind=keys.take("kind", str, "a name", "masked"),
        seed=keys.seed(),
        output=keys.take("output", str, "a file name", "model.tabsynth"),
        checkpoint=keys.take("checkpoint", bool, "true or false"),
        options=keys.rest(),
    )


def _sample(keys: _Keys | None) -> SampleStep | None:
    if keys is None:
        return None
    rows = keys.take("rows", int, "a whole number")
    if rows is not None and rows < 1:
        raise InputError(f"{keys.where}: rows must be at least 1, not {rows}")
    given = keys.take("given", Mapping, "a mapping from column to value, [low, high] or [a, b, ...]")
    step = SampleStep(
        rows=rows,
        given=given and {str(column): _condition(value) for column, value in given.items()},
        seed=keys.seed(),
        output=keys.take("output", str, "a file name", "synthetic.parquet"),
    )
    keys.end()
    return step


def _evaluate(keys: _Keys | None) -> EvaluateStep | None:
    if keys is None:
        return None
    require = _Keys(keys.take("require", Mapping, "a mapping from score to limit", {}), f"{keys.where}: require")
    step = EvaluateStep(
        report=keys.take("report", str, "a file name", "report.html"),
        json=keys.take("json", str, "a file name", "report.json"),
        require={str(name): require.take(name, float, "a number", required=True) for name in list(require.data)},
        seed=keys.seed(),
    )
    keys.end()
    return step


def _condition(value: Any) -> Any:
    """A condition whose dates are text, as everywhere else."""
    if isinstance(value, list):
        return [_condition(side) for side in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


class _Keys:
    """One mapping of the file, taken key by key; a key that is left over at the end is unknown."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, Mapping):
            raise InputError(f"{where}: expected a mapping of keys and values, not {type(data).__name__}")
        self.data = dict(data)
        self.where = where
        self.known: list[str] = []

    def take(self, key: str, kinds: Any, what: str, default: Any = None, *, required: bool = False) -> Any:
        """A key's value, of one of ``kinds``; a whole number counts as a float, a boolean never as a number."""
        self.known.append(key)
        value = self.data.pop(key, None)
        if value is None:
            if required:
                raise InputError(f"{self.where}: {key!r} is missing; give {what}")
            return default
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if float in kinds and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InputError(f"{self.where}: {key} must be {what}, not {value!r}")
        return value

    def seed(self) -> int | None:
        """The value of ``seed``."""
        seed = self.take("seed", int, "a whole number")
        if seed is not None and not 0 <= seed < 2**63:
            raise InputError(f"{self.where}: seed must be a whole number from 0 to 2**63 - 1, not {seed}")
        return None if seed is None else int(seed)

    def step(self, key: str) -> _Keys | None:
        """A step's own keys; None when the file says ``false``."""
        if self.data.get(key) is False:
            del self.data[key]
            return None
        return _Keys(self.take(key, Mapping, "a mapping, or false to leave it out", {}), f"{self.where}: {key}")

    def rest(self) -> dict[str, Any]:
        """What has not been taken."""
        return {str(key): value for key, value in self.data.items()}

    def end(self) -> None:
        """Raise when a key is left over."""
        for key in self.data:
            close = difflib.get_close_matches(str(key), self.known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise InputError(f"{self.where}: unknown key {key!r}{hint}; allowed are {quote(self.known, 12)}")
