"""The project as a pipeline file, for the command line to go on with."""

from __future__ import annotations

from typing import Any

import yaml

from tabsynth.common.atomic_files import write_text
from tabsynth.pipeline.config import job_from_dict
from tabsynth.web.project import OUTPUT, PIPELINE, SCHEMA, TABLE, Project
from tabsynth.web.steps.protection import Protection
from tabsynth.web.steps.training import HOLDOUT, SEED, SYNTHETIC

HEAD = "# The steps of this project. Run them with: tabsynth run pipeline.yaml\n"


def pipeline_data(project: Project) -> dict[str, Any]:
    """The keys of the pipeline file."""
    protection = Protection.of(project)
    target = next(iter(project.schema.with_role("target")), None)
    data: dict[str, Any] = {"version": 1, "input": TABLE, "schema": SCHEMA, "output": OUTPUT}
    if target is not None:
        data["target"] = target
    data |= {"holdout": HOLDOUT, "seed": SEED, "model": {"kind": "marginal" if protection.private else "masked"}}
    data |= {"sample": {"output": SYNTHETIC}, "evaluate": True, "audit": True}
    return data


def pipeline_text(project: Project) -> str:
    """The pipeline file, after the pipeline's own reader accepted it."""
    data = pipeline_data(project)
    job_from_dict(data, folder=project.folder)
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return HEAD + text


def write_pipeline(project: Project) -> str:
    """Write the pipeline file into the project; returns its text."""
    text = pipeline_text(project)
    write_text(project.path(PIPELINE), text)
    return text
