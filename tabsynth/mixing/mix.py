"""Apply a reviewed plan: load, harmonise, link, combine and weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.validation import checked_arguments
from tabsynth.common.yaml_files import read_yaml
from tabsynth.data.provenance import attach_provenance
from tabsynth.data.read_write import read
from tabsynth.errors import InputError
from tabsynth.mixing.checks import check_alarms, check_codes, require_decided
from tabsynth.mixing.combination.combine import Combined, fuse_sources, join_rows, stack_rows
from tabsynth.mixing.combination.raking import check_margins, rake
from tabsynth.mixing.harmonise import check_recodings_used, harmonise_source, mask_sentinels
from tabsynth.mixing.inputs import load_inputs
from tabsynth.mixing.linkage.link import Links, link
from tabsynth.mixing.linkage.spec import LinkSpec
from tabsynth.mixing.out_of_core.mix_to_file import MixedFile, mix_to_file
from tabsynth.mixing.plan.entries import code_texts
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.report import mix_report, mixed_schema, provenance
from tabsynth.mixing.result import Mixed
from tabsynth.mixing.value_parsing import HarmonisationStats


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


@checked_arguments
def mix(
    plan: Plan | str | Path,
    *,
    accept_above: float | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    seed: int = 0,
    output: str | Path | None = None,
) -> Mixed | MixedFile:
    """Mix several tables into one by a plan.

    Args:
        plan: The plan, or the path of its file.
        accept_above: Accept proposals without a question whose score is at least this.
        tables: Sources given as frames.
        seed: Seed of linkage, imputation and fusing.
        output: A Parquet or CSV file to write batch by batch, for sources larger than memory. Plans with steps that
            need all rows at once are rejected.

    Returns:
        The mixed table, or with ``output`` the summary of its file.

    Raises:
        InputError: An entry is still proposed, or the plan does not fit its inputs.
        DataError: An input has changed, a code is ambiguous, a value cannot be parsed, or rows would multiply.
        MissingDependencyError: A required package is not installed.
    """
    decided = plan if isinstance(plan, Plan) else Plan.load(plan)
    decided = require_decided(decided, accept_above)
    if output is not None:
        return mix_to_file(decided, output, tables, seed)
    raw = load_inputs(decided, tables)
    check_codes(decided, raw)
    frames: dict[str, pd.DataFrame] = {}
    stats: dict[str, dict[str, HarmonisationStats]] = {}
    for name, frame in raw.items():
        frames[name], stats[name] = harmonise_source(frame, name, decided)
    check_recodings_used(decided, stats)
    links = _link_sources(decided, frames, raw, seed)
    mixed = _combine_sources(decided, frames, links, seed)
    mixed = replace(mixed, frame=_prefix_local_keys(decided, mixed))
    weights, raking_report = _raking_weights(decided, mixed)
    report = mix_report(
        decided,
        stats,
        links.report,
        mixed.report,
        frames,
        rows={name: len(frame) for name, frame in raw.items()},
        factor=int(np.bincount(mixed.entity).max()) if len(mixed.entity) else 1,
        weights=raking_report,
        seed=seed,
    )
    lineage = pd.DataFrame(
        {"_source": mixed.frame["_source"], "_row": mixed.row, "_entity": mixed.entity, "_weight": weights}
    )
    source_info = provenance(decided, report["inputs"], len(mixed.frame), report["privacy"])
    return Mixed(
        frame=attach_provenance(mixed.frame, source_info),
        mask=mixed.mask,
        weights=weights,
        weighed=raking_report is not None,
        lineage=lineage[["_row", *[name for name in lineage if name in {*decided.lineage["row"], "_entity"}]]],
        origin=mixed.origin if "origin" in decided.lineage["cell"] else None,
        schema=mixed_schema(decided, mixed.frame),
        plan_hash=decided.hash,
        publish=bool(decided.lineage["publish"]),
        report=report,
    )


def _link_sources(plan: Plan, frames: Mapping[str, pd.DataFrame], raw: Mapping[str, pd.DataFrame], seed: int) -> Links:
    """Link the sources; keys have their names in the target table."""
    keys, sides = {}, {}
    for source, item in plan.inputs.items():
        frame, names = frames[source], []
        for key in item.key:
            target = next((m.to for m in plan.mapped.values() if m.sources.get(source) == (key,)), None)
            if target is None:
                target = f"_{key}"
                frame = frame.assign(**{target: mask_sentinels(raw[source][key], item.na.get(key, ())).to_numpy()})
            names.append(target)
        keys[source], sides[source] = names, frame
    spec: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plan.link.items()}
    links = link(sides, keys, LinkSpec(**spec), seed)
    check_alarms(plan, links.report)
    return links


def _combine_sources(plan: Plan, frames: Mapping[str, pd.DataFrame], links: Links, seed: int) -> Combined:
    """Combine the sources by the plan's operation."""
    if plan.combine["op"] == "join":
        if plan.link["engine"] == "none" and len(frames) > 1:
            raise InputError("a join needs linked rows: set link to exact, splink or clk, or combine to union")
        return join_rows(frames, links.entities, plan)
    if plan.combine["op"] == "fuse":
        overlap = plan.combine.get("overlap")
        return fuse_sources(frames, links.entities, read(plan.folder / overlap).frame if overlap else None, seed)
    mixed = stack_rows(frames, links.entities, plan)
    if plan.combine["on_missing_column"] == "impute":
        return replace(mixed, frame=_impute_absent(mixed, seed))
    return mixed


def _impute_absent(mixed: Combined, seed: int) -> pd.DataFrame:
    """Impute absent columns by a model of all sources."""
    from tabsynth.synthesizers.masked import MaskedSynthesizer

    model = MaskedSynthesizer().fit(mixed.frame, seed=seed, mask=mixed.mask)
    imputed = model.impute(mixed.frame, seed=seed)
    return mixed.frame.where(mixed.mask | mixed.frame.notna(), imputed)


def _prefix_local_keys(plan: Plan, mixed: Combined) -> pd.DataFrame:
    """Prefix local keys by their source, because equal keys of two sources are different entities."""
    shared = plan.link["engine"] == "exact"
    out = mixed.frame.copy()
    for name, match in plan.mapped.items():
        if match.kind != "identifier" or name not in out or shared:
            continue
        present = out[name].notna()
        prefixed = out["_source"].astype(str) + ":" + code_texts(out[name]).astype(str)
        out[name] = prefixed.astype(object).where(present, None)
    return out


def _raking_weights(plan: Plan, mixed: Combined) -> tuple[npt.NDArray[np.float64], dict[str, Any] | None]:
    """Return weights raked to the plan's margins, and their report; all weights are 1 without margins."""
    if plan.weights is None:
        return np.ones(len(mixed.frame)), None
    margins = plan.weights["margins"]
    margin_data = read_yaml(plan.folder / margins, "margins") if isinstance(margins, str) else margins
    raked = rake(
        mixed.frame,
        check_margins(margin_data),
        float(plan.weights.get("cap", 5.0)),
        float(plan.weights.get("min_ess", 0.5)),
    )
    return np.asarray(raked.weights / raked.weights.mean()), raked.report
