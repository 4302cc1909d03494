"""Step 1: create a project from an upload, a file on this machine, a database or a sample table."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from tabsynth.data.read_write import read, write
from tabsynth.data.sample_datasets import PREFIX, TARGETS, is_shipped, open_table
from tabsynth.data.sql.urls import is_database_url
from tabsynth.data.table import Table
from tabsynth.errors import InputError
from tabsynth.schema.schema import Schema
from tabsynth.web.project import SCHEMA, TABLE, Project, create_project

MIN_ROWS = 50
"""Minimum rows of a table that can be split, learned and evaluated."""

_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8}){1,2}$", re.ASCII)

SAMPLES = {name: PREFIX + name for name in TARGETS}
"""Sample tables that ship with scikit-learn."""


def take_upload(root: Path, filename: str, content: BinaryIO) -> Project:
    """Return a project of an uploaded file."""
    name = Path(filename.replace("\\", "/")).name
    project = create_project(root, name.partition(".")[0])
    # Only a plain suffix of the sender's name reaches the disk.
    suffix = _SUFFIX.search(name.lower())
    target = project.path("source" + (suffix[0] if suffix else ""))
    try:
        with target.open("xb") as file:
            shutil.copyfileobj(content, file)
        return _take(project, read(target), name)
    except BaseException:
        shutil.rmtree(project.folder)
        raise


def take_source(root: Path, source: str, name_in_database: str = "") -> Project:
    """Return a project of a file of this machine, of a database's URL, or of ``sklearn:NAME``.

    Args:
        root: The folder of all projects.
        source: The path, URL or name. A URL contains no password.
        name_in_database: The table of a database.
    """
    if is_shipped(source):
        name, table = source.removeprefix(PREFIX), open_table(source)
    elif is_database_url(source):
        table = read(source, table=name_in_database or None)
        name = name_in_database or source.partition("#")[2] or "database"
    else:
        path = Path(source).expanduser()
        if not path.is_file():
            raise InputError(f"there is no file {source!r} on this machine; give its full path")
        name, table = path.name, read(path)
    project = create_project(root, name.partition(".")[0])
    try:
        return _take(project, table, name)
    except BaseException:
        shutil.rmtree(project.folder)
        raise


def _take(project: Project, table: Table, name: str) -> Project:
    if len(table) < MIN_ROWS:
        raise InputError(f"the table has {len(table)} rows; at least {MIN_ROWS} are needed")
    schema = table.schema
    target = TARGETS.get(name)
    if target is not None and target in schema:
        schema = Schema({**schema.columns, target: schema.replace(target, role="target")[target]})
    write(Table(table.frame, schema), project.path(TABLE))
    schema.to_json(project.path(SCHEMA))
    project.update(title=name, rows=len(table), columns=len(schema))
    return project


def read_frame(project: Project) -> pd.DataFrame:
    """Return the project's rows."""
    return pd.read_parquet(project.path(TABLE))


def leave_out(project: Project, name: str) -> None:
    """Remove a column from the project's table and schema; the source file keeps it."""
    schema = project.schema
    columns = {other: column for other, column in schema.items() if other != name}
    if len(columns) < 2:
        raise InputError("a table needs at least two columns")
    frame = read_frame(project)
    write(frame[list(columns)], project.path(TABLE))
    Schema(columns).to_json(project.path(SCHEMA))
    project.update(columns=len(columns))
