"""Parse and validate a pipeline file."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.sample_datasets import is_shipped
from tabsynth.data.sql.transfer import MODES, Mode
from tabsynth.data.sql.urls import check_no_password, is_database_url, relative_to
from tabsynth.errors import InputError
from tabsynth.pipeline.mapping_reader import MappingReader
from tabsynth.schema.schema import Schema

VERSION = 1
"""Version of the pipeline file format."""

EXAMPLE = """\
# A pipeline for `tabsynth run`: read, split, fit, sample, evaluate, audit. Only version, input and output are required.
# Relative paths start at this file's folder; the steps below write into the output folder.
version: 1
input: sklearn:breast_cancer      # a file, URL of a database's table, or sklearn:NAME for a table that ships with it
output: output                    # folder, created if missing
# read: {separator: ";", decimal: ","}   # also encoding, missing and sheet; table or query of a database
# schema: schema.json             # a schema file, or the schema itself; inferred by default
target: diagnosis                 # the column to predict, if any
holdout: 0.2                      # share of held-out rows for the evaluation, or a file of such rows
seed: 0                           # default 0; a step may have its own seed

split:                            # files of the real rows, if holdout is a share; `split: false` writes none
  train: real-train.parquet
  holdout: real-holdout.parquet

model:
  kind: masked                    # `tabsynth fit --help` lists the kinds
  # epochs: 20                    # any option of the model; by default chosen by the model
  # min_group: 5                  # values that occur in fewer rows are never released
  output: model.tabsynth
  # checkpoint: false             # by default an interrupted fit resumes from a checkpoint

sample:
  # rows: 1000                    # default: as many as the training table
  # given: {diagnosis: benign, mean radius: [10, 20]}   # conditions: a value, a range, a list of values
  output: synthetic.parquet       # or .csv
  # database: "postgresql://user@host/clinic#synthetic"   # a copy, written when every requirement is met
  # mode: replace                 # how that table is written: create, append or replace

evaluate:                         # `evaluate: false` skips it
  report: report.html
  json: report.json
  # require: {NAME: 0.9}          # if a score is worse than its limit, `tabsynth run` exits with 3 and replaces nothing

# audit:                          # attack the synthetic table (needs a holdout); left out by default
#   report: audit.html
#   json: audit.json
#   require: {verdict: consistent, copies_exact: 0.1}   # a violation always fails
"""


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """The synthesizer and its options; ``checkpoint`` None means one if the model supports it."""

    kind: str = "masked"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    output: str = "model.tabsynth"
    checkpoint: bool | None = None


@dataclass(frozen=True, kw_only=True)
class SampleStep:
    """Number of rows, conditions and output file; ``database`` is a URL to which the rows are copied, if any."""

    rows: int | None = None
    given: Mapping[str, Any] | None = None
    seed: int | None = None
    output: str = "synthetic.parquet"
    database: str | None = None
    mode: Mode = "replace"


@dataclass(frozen=True, kw_only=True)
class EvaluateStep:
    """Report files, and limits of scores."""

    report: str = "report.html"
    json: str | None = "report.json"
    require: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class SplitStep:
    """Files of the training and held-out rows."""

    train: str = "real-train.parquet"
    holdout: str = "real-holdout.parquet"


@dataclass(frozen=True, kw_only=True)
class AuditStep:
    """Audit files, the required verdict, and maxima of scores."""

    report: str = "audit.html"
    json: str | None = "audit.json"
    require: Mapping[str, str | float] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A validated pipeline; a step that is None is skipped."""

    input: str | Path
    output: Path
    read: Mapping[str, Any] = field(default_factory=dict)
    schema: Schema | None = None
    target: str | None = None
    holdout: float | str | Path | None = None
    seed: int = 0
    split: SplitStep | None = field(default_factory=SplitStep)
    model: ModelStep = field(default_factory=ModelStep)
    sample: SampleStep | None = field(default_factory=SampleStep)
    evaluate: EvaluateStep | None = field(default_factory=EvaluateStep)
    audit: AuditStep | None = None
    files: tuple[Path, ...] = ()
    """Files that describe the pipeline, which no step may replace."""


def read_job(path: str | Path) -> Job:
    """Read a pipeline file.

    Raises:
        SourceError: The file cannot be read, or is not YAML.
        InputError: A key is unknown, missing or of the wrong type.
    """
    data = read_yaml(path, "pipeline")
    job = job_from_dict(data, folder=Path(path).parent, name=Path(path).name)
    return replace(job, files=(Path(path), *job.files))


def job_from_dict(data: Any, *, folder: str | Path = ".", name: str = "pipeline") -> Job:
    """Validate a pipeline given as a mapping.

    Args:
        data: The mapping.
        folder: The start of relative paths.
        name: Name of the pipeline in messages.

    Raises:
        InputError: A key is unknown, missing or of the wrong type.
    """
    top = MappingReader(data, name)
    version = top.take("version", int, "an integer", required=True)
    if version > VERSION:
        raise InputError(f"{name}: version {version} is later than {VERSION}; upgrade tabsynth")
    source = top.take("input", str, "a path or sklearn:NAME", required=True)
    output = top.take("output", str, "a folder", required=True)
    schema = top.take("schema", (str, Mapping), "a path or a schema written out")
    holdout = top.take("holdout", (str, float), "a share such as 0.2 or a path")
    if isinstance(holdout, float) and not 0 < holdout < 1:
        raise InputError(f"{name}: holdout must be between 0 and 1, not {holdout:g}")
    base = Path(folder)
    job = Job(
        input=_input(source, base),
        output=base / output,
        read=_read(MappingReader(top.take("read", Mapping, "a mapping", {}), f"{name}: read")),
        schema=Schema.from_json(base / schema) if isinstance(schema, str) else schema and Schema.from_dict(schema),
        target=top.take("target", str, "a column's name"),
        holdout=_input(holdout, base) if isinstance(holdout, str) else holdout,
        seed=top.seed() or 0,
        split=_split(top.step("split")),
        model=_model(MappingReader(top.take("model", Mapping, "a mapping", {}), f"{name}: model")),
        sample=_sample(top.step("sample"), base),
        evaluate=_evaluate(top.step("evaluate")),
        audit=_audit(top.step("audit", default=False)),
        files=(base / schema,) if isinstance(schema, str) else (),
    )
    top.end()
    if job.evaluate is not None and job.sample is None:
        raise InputError(f"{name}: evaluate needs the step sample; add evaluate: false, or remove sample: false")
    if job.audit is not None and (job.sample is None or job.holdout is None):
        raise InputError(f"{name}: audit needs the step sample, and a holdout; add them, or remove audit")
    return job


def _input(name: str, base: Path) -> str | Path:
    """A table that ships, a database's URL without a password, or a file; relative paths start at a folder."""
    if is_database_url(name):
        check_no_password(name)
        return relative_to(name, base)
    return name if is_shipped(name) else base / name


def _read(keys: MappingReader) -> Mapping[str, Any]:
    """Options of ``tabsynth.read``."""
    names = ("separator", "decimal", "encoding", "sheet", "table", "query")
    options = {key: keys.take(key, str, "text") for key in names}
    options["missing"] = keys.take("missing", list, "a list of spellings")
    keys.end()
    return {key: value for key, value in options.items() if value is not None}


def _model(keys: MappingReader) -> ModelStep:
    """The model step; all other keys are options of the model, which checks them."""
    return ModelStep(
        kind=keys.take("kind", str, "a name", "masked"),
        seed=keys.seed(),
        output=keys.take("output", str, "a file name", "model.tabsynth"),
        checkpoint=keys.take("checkpoint", bool, "true or false"),
        options=keys.rest(),
    )


def _sample(keys: MappingReader | None, base: Path) -> SampleStep | None:
    if keys is None:
        return None
    rows = keys.take("rows", int, "an integer")
    if rows is not None and rows < 1:
        raise InputError(f"{keys.where}: rows must be at least 1, not {rows}")
    given = keys.take("given", Mapping, "a mapping from column to value, [low, high] or [a, b, ...]")
    step = SampleStep(
        rows=rows,
        given=given and {str(column): _condition(value) for column, value in given.items()},
        seed=keys.seed(),
        output=keys.take("output", str, "a file name", "synthetic.parquet"),
        database=_database(keys.take("database", str, "a database's URL"), base, keys.where),
        mode=keys.take("mode", str, "create, append or replace", SampleStep.mode),
    )
    if step.mode not in MODES:
        raise InputError(f"{keys.where}: mode must be one of {', '.join(MODES)}, not {step.mode!r}")
    keys.end()
    return step


def _database(name: str | None, base: Path, where: str) -> str | None:
    """A database's URL that names a table."""
    if name is None:
        return None
    if not is_database_url(name) or "#" not in name:
        raise InputError(f"{where}: database must be a URL that names a table, such as sqlite:///clinic.db#synthetic")
    return str(_input(name, base))


def _evaluate(keys: MappingReader | None) -> EvaluateStep | None:
    if keys is None:
        return None
    require = MappingReader(keys.take("require", Mapping, "limits by score", {}), f"{keys.where}: require")
    step = EvaluateStep(
        report=keys.take("report", str, "a file name", "report.html"),
        json=keys.take("json", str, "a file name", "report.json"),
        require={str(name): require.take(name, float, "a number", required=True) for name in list(require.data)},
        seed=keys.seed(),
    )
    keys.end()
    return step


def _split(keys: MappingReader | None) -> SplitStep | None:
    if keys is None:
        return None
    step = SplitStep(
        train=keys.take("train", str, "a file name", SplitStep.train),
        holdout=keys.take("holdout", str, "a file name", SplitStep.holdout),
    )
    keys.end()
    return step


def _audit(keys: MappingReader | None) -> AuditStep | None:
    if keys is None:
        return None
    require = MappingReader(keys.take("require", Mapping, "maxima by score", {}), f"{keys.where}: require")
    limits: dict[str, str | float] = {}
    for name in map(str, list(require.data)):
        limits[name] = require.take(name, str if name == "verdict" else float, "a number", required=True)
    if limits.get("verdict", "consistent") != "consistent":
        raise InputError(f"{keys.where}: require: verdict must be consistent, not {limits['verdict']!r}")
    step = AuditStep(
        report=keys.take("report", str, "a file name", AuditStep.report),
        json=keys.take("json", str, "a file name", AuditStep.json),
        require=limits,
        seed=keys.seed(),
    )
    keys.end()
    return step


def _condition(value: Any) -> Any:
    """A condition with its dates as text."""
    if isinstance(value, list):
        return [_condition(side) for side in value]
    return value.isoformat() if isinstance(value, datetime.date) else value
