"""Parse the keys of each step of a pipeline."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.database.folders import FORMATS
from tabsynth.data.sample_datasets import is_shipped
from tabsynth.data.sql.read_write import MODES
from tabsynth.data.sql.urls import check_no_password, is_database_url, relative_to
from tabsynth.data.write_tables import check_csv_separator
from tabsynth.errors import InputError
from tabsynth.pipeline.mapping_reader import MappingReader
from tabsynth.pipeline.step_config import (
    RELATIONAL,
    AuditStep,
    EvaluateStep,
    MixStep,
    ModelStep,
    ReleaseStep,
    SampleStep,
    SplitStep,
)
from tabsynth.privacy.budget import Privacy


def parse_read(keys: MappingReader, *, linked: bool = False) -> Mapping[str, Any]:
    """Parse options of ``tabsynth.read``, and ``tables`` of a database of linked tables."""
    names = ("separator", "decimal", "encoding", "sheet", "table", "query")
    options = {key: keys.take(key, str, "text") for key in names}
    options["missing"] = keys.take("missing", list, "a list of spellings")
    options["tables"] = keys.take("tables", list, "a list of a database's tables")
    if options["tables"] is not None and not linked:
        raise InputError(f"{keys.where}: tables is for a database of linked tables; leave it out")
    keys.end()
    return {key: value for key, value in options.items() if value is not None}


def parse_model(keys: MappingReader, folder: Path, *, linked: bool = False) -> ModelStep:
    """Parse the model step; all other keys are options of the model, which checks them.

    Raises:
        InputError: The model of linked tables is not ``relational``, or that of one table is.
    """
    kind = keys.take("kind", str, "a name", RELATIONAL if linked else "masked")
    if linked and kind != RELATIONAL:
        raise InputError(f"{keys.where}: the model of linked tables is {RELATIONAL}, not {kind!r}")
    return ModelStep(
        kind=kind,
        seed=keys.seed(),
        output=keys.take("output", str, "a file name", "model.tabsynth"),
        checkpoint=keys.take("checkpoint", bool, "true or false"),
        privacy=_parse_privacy(keys.take("privacy", Mapping, "a mapping with epsilon and delta"), keys.where, folder),
        options=keys.rest(),
    )


def parse_sample(keys: MappingReader | None, folder: Path, *, linked: bool = False) -> SampleStep | None:
    """Parse the step ``sample``."""
    if keys is None:
        return None
    if linked:
        return _parse_linked_sample(keys, folder)
    for key in ("scale", "format"):
        if keys.take(key, object, "") is not None:
            raise InputError(f"{keys.where}: {key} is for linked tables; leave it out")
    rows = keys.take("rows", int, "an integer")
    if rows is not None and rows < 1:
        raise InputError(f"{keys.where}: rows must be at least 1, not {rows}")
    given = keys.take("given", Mapping, "a mapping from column to value, [low, high] or [a, b, ...]")
    step = SampleStep(
        rows=rows,
        given=given and {str(column): _condition(value) for column, value in given.items()},
        seed=keys.seed(),
        output=keys.take("output", str, "a file name", "synthetic.parquet"),
        separator=keys.take("separator", str, "text"),
        database=_parse_database(keys.take("database", str, "a database's URL"), folder, keys.where),
        mode=keys.take("mode", str, "create, append or replace", SampleStep.mode),
    )
    if step.mode not in MODES:
        raise InputError(f"{keys.where}: mode must be one of {', '.join(MODES)}, not {step.mode!r}")
    check_csv_separator(step.separator, step.output)
    keys.end()
    return step


def _parse_linked_sample(keys: MappingReader, folder: Path) -> SampleStep:
    if keys.take("separator", object, "") is not None:
        raise InputError(f"{keys.where}: separator is for one table; leave it out")
    given = keys.take("given", Mapping, "a mapping from table to conditions")
    step = SampleStep(
        rows=keys.take("rows", int, "an integer"),
        scale=keys.take("scale", float, "a number"),
        given=given and {str(table): _conditions(table, own, keys.where) for table, own in given.items()},
        format=keys.take("format", str, " or ".join(FORMATS), SampleStep.format),
        seed=keys.seed(),
        output=keys.take("output", str, "a folder", "synthetic"),
        database=_parse_database(keys.take("database", str, "a database's URL"), folder, keys.where, linked=True),
        mode=keys.take("mode", str, "create or replace", SampleStep.mode),
    )
    if step.format not in FORMATS:
        raise InputError(f"{keys.where}: a folder of tables is written as {' or '.join(FORMATS)}, not {step.format!r}")
    if step.mode not in ("create", "replace"):
        raise InputError(f"{keys.where}: mode of linked tables must be create or replace, not {step.mode!r}")
    if step.rows is not None and step.scale is not None:
        raise InputError(f"{keys.where}: rows and scale exclude each other; give one")
    keys.end()
    return step


def _conditions(table: object, own: object, where: str) -> Mapping[str, Any]:
    if not isinstance(own, Mapping):
        raise InputError(f"{where}: given of the table {table!r} must be a mapping from column to value, not {own!r}")
    return {str(column): _condition(value) for column, value in own.items()}


def parse_input(name: str, folder: Path) -> str | Path:
    """Parse a table that ships, a database's URL without a password, or a file; relative paths start at a folder."""
    if is_database_url(name):
        check_no_password(name)
        return relative_to(name, folder)
    return name if is_shipped(name) else folder / name


def _parse_database(name: str | None, folder: Path, where: str, *, linked: bool = False) -> str | None:
    """Parse a database's URL that names a table, or no table where several are written."""
    if name is None:
        return None
    if linked and (not is_database_url(name) or "#" in name):
        raise InputError(f"{where}: database must be a URL without a table, such as sqlite:///synthetic.db")
    if not linked and (not is_database_url(name) or "#" not in name):
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
        sdmetrics=keys.take("sdmetrics", bool, "true or false"),
    )
    keys.end()
    return step


def parse_split(keys: MappingReader | None, *, linked: bool = False) -> SplitStep | None:
    """Parse the step ``split``; of linked tables the names are those of folders."""
    if keys is None:
        return None
    what, suffix = ("a folder", "") if linked else ("a file name", ".parquet")
    step = SplitStep(
        train=keys.take("train", str, what, SplitStep.train.removesuffix(".parquet") + suffix),
        holdout=keys.take("holdout", str, what, SplitStep.holdout.removesuffix(".parquet") + suffix),
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
