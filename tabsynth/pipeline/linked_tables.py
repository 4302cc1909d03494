"""Pipeline of linked tables: read a folder, split by root rows, fit, sample, evaluate; the results are folders."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import check_outputs, check_writable
from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.database.folders import (
    FORMATS,
    check_folder_output,
    holds_linked_tables,
    read_folder,
    table_files,
    write_folder,
)
from tabsynth.data.database.root_rows import split_by_root
from tabsynth.errors import InputError, SourceError, quote
from tabsynth.evaluation.gates import unmet_requirements
from tabsynth.evaluation.relational.encoded_database import relax_database
from tabsynth.evaluation.relational.evaluate_database import evaluate_database
from tabsynth.pipeline.mapping_reader import MappingReader
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

VERSION = 1
FAILED_FOLDER = "failed"
UNFINISHED = ".unfinished"


@dataclass(frozen=True, kw_only=True)
class LinkedJob:
    """A validated pipeline of linked tables; ``sample`` and ``evaluate`` are None if they are skipped.

    Attributes:
        input: The folder of real tables.
        output: The folder of results.
        read: Options of ``tabsynth.read``.
        schema: The schema of the database; proposed by default.
        holdout: Share of held-out root rows, or a folder of other real tables.
        seed: Seed of every step.
        model: Options of ``RelationalSynthesizer``.
        paths: Outputs by name: ``train``, ``holdout``, ``synthetic`` (folders), ``model``, ``report`` and ``json``.
        rows: Rows of the root table to sample.
        scale: The same as a multiple of the training rows.
        given: Conditions by table.
        format: Format of the folders.
        require: Limits by score.
    """

    input: Path
    output: Path
    read: Mapping[str, Any]
    schema: DatabaseSchema | None
    holdout: float | Path | None
    seed: int
    model: Mapping[str, Any]
    paths: Mapping[str, Path]
    rows: int | None = None
    scale: float | None = None
    given: Mapping[str, Any] | None = None
    format: str = "parquet"
    require: Mapping[str, float] = field(default_factory=dict)


def read_linked(source: object) -> LinkedJob | None:
    """Return the pipeline if its input is a folder; None for any other.

    Args:
        source: A YAML file or a mapping; a validated job of one table is none of linked tables.

    Raises:
        SourceError: The file cannot be read, or is not YAML.
        InputError: A key is unknown, missing or of the wrong type.
    """
    if isinstance(source, (str, Path)):
        data, base, name = read_yaml(source, "pipeline"), Path(source).parent, Path(source).name
    else:
        data, base, name = source, Path(), "pipeline"
    if (
        not isinstance(data, Mapping)
        or not isinstance(data.get("input"), str)
        or not holds_linked_tables(base / data["input"])
    ):
        return None
    top = MappingReader(data, name)
    if top.take("version", int, "an integer", required=True) > VERSION:
        raise InputError(f"{name}: version {data['version']} is later than {VERSION}; upgrade tabsynth")
    for key in ("target", "audit", "mix", "release"):
        if data.get(key):
            raise InputError(f"{name}: {key} is for one table; leave it out of a pipeline of linked tables")
        top.take(key, object, "")
    folder = base / top.take("output", str, "a folder", required=True)
    schema = top.take("schema", (str, Mapping), "a path or a schema written out")
    holdout = top.take("holdout", (str, float), "a share such as 0.2, or a folder of tables")
    if isinstance(holdout, float) and not 0 < holdout < 1:
        raise InputError(f"{name}: holdout must be between 0 and 1, not {holdout:g}")
    sides = top.step("split")
    paths = _split_paths(sides) if sides is not None and isinstance(holdout, float) else {}
    model = MappingReader(top.take("model", Mapping, "a mapping", {}), f"{name}: model")
    if model.take("kind", str, "a name", "relational") != "relational":
        raise InputError(f"{name}: the model of linked tables is relational, not {data['model']['kind']!r}")
    paths |= {"model": model.take("output", str, "a file name", "model.tabsynth")}
    sample, evaluate = top.step("sample"), top.step("evaluate")
    if evaluate is not None and sample is None:
        raise InputError(f"{name}: evaluate needs the step sample; add evaluate: false, or remove sample: false")
    more, drawn = _sample(sample)
    reports, require = _evaluate(evaluate)
    job = LinkedJob(
        input=base / top.take("input", str, "a folder"),
        output=folder,
        read=top.take("read", Mapping, "a mapping", {}),
        schema=None if schema is None else _schema(schema, base),
        holdout=base / holdout if isinstance(holdout, str) else holdout,
        seed=top.seed() or 0,
        model=model.rest(),
        paths={key: folder / str(path) for key, path in {**paths, **more, **reports}.items()},
        require=require,
        **drawn,
    )
    top.end()
    return job


def run_linked(job: LinkedJob, say: Callable[[str], None], progress: bool | None = None) -> dict[str, Any]:
    """Run a pipeline of linked tables.

    Args:
        job: The pipeline.
        say: Called with a line about each step.
        progress: Show progress bars; by default on a terminal.

    Returns:
        Paths by output, ``scores``, ``summary``, ``unmet``, ``rows`` and ``seeds``, as in the result of a pipeline.

    Raises:
        TabsynthError: A table, the schema, an option or an output is invalid.
    """
    known = inspect.signature(RelationalSynthesizer).parameters
    unknown = [name for name in job.model if name not in known]
    if unknown:
        raise InputError(f"a model of linked tables has no option {quote(unknown)}; it has {quote(known)}")
    model = RelationalSynthesizer(**job.model)
    tables, schema = read_folder(job.input, job.schema, job.read)
    _check_outputs(job, tuple(schema.tables))
    train, holdout = tables, None
    if isinstance(job.holdout, float):
        train, holdout = split_by_root(tables, schema, job.holdout, seed=job.seed)
    elif job.holdout is not None:
        holdout = read_folder(job.holdout, relax_database(schema), job.read)[0]
    say(f"read {len(tables)} tables from {job.input}")
    job.output.mkdir(parents=True, exist_ok=True)
    aside = job.output / UNFINISHED
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
    staged = {name: aside / path.relative_to(job.output) for name, path in job.paths.items()}
    for path in staged.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if "train" in staged and holdout is not None:
            write_folder(train, staged["train"], schema, job.format)
            write_folder(holdout, staged["holdout"], schema, job.format)
        say(f"fitting relational to {', '.join(f'{name} ({len(frame):,})' for name, frame in train.items())}")
        model.fit(train, schema=schema, seed=job.seed, progress=progress)
        model.save(staged["model"])
        result: dict[str, Any] = {"seeds": {"all": job.seed}, "rows": _rows("train", train)}
        if "synthetic" in staged:
            say("sampling")
            drawn = model.sample(job.rows, scale=job.scale, given=job.given, seed=job.seed, progress=progress)
            write_folder(drawn, staged["synthetic"], schema, job.format)
            result["rows"] |= _rows("synthetic", drawn)
        if "report" in staged or "json" in staged:
            say("evaluating")
            report = evaluate_database(train, drawn, holdout, schema=schema, seed=job.seed, card=model.card())
            for name in ("report", "json"):
                if name in staged:
                    report.save(staged[name])
            unmet = unmet_requirements(report, job.require)
            result |= {"scores": report.scores, "summary": str(report), "unmet": unmet}
    except BaseException:
        for path in _move(job, staged, FAILED_FOLDER).values():
            say(f"wrote {path}: the pipeline was not finished")
        raise
    moved = _move(job, staged, FAILED_FOLDER if result.get("unmet") else "")
    for path in moved.values():
        say(f"wrote {path}")
    return result | {name: path for name, path in moved.items() if name != "json"}


def _schema(schema: str | Mapping[str, Any], base: Path) -> DatabaseSchema:
    return DatabaseSchema.from_json(base / schema) if isinstance(schema, str) else DatabaseSchema.from_dict(schema)


def _split_paths(keys: MappingReader) -> dict[str, str]:
    paths = {"train": keys.take("train", str, "a folder", "real-train")}
    paths["holdout"] = keys.take("holdout", str, "a folder", "real-holdout")
    keys.end()
    return paths


def _sample(keys: MappingReader | None) -> tuple[dict[str, str], dict[str, Any]]:
    """Parse the step ``sample``: its output, and the rows to sample."""
    if keys is None:
        return {}, {}
    drawn = {
        "rows": keys.take("rows", int, "an integer"),
        "scale": keys.take("scale", float, "a number"),
        "given": keys.take("given", Mapping, "a mapping from table to conditions"),
        "format": keys.take("format", str, "parquet or csv", "parquet"),
    }
    path = {"synthetic": keys.take("output", str, "a folder", "synthetic")}
    keys.end()
    return path, drawn


def _evaluate(keys: MappingReader | None) -> tuple[dict[str, str], dict[str, float]]:
    """Parse the step ``evaluate``: its reports, and limits by score."""
    if keys is None:
        return {}, {}
    paths = {"report": keys.take("report", str, "a file name", "report.html")}
    paths["json"] = keys.take("json", str, "a file name", "report.json")
    limits = MappingReader(keys.take("require", Mapping, "limits by score", {}), f"{keys.where}: require")
    require = {str(name): limits.take(name, float, "a number", required=True) for name in list(limits.data)}
    keys.end()
    return paths, require


def _check_outputs(job: LinkedJob, names: tuple[str, ...]) -> None:
    """Refuse outputs outside the folder, over an input, or that cannot be written."""
    inside = os.path.realpath(job.output)
    for path in job.paths.values():
        if not Path(os.path.realpath(path)).is_relative_to(inside) or os.path.realpath(path) == inside:
            raise SourceError(f"the output {str(path)!r} is outside the folder {str(job.output)!r}; name one inside it")
    inputs = [job.input, *([job.holdout] if isinstance(job.holdout, Path) else [])]
    for one in inputs:
        if any(Path(os.path.realpath(path)).is_relative_to(os.path.realpath(one)) for path in job.paths.values()):
            raise SourceError(f"an output is inside the input {str(one)!r}; choose another output folder")
    check_outputs(job.paths.values(), [file for one in inputs for file in table_files(one).values()])
    if job.format not in FORMATS:
        raise SourceError(f"a folder of tables is written as {' or '.join(FORMATS)}, not as {job.format!r}")
    for name, path in job.paths.items():
        if not path.parent.exists():
            continue
        if name in ("train", "holdout", "synthetic"):
            check_folder_output(path, names, job.format)
        else:
            check_writable(path)


def _rows(side: str, tables: Mapping[str, Any]) -> dict[str, int]:
    return {f"{side} {name}": len(frame) for name, frame in tables.items()}


def _move(job: LinkedJob, staged: Mapping[str, Path], subfolder: str) -> dict[str, Path]:
    """Move what was written into the folder of results; return the new paths."""
    moved = {}
    for name, path in staged.items():
        if path.exists():
            target = job.output / subfolder / job.paths[name].relative_to(job.output)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)  # tables of an earlier run: ``_check_outputs``
            path.replace(target)
            moved[name] = target
    shutil.rmtree(job.output / UNFINISHED, ignore_errors=True)
    return moved
