"""Apply a reviewed plan: load, harmonise, link, combine, weigh. What is not decided, or does not hold, stops it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.provenance import attach_provenance
from tabsynth.data.read_write import read
from tabsynth.errors import InputError
from tabsynth.mixing.checks import check_alarms, check_codes, require_decided
from tabsynth.mixing.combination.combine import Combined, fuse_sources, join_rows, stack_rows
from tabsynth.mixing.combination.raking import check_margins, rake
from tabsynth.mixing.harmonise import HarmonisationStats, harmonise_source, mask_sentinels
from tabsynth.mixing.inputs import load_inputs
from tabsynth.mixing.linkage.link import Links, link
from tabsynth.mixing.linkage.spec import LinkSpec
from tabsynth.mixing.out_of_core.mix_to_file import MixedFile, mix_to_file
from tabsynth.mixing.plan.entries import code_texts
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.report import (
    columns_report,
    domain_shift,
    mixed_schema,
    privacy_note,
    provenance,
    suppress_rare_cells,
)
from tabsynth.mixing.result import Mixed


@overload
def mix(
    plan: Plan | str | Path,
    *,
    accept_above: float | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    seed: int = 0,
    output: None = None,
) -> Mixed: ...


@overload
def mix(
    plan: Plan | str | Path,
    *,
    accept_above: float | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    seed: int = 0,
    output: str | Path,
) -> MixedFile: ...


def mix(
    plan: Plan | str | Path,
    *,
    accept_above: float | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    seed: int = 0,
    output: str | Path | None = None,
) -> Mixed | MixedFile:
    """Make one table of several by a plan.

    Args:
        plan: The plan, or the path of its file.
        accept_above: Accept what is still proposed where its score is at least this and it asks nothing.
        tables: Sources that the plan knows as frames.
        seed: Seed of what is drawn: links, and columns that are fused.
        output: A Parquet or CSV file to mix into, batch by batch, for sources larger than memory: rows below each
            other, or joined by equal keys. What needs all rows at once is refused then.

    Returns:
        The mixed table, or with ``output`` what is told of its file.

    Raises:
        InputError: An entry is still proposed, or the plan does not fit its inputs.
        DataError: An input has changed, a code has no meaning or two, a value cannot be read, or rows would multiply.
        MissingDependencyError: A package that the plan needs is not installed.
    """
    known = plan if isinstance(plan, Plan) else Plan.load(plan)
    known = require_decided(known, accept_above)
    if output is not None:
        return mix_to_file(known, output, tables, seed)
    raw = load_inputs(known, tables)
    check_codes(known, raw)
    frames: dict[str, pd.DataFrame] = {}
    done: dict[str, dict[str, HarmonisationStats]] = {}
    for name, frame in raw.items():
        frames[name], done[name] = harmonise_source(frame, name, known)
    links = _link_sources(known, frames, raw, seed)
    made = _combine_sources(known, frames, links, seed)
    made = replace(made, frame=_prefix_local_keys(known, made))
    weights, weighed = _raking_weights(known, made)
    most_rows = int(np.bincount(made.entity).max()) if len(made.entity) else 1
    report = {
        "plan_hash": known.hash,
        "inputs": {name: {"rows": len(frame), "sha256": known.inputs[name].sha256} for name, frame in raw.items()},
        "columns": columns_report(done, {name: len(frame) for name, frame in raw.items()}),
        "link": _link_report(known, links, len(made.frame)),
        "combine": suppress_rare_cells(made.report, len(made.frame)),
        "weights": weighed,
        "domain_auc": domain_shift(frames, seed),
        "privacy": privacy_note(known.link["engine"], most_rows, len(raw)),
    }
    lineage = pd.DataFrame(
        {"_source": made.frame["_source"], "_row": made.row, "_entity": made.entity, "_weight": weights}
    )
    told = provenance(known, report["inputs"], len(made.frame), report["privacy"])
    return Mixed(
        frame=attach_provenance(made.frame, told),
        mask=made.mask,
        weights=weights,
        weighed=weighed is not None,
        lineage=lineage[["_row", *[name for name in lineage if name in {*known.lineage["row"], "_entity"}]]],
        origin=made.origin if "origin" in known.lineage["cell"] else None,
        schema=mixed_schema(known, made.frame),
        plan_hash=known.hash,
        publish=bool(known.lineage["publish"]),
        report=report,
    )


def _link_sources(plan: Plan, frames: Mapping[str, pd.DataFrame], raw: Mapping[str, pd.DataFrame], seed: int) -> Links:
    """Who is who; keys are looked up under their names in the mixed table."""
    keys, sides = {}, {}
    for source, item in plan.inputs.items():
        side, names = frames[source], []
        for key in item.key:
            made = next((m.to for m in plan.mapped.values() if m.sources.get(source) == (key,)), None)
            if made is None:
                made = f"_{key}"
                side = side.assign(**{made: mask_sentinels(raw[source][key], item.na.get(key, ())).to_numpy()})
            names.append(made)
        keys[source], sides[source] = names, side
    spec: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plan.link.items()}
    links = link(sides, keys, LinkSpec(**spec), seed)
    check_alarms(plan, links.report)
    return links


def _link_report(plan: Plan, links: Links, rows: int) -> dict[str, Any]:
    """The link's report; without a link it cannot say in how many sources a person stands."""
    unknown = ("person", "epsilon_factor", "sources_per_entity") if plan.link["engine"] == "none" else ()
    return {key: value for key, value in suppress_rare_cells(links.report, rows).items() if key not in unknown}


def _combine_sources(plan: Plan, frames: Mapping[str, pd.DataFrame], links: Links, seed: int) -> Combined:
    """The sources as one table."""
    if plan.combine["op"] == "join":
        if plan.link["engine"] == "none" and len(frames) > 1:
            raise InputError("a join needs to know who is who: set link to exact, splink or clk, or combine to union")
        return join_rows(frames, links.entities, plan)
    if plan.combine["op"] == "fuse":
        overlap = plan.combine.get("overlap")
        return fuse_sources(frames, links.entities, read(plan.folder / overlap).frame if overlap else None, seed)
    made = stack_rows(frames, links.entities, plan)
    if plan.combine["on_missing_column"] == "impute":
        return replace(made, frame=_impute_absent(made, seed))
    return made


def _impute_absent(made: Combined, seed: int) -> pd.DataFrame:
    """Columns that a source lacks, drawn by a model of all sources."""
    from tabsynth.synthesizers.masked import MaskedSynthesizer

    model = MaskedSynthesizer().fit(made.frame, seed=seed, mask=made.mask)
    drawn = model.impute(made.frame, seed=seed)
    return made.frame.where(made.mask | made.frame.notna(), drawn)


def _prefix_local_keys(plan: Plan, made: Combined) -> pd.DataFrame:
    """Keys that are local to their source, with the source before them: two sites' patient 17 are two patients."""
    shared = plan.link["engine"] == "exact"
    out = made.frame.copy()
    for name, match in plan.mapped.items():
        if match.kind != "identifier" or name not in out or shared:
            continue
        present = out[name].notna()
        told = out["_source"].astype(str) + ":" + code_texts(out[name]).astype(str)
        out[name] = told.astype(object).where(present, None)
    return out


def _raking_weights(plan: Plan, made: Combined) -> tuple[npt.NDArray[np.float64], dict[str, Any] | None]:
    """Weights that bring the table to known margins; 1 where there are none."""
    if plan.weights is None:
        return np.ones(len(made.frame)), None
    margins = plan.weights["margins"]
    told = read_yaml(plan.folder / margins, "margins") if isinstance(margins, str) else margins
    found = rake(
        made.frame, check_margins(told), float(plan.weights.get("cap", 5.0)), float(plan.weights.get("min_ess", 0.5))
    )
    return np.asarray(found.weights / found.weights.mean()), suppress_rare_cells(found.report, len(made.frame))
