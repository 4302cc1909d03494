"""The JSON Schema of a pipeline file, for editors."""

from __future__ import annotations

from importlib.resources import files

NAME = "pipeline.schema.json"


def schema_text() -> str:
    """Return the JSON Schema as text."""
    return files("tabsynth.pipeline").joinpath(NAME).read_text("utf-8")
