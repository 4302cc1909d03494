"""Parse and validate a pipeline file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.database.folders import holds_linked_tables
from tabsynth.data.sample_datasets import is_shipped
from tabsynth.data.sql.urls import is_database_url, parse_url
from tabsynth.errors import InputError, TabsynthError
from tabsynth.pipeline.mapping_reader import MappingReader
from tabsynth.pipeline.step_config import (
    AuditStep,
    EvaluateStep,
    MixStep,
    ModelStep,
    ReleaseStep,
    SampleStep,
    SplitStep,
)
from tabsynth.pipeline.step_parsers import (
    parse_audit,
    parse_evaluate,
    parse_input,
    parse_mix,
    parse_model,
    parse_read,
    parse_release,
    parse_sample,
    parse_split,
)
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

VERSION = 1
"""Version of the pipeline file format."""

EXAMPLE = """\
# A pipeline for `tabsynth run`: read, split, fit, sample, evaluate, audit. Only version, input and output are required.
# Relative paths start at this file's folder; the steps below write into the output folder.
version: 1
input: sklearn:breast_cancer      # a file, URL of a database's table, sklearn:NAME, or mix: {plan: plan.yaml} instead
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
  # privacy: {epsilon: 1.0, delta: 1.0e-6, ledger: patients.ledger}   # differential privacy: needs a declared schema

sample:
  # rows: 1000                    # default: as many as the training table
  # given: {diagnosis: benign, mean radius: [10, 20]}   # conditions: a value, a range, a list of values
  output: synthetic.parquet       # or .csv, then also `separator: ";"`
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

# release:                        # a signed release (needs evaluate and audit); left out by default
#   name: patients-2026
#   title: Synthetic patients
#   license: CC-BY-4.0
#   publisher: Data office
#   key: release.pem              # a private key, see `tabsynth keys`
#   output: release.zip           # or a folder, or .zip.age with recipients
#   waivers: [{gate: audit, who: A. Analyst, why: pilot, until: 2027-03-31}]   # gates that may be missed
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A validated pipeline; a step that is None is skipped."""

    input: str | Path
    output: Path
    linked: bool = False
    """Whether the input is a folder or a database of linked tables; results are folders then."""
    mix: MixStep | None = None
    read: Mapping[str, Any] = field(default_factory=dict)
    schema: Schema | DatabaseSchema | None = None
    target: str | None = None
    holdout: float | str | Path | None = None
    seed: int = 0
    split: SplitStep | None = field(default_factory=SplitStep)
    model: ModelStep = field(default_factory=ModelStep)
    sample: SampleStep | None = field(default_factory=SampleStep)
    evaluate: EvaluateStep | None = field(default_factory=EvaluateStep)
    audit: AuditStep | None = None
    release: ReleaseStep | None = None
    files: tuple[Path, ...] = ()
    """Files that describe the pipeline, which no step may replace."""

    @property
    def table_schema(self) -> Schema | None:
        """The schema of the one table."""
        assert not isinstance(self.schema, DatabaseSchema)
        return self.schema

    @property
    def database_schema(self) -> DatabaseSchema | None:
        """The schema of the linked tables."""
        assert not isinstance(self.schema, Schema)
        return self.schema


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
    base = Path(folder)
    linked = _is_linked(top.data, base)
    if linked:
        for key in ("target", "mix"):
            if top.take(key, object, ""):
                raise InputError(f"{name}: {key} is for one table; leave it out of a pipeline of linked tables")
    source = top.take("input", str, "a path or sklearn:NAME", required="mix" not in top.data)
    mix = parse_mix(top.step("mix", default=False), base)
    if (mix is None) == (source is None):
        raise InputError(f"{name}: give either input or mix")
    output = top.take("output", str, "a folder", required=True)
    schema = top.take("schema", (str, Mapping), "a path or a schema written out")
    holdout = top.take("holdout", (str, float), "a share such as 0.2 or a path")
    if isinstance(holdout, float) and not 0 < holdout < 1:
        raise InputError(f"{name}: holdout must be between 0 and 1, not {holdout:g}")
    read = MappingReader(top.take("read", Mapping, "a mapping", {}), f"{name}: read")
    model = MappingReader(top.take("model", Mapping, "a mapping", {}), f"{name}: model")
    job = Job(
        input=mix.plan if mix is not None else parse_input(source, base),
        mix=mix,
        output=base / output,
        linked=linked,
        read=parse_read(read, linked=linked),
        schema=_parse_schema(schema, base, linked=linked),
        target=top.take("target", str, "a column's name"),
        holdout=parse_input(holdout, base) if isinstance(holdout, str) else holdout,
        seed=top.seed() or 0,
        split=parse_split(top.step("split"), linked=linked),
        model=parse_model(model, base, linked=linked),
        sample=parse_sample(top.step("sample"), base, linked=linked),
        evaluate=parse_evaluate(top.step("evaluate")),
        audit=parse_audit(top.step("audit", default=False)),
        release=parse_release(top.step("release", default=False), base),
        files=(base / schema,) if isinstance(schema, str) else (),
    )
    top.end()
    if job.evaluate is not None and job.sample is None:
        raise InputError(f"{name}: evaluate needs the step sample; add evaluate: false, or remove sample: false")
    if linked and job.model.privacy is not None and job.schema is None:
        raise InputError(f"{name}: a private fit of linked tables needs a declared schema; give schema")
    if job.audit is not None and (job.sample is None or job.holdout is None):
        raise InputError(f"{name}: audit needs the step sample, and a holdout; add them, or remove audit")
    if job.release is not None and (job.evaluate is None or job.audit is None):
        raise InputError(f"{name}: release needs the steps evaluate and audit; add them, or remove release")
    return job


def stated_output(source: str | Path | Mapping[str, Any] | Job) -> Path | None:
    """Return the output folder that a pipeline names, even if the rest of it is invalid; None if it names none."""
    if isinstance(source, Job):
        return source.output
    folder, data = Path(), source
    if not isinstance(source, Mapping):
        try:
            folder, data = Path(source).parent, read_yaml(source, "pipeline")
        except TabsynthError:
            return None
    output = data.get("output") if isinstance(data, Mapping) else None
    return folder / output if isinstance(output, str) else None


def _parse_schema(
    source: str | Mapping[str, Any] | None, base: Path, *, linked: bool
) -> Schema | DatabaseSchema | None:
    """Parse the schema of the table, or of the database, from a file or written out."""
    if source is None:
        return None
    kind: type[Schema | DatabaseSchema] = DatabaseSchema if linked else Schema
    return kind.from_json(base / source) if isinstance(source, str) else kind.from_dict(source)


def _is_linked(data: Mapping[str, Any], base: Path) -> bool:
    """Return whether the input is a folder of linked tables, or a database without the name of a table."""
    source, read = data.get("input"), data.get("read")
    if not isinstance(source, str) or is_shipped(source):
        return False
    if not is_database_url(source):
        return holds_linked_tables(base / source)
    names_table = isinstance(read, Mapping) and (read.get("table") or read.get("query"))
    return not names_table and parse_url(source).table is None
