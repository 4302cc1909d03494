"""Configuration of each step of a pipeline, and its parsing."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.sample_datasets import is_shipped
from tabsynth.data.sql.transfer import MODES, Mode
from tabsynth.data.sql.urls import check_no_password, is_database_url, relative_to
from tabsynth.errors import InputError
from tabsynth.pipeline.mapping_reader import MappingReader
from tabsynth.privacy.budget import Privacy


@dataclass(frozen=True, kw_only=True)
class MixStep:
    """A plan that mixes several sources into the input; ``accept_changes`` takes inputs that changed since it."""

    plan: Path
    accept_changes: bool = False
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """The synthesizer and its options; ``checkpoint`` None means one if the model supports it."""

    kind: str = "masked"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    output: str = "model.tabsynth"
    checkpoint: bool | None = None
    privacy: Privacy | None = None


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
class ReleaseStep:
    """A signed release: its description, key, gates, waivers and recipients."""

    about: Mapping[str, Any]
    key: Path
    output: str = "release"
    gates: str | Path | Mapping[str, Any] = "default"
    waivers: tuple[Mapping[str, Any], ...] = ()
    ledger: Path | None = None
    recipients: tuple[str, ...] = ()


def parse_read(keys: MappingReader) -> Mapping[str, Any]:
    """Options of ``tabsynth.read``."""
    names = ("separator", "decimal", "encoding", "sheet", "table", "query")
    options = {key: keys.take(key, str, "text") for key in names}
    options["missing"] = keys.take("missing", list, "a list of spellings")
    keys.end()
    return {key: value for key, value in options.items() if value is not None}


def parse_model(keys: MappingReader, folder: Path) -> ModelStep:
    """Parse the model step; all other keys are options of the model, which checks them."""
    return ModelStep(
        kind=keys.take("kind", str, "a name", "masked"),
        seed=keys.seed(),
        output=keys.take("output", str, "a file name", "model.tabsynth"),
        checkpoint=keys.take("checkpoint", bool, "true or false"),
        privacy=_parse_privacy(keys.take("privacy", Mapping, "a mapping with epsilon and delta"), keys.where, folder),
        options=keys.rest(),
    )


def parse_sample(keys: MappingReader | None, folder: Path) -> SampleStep | None:
    """Parse the step ``sample``."""
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
        database=_parse_database(keys.take("database", str, "a database's URL"), folder, keys.where),
        mode=keys.take("mode", str, "create, append or replace", SampleStep.mode),
    )
    if step.mode not in MODES:
        raise InputError(f"{keys.where}: mode must be one of {', '.join(MODES)}, not {step.mode!r}")
    keys.end()
    return step


def parse_input(name: str, folder: Path) -> str | Path:
    """Return a table that ships, a database's URL without a password, or a file; relative paths start at a folder."""
    if is_database_url(name):
        check_no_password(name)
        return relative_to(name, folder)
    return name if is_shipped(name) else folder / name


def _parse_database(name: str | None, folder: Path, where: str) -> str | None:
    """Return a database's URL that names a table."""
    if name is None:
        return None
    if not is_database_url(name) or "#" not in name:
        raise InputError(f"{where}: database must be a URL that names a table, such as sqlite:///clinic.db#synthetic")
    return str(parse_input(name, folder))


def parse_evaluate(keys: MappingReader | None) -> EvaluateStep | None:
    """Parse the step ``evaluate``."""
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


def parse_split(keys: MappingReader | None) -> SplitStep | None:
    """Parse the step ``split``."""
    if keys is None:
        return None
    step = SplitStep(
        train=keys.take("train", str, "a file name", SplitStep.train),
        holdout=keys.take("holdout", str, "a file name", SplitStep.holdout),
    )
    keys.end()
    return step


def parse_audit(keys: MappingReader | None) -> AuditStep | None:
    """Parse the step ``audit``."""
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
    """Return a condition with its dates as text."""
    if isinstance(value, list):
        return [_condition(side) for side in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _parse_privacy(data: Mapping[str, Any] | None, where: str, folder: Path) -> Privacy | None:
    if data is None:
        return None
    keys = MappingReader(data, f"{where}: privacy")
    ledger = keys.take("ledger", str, "a file")
    privacy = Privacy(
        epsilon=keys.take("epsilon", float, "a number", required=True),
        delta=keys.take("delta", float, "a number"),
        unit=keys.take("unit", str, "row, or a column's name", "row"),
        rows_per_person=keys.take("rows_per_person", int, "an integer"),
        n_public=keys.take("n_public", int, "an integer"),
        ledger=None if ledger is None else folder / ledger,
    )
    keys.end()
    return privacy


def parse_mix(keys: MappingReader | None, folder: Path) -> MixStep | None:
    """Parse the step ``mix``."""
    if keys is None:
        return None
    step = MixStep(
        plan=folder / keys.take("plan", str, "a plan file", required=True),
        accept_changes=keys.take("accept_changes", bool, "true or false", False),
        seed=keys.seed(),
    )
    keys.end()
    return step


def parse_release(keys: MappingReader | None, folder: Path) -> ReleaseStep | None:
    """Parse the step ``release``."""
    if keys is None:
        return None
    about = {key: keys.take(key, str, "text") for key in ("title", "description", "license", "publisher", "url")}
    about |= {"name": keys.take("name", str, "a short name", required=True)}
    about |= {"version": keys.take("version", str, "text such as '1.0.0'")}
    about |= {"date": keys.take("date", (str, datetime.date), "a date")}
    gates = keys.take("gates", (str, Mapping), "a gates file, or gates written out", "default")
    waivers = keys.take("waivers", (str, list), "a file, or a list of waivers", [])
    ledger = keys.take("ledger", str, "a file")
    step = ReleaseStep(
        about={key: value for key, value in about.items() if value is not None},
        key=folder / keys.take("key", str, "the file of a private key", required=True),
        output=keys.take("output", str, "a folder, or NAME.zip", "release"),
        gates=folder / gates if isinstance(gates, str) and gates != "default" else gates,
        waivers=tuple(read_yaml(folder / waivers, "waivers") if isinstance(waivers, str) else waivers),
        ledger=None if ledger is None else folder / ledger,
        recipients=tuple(keys.take("recipients", list, "a list of public keys", [])),
    )
    keys.end()
    return step
