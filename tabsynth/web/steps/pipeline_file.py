"""Export of a project as a pipeline file for the command line."""

from __future__ import annotations

from typing import Any

from tabsynth.common.atomic_files import write_text
from tabsynth.common.yaml_files import dump_yaml_text
from tabsynth.errors import InputError
from tabsynth.pipeline.config import job_from_dict
from tabsynth.schema.schema import Schema
from tabsynth.web.project import FIT_SCHEMA, LEDGER, OUTPUT, PIPELINE, TABLE, Project
from tabsynth.web.steps.protection import Protection, fit_privacy
from tabsynth.web.steps.training import HOLDOUT, SEED, SYNTHETIC

HEAD = "# The steps of this project. Run them with: tabsynth run pipeline.yaml\n"
PRIVATE_HEAD = HEAD + "# Each run that repeats the fit charges the ledger again.\n"


def pipeline_data(project: Project) -> dict[str, Any]:
    """Return the keys of the pipeline file.

    Raises:
        InputError: The table was not learned yet, so that the schema of the fit is not known.
    """
    fit_schema = project.path(FIT_SCHEMA)
    if not fit_schema.exists():
        raise InputError("the pipeline file needs the schema of the fit; learn the table first")
    protection = Protection.of(project)
    target = next(iter(project.schema.with_role("target")), None)
    data: dict[str, Any] = {"version": 1, "input": TABLE, "schema": FIT_SCHEMA, "output": OUTPUT}
    if target is not None:
        data["target"] = target
    model: dict[str, Any] = {"kind": "masked"}
    if protection.private:
        fit = fit_privacy(protection, project.path(LEDGER), measured=bool(Schema.from_json(fit_schema).ledger))
        privacy: dict[str, Any] = {"epsilon": fit.epsilon, "delta": fit.delta, "ledger": LEDGER}
        if fit.unit != "row":
            privacy |= {"unit": fit.unit, "rows_per_person": fit.rows_per_person}
        model = {"kind": "marginal", "privacy": privacy}
    data |= {"holdout": HOLDOUT, "seed": SEED, "model": model}
    data |= {"sample": {"output": SYNTHETIC}, "evaluate": True, "audit": True}
    return data


def pipeline_text(project: Project) -> str:
    """Return the pipeline file, after the pipeline's own reader accepted it."""
    data = pipeline_data(project)
    job_from_dict(data, folder=project.folder)
    text = dump_yaml_text(data)
    return (PRIVATE_HEAD if "privacy" in data["model"] else HEAD) + text


def write_pipeline(project: Project) -> str:
    """Write the pipeline file into the project; returns its text."""
    text = pipeline_text(project)
    write_text(project.path(PIPELINE), text)
    return text
