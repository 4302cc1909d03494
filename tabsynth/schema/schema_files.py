"""Read and write schemas as JSON, or as YAML with the evidence and the questions as comments."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.common.atomic_files import write_text
from tabsynth.common.input_files import read_json
from tabsynth.common.text import escape_controls
from tabsynth.common.yaml_files import dump_yaml_text, read_yaml
from tabsynth.errors import SchemaError, SourceError

if TYPE_CHECKING:
    from tabsynth.schema.schema import Schema

HEAD = """\
# A schema of tabsynth. Correct the kind of a column (categorical, boolean, numeric, datetime, identifier, text); facts
# of the old kind may stay, they are ignored. Add facts such as values: [low, high], role: target, or description: text.
# Columns that you remove are inferred again. A private fit takes no inferred facts: remove 'origin: inferred' from each
# column whose facts are public knowledge.
"""


def write_schema(schema: Schema, path: str | Path) -> None:
    """Write a schema: YAML if the suffix is .yaml or .yml, else JSON."""
    write_text(path, to_yaml(schema) if is_yaml(path) else to_json(schema.to_dict()))


def read_schema(path: str | Path) -> Any:
    """Return the data of a schema file.

    Raises:
        SchemaError: The file cannot be read, or is neither JSON nor YAML.
    """
    try:
        return _dates_as_text(read_yaml(path, "schema")) if is_yaml(path) else read_json(path, "schema")
    except SourceError as error:
        raise SchemaError(str(error)) from error


def is_yaml(path: str | Path) -> bool:
    """Return whether a file name has a suffix of YAML."""
    return Path(path).suffix.lower() in (".yaml", ".yml")


def to_json(data: Mapping[str, Any]) -> str:
    """Return plain data as indented JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def to_yaml(schema: Schema, head: str = HEAD) -> str:
    """Return a schema as YAML, evidence and questions as comments."""
    data = schema.to_dict()
    lines = [head + f"version: {data.pop('version')}", "columns:"]
    for name, facts in data.pop("columns").items():
        for key in ("why", "question"):
            if facts.pop(key, None):
                text = " ".join(str(getattr(schema[name], key)).split())
                lines.append(f"  # {key}: {escape_controls(text)}")
        lines += [f"  {line}" for line in dump_yaml({name: facts}).splitlines()]
    return "\n".join(lines) + "\n" + (dump_yaml(data) if data else "")


def dump_yaml(data: Mapping[str, Any]) -> str:
    """Return plain data as YAML."""
    # JSON first: plain types only.
    plain = json.loads(json.dumps(data))
    return dump_yaml_text(plain, default_flow_style=None, width=1 << 20)


def _dates_as_text(data: Any) -> Any:
    """Return YAML's dates as ISO 8601, as in JSON."""
    if isinstance(data, Mapping):
        return {_dates_as_text(key): _dates_as_text(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_dates_as_text(value) for value in data]
    return data.isoformat() if isinstance(data, (datetime.date, datetime.datetime)) else data
