"""A project: a folder with the files of the five steps, which the command line can also use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import write_text
from tabsynth.common.text import readable_json
from tabsynth.errors import InputError
from tabsynth.schema.schema import Schema

TABLE = "table.parquet"
SCHEMA = "schema.json"
"""JSON keeps the evidence and the open questions, which YAML only comments on."""
LEDGER = "ledger.json"
FIT_SCHEMA = "schema-fit.json"
"""The schema of the fit: for a private fit, declared and measured facts; otherwise without violated bounds."""
PLAN = "plan.json"
PIPELINE = "pipeline.yaml"
RELEASE = "release.zip"
OUTPUT = "output"
"""The folder of results, as in a pipeline."""

_STATE = "project.json"
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")


@dataclass(frozen=True)
class Project:
    """A project's folder.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @property
    def slug(self) -> str:
        """Name of the folder, which is also its address."""
        return self.folder.name

    def path(self, name: str) -> Path:
        """Return a file of the project."""
        return self.folder / name

    def output(self, name: str) -> Path:
        """Return a result."""
        return self.folder / OUTPUT / name

    def has(self, name: str) -> bool:
        """Return whether a file of the project exists."""
        return self.path(name).is_file()

    @property
    def state(self) -> dict[str, Any]:
        """Title, source, numbers of rows and columns, and the choices so far."""
        return read_state(self.path(_STATE))

    def update(self, **changes: Any) -> None:
        """Change the state."""
        write_state(self.path(_STATE), {**self.state, **changes})

    @property
    def schema(self) -> Schema:
        """The schema as corrected so far."""
        return Schema.from_json(self.path(SCHEMA))

    @property
    def step(self) -> str:
        """The first unfinished step."""
        state = self.state
        if not state.get("confirmed"):
            return "columns"
        if not state.get("protection"):
            return "protection"
        return "results" if self.output("report.json").is_file() else "learn"


def read_state(path: Path) -> dict[str, Any]:
    """Read a state file; empty if it is missing or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def write_state(path: Path, data: Mapping[str, Any]) -> None:
    """Write a state file atomically."""
    write_text(path, readable_json(data))


def open_project(root: Path, slug: str) -> Project:
    """Open a project by its name.

    Raises:
        InputError: There is none.
    """
    folder = root / slug
    if not _SLUG.fullmatch(slug) or not (folder / _STATE).is_file():
        raise InputError(f"there is no project {slug!r}; choose one on the first page")
    return Project(folder)


def list_projects(root: Path) -> list[Project]:
    """Return all projects, the latest first."""
    found = [path.parent for path in root.glob(f"*/{_STATE}") if _SLUG.fullmatch(path.parent.name)]
    return [Project(folder) for folder in sorted(found, key=lambda f: -(f / _STATE).stat().st_mtime)]


def create_project(root: Path, title: str) -> Project:
    """Create a project in a new folder named after its title."""
    base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "table"
    number = 1
    while True:
        folder = root / (base if number == 1 else f"{base}-{number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            continue
        return Project(folder)
