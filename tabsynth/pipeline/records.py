"""Records of finished steps: hashes of their inputs, settings and outputs.

A step is current if a record of the same inputs, settings and versions exists and its files are intact, wherever a run
left them.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import write_text
from tabsynth.common.input_files import parse_json
from tabsynth.common.installed_versions import installed_versions
from tabsynth.common.text import readable_json

FORMAT, VERSION = "tabsynth-pipeline-step", 1
PACKAGES = ("lightgbm", "numpy", "opacus", "pandas", "pyarrow", "scikit-learn", "scipy", "torch")
"""Packages whose versions may change results."""


@dataclass(frozen=True)
class StepRecord:
    """A finished step.

    Attributes:
        sources: Hashes of its inputs, settings and versions, by kind.
        outputs: SHA-256 of each output, by the output's name.
        facts: Plain data that later steps and the result need.
    """

    sources: Mapping[str, str]
    outputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_record(folder: Path, step: str) -> StepRecord | None:
    """Read the record of a step; None if it is missing or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = parse_json((folder / f"{step}.json").read_bytes())
        if data["format"] == FORMAT and data["version"] == VERSION:
            return StepRecord(dict(data["sources"]), dict(data["outputs"]), dict(data["facts"]))
    return None


def write_record(folder: Path, step: str, record: StepRecord) -> None:
    """Write the record of a step at once."""
    data = {"format": FORMAT, "version": VERSION, "step": step, "sources": dict(record.sources)}
    data |= {"outputs": dict(record.outputs), "facts": dict(record.facts)}
    write_text(folder / f"{step}.json", readable_json(data))


def stale_reason(record: StepRecord | None, sources: Mapping[str, str]) -> str:
    """Return why a step must run; empty if its record has the same sources."""
    if record is None:
        return "no earlier result"
    changed = [kind for kind in sources if record.sources.get(kind) != sources[kind]]
    return f"changed: {', '.join(changed)}" if changed else ""


def locate_outputs(record: StepRecord, places: Mapping[str, Iterable[Path]]) -> dict[str, Path] | None:
    """Return the paths of a record's intact outputs; None if one is missing or was changed."""
    if set(record.outputs) != set(places):
        return None
    found = {}
    for name, candidates in places.items():
        path = next((path for path in candidates if content_hash(path) == record.outputs[name]), None)
        if path is None:
            return None
        found[name] = path
    return found


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files; empty if there is nothing."""
    try:
        if path.is_dir():
            names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
            return data_hash({name: content_hash(path / name) for name in names})
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def data_hash(data: Any) -> str:
    """Return the SHA-256 of plain data."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def versions_hash() -> str:
    """Return the hash of the versions that results depend on."""
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    return data_hash(machine | installed_versions(PACKAGES))
