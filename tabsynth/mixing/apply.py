"""Apply a reviewed plan: load, harmonise, link, combine, weigh. What is not decided, or does not hold, stops it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.columns import Categorical, Column, Identifier
from tabsynth.errors import DataError, InputError, listed
from tabsynth.infer import infer_column
from tabsynth.mixing.combine import Combined, fused, join, union
from tabsynth.mixing.entries import code_text, code_texts
from tabsynth.mixing.harmonise import Done, entries_of, harmonised, without_sentinels
from tabsynth.mixing.inputs import load_inputs
from tabsynth.mixing.link import MOST_TOLD, Links, LinkSpec, link
from tabsynth.mixing.mixed import Mixed, check_margins, columns_report, person_note, provenance, without_rare
from tabsynth.mixing.plan import Plan
from tabsynth.mixing.weigh import domain_auc, rake
from tabsynth.provenance import mark
from tabsynth.schema import Schema
from tabsynth.sources import read
from tabsynth.yaml_files import read_yaml

LEAST_ROWS = 50
"""Rows of each source below which nothing is said of how far the sources differ."""


def mix(
    plan: Plan | str | Path,
    *,
    accept_above: float | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    seed: int = 0,
) -> Mixed:
    """Make one table of several by a plan.

    Args:
        plan: The plan, or the path of its file.
        accept_above: Accept what is still proposed where its score is at least this and it asks nothing.
        tables: Sources that the plan knows as frames.
        seed: Seed of what is drawn: links, and columns that are fused.

    Raises:
        InputError: An entry is still proposed, or the plan does not fit its inputs.
        DataError: An input has changed, a code has no meaning or two, a value cannot be read, or rows would multiply.
        MissingDependencyError: A package that the plan needs is not installed.
    """
    known = plan if isinstance(plan, Plan) else Plan.load(plan)
    known = decided(known, accept_above)
    raw = load_inputs(known, tables)
    check_codes(known, raw)
    frames: dict[str, pd.DataFrame] = {}
    done: dict[str, dict[str, Done]] = {}
    for name, frame in raw.items():
        frames[name], done[name] = harmonised(frame, name, known)
    links = _linked(known, frames, raw, seed)
    made = _combined(known, frames, links, seed)
    made = replace(made, frame=_namespaced(known, made))
    weights, weighed = _weights(known, made)
    report = {
        "plan_hash": known.hash,
        "inputs": {name: {"rows": len(frame), "sha256": known.inputs[name].sha256} for name, frame in raw.items()},
        "columns": columns_report(done, {name: len(frame) for name, frame in raw.items()}),
        "link": _told(known, links, len(made.frame)),
        "combine": without_rare(made.report, len(made.frame)),
        "weights": weighed,
        "domain_auc": _domains(frames, seed),
        "privacy": person_note(known.link["engine"], int(links.report.get("epsilon_factor", 1)), len(raw)),
    }
    lineage = pd.DataFrame(
        {"_source": made.frame["_source"], "_row": made.row, "_entity": made.entity, "_weight": weights}
    )
    told = provenance(known, report["inputs"], len(made.frame), report["privacy"])
    return Mixed(
        frame=mark(made.frame, told),
        mask=made.mask,
        weights=weights,
        weighed=weighed is not None,
        lineage=lineage[["_row", *[name for name in lineage if name in {*known.lineage["row"], "_entity"}]]],
        origin=made.origin if "origin" in known.lineage["cell"] else None,
        schema=schema_of(known, made.frame),
        plan_hash=known.hash,
        publish=bool(known.lineage["publish"]),
        report=report,
    )


def decided(plan: Plan, accept_above: float | None) -> Plan:
    """The plan with nothing left to decide.

    Raises:
        InputError: Entries are still proposed.
    """
    known = plan if accept_above is None else plan.accept_above(accept_above)
    if known.open:
        reached = "" if accept_above is None else f" and score below {accept_above:g} or ask a question"
        raise InputError(
            f"{len(known.open)} entries of the plan are still proposed{reached}: {listed(known.open, 3)}; review the "
            "plan and set their status to accepted, edited or rejected"
        )
    if not known.mapped:
        raise InputError("every entry of the plan's map is rejected, so there is nothing to mix")
    return known


def check_codes(plan: Plan, raw: Mapping[str, pd.DataFrame]) -> None:
    """Raise where a code is read as something in one source and left as it is in another: it would mean two things.

    Raises:
        DataError: Names the column, the code, both sources and both meanings.
    """
    for name, match in plan.mapped.items():
        read_as: dict[str, tuple[str, str]] = {}
        plain: dict[str, str] = {}
        for source, columns in match.sources.items():
            told = {key: value for entry in entries_of(plan, name) for key, value in entry.recoding(source).items()}
            for code, value in told.items():
                read_as.setdefault(code, (source, code_text(value)))
            values = raw[source][columns[0]]
            if told or len(columns) > 1 or values.nunique() > 1000:
                continue
            for value in values.dropna().unique():
                plain.setdefault(code_text(value), source)
        clash = [code for code in plain if code in read_as and read_as[code][1] != code]
        if clash:
            source, meaning = read_as[clash[0]]
            raise DataError(
                f"column {name!r}: the code {clash[0]!r} means {meaning!r} in {source!r}, but stands as it is in "
                f"{plain[clash[0]]!r}; say under values what it means there"
            )


def _linked(plan: Plan, frames: Mapping[str, pd.DataFrame], raw: Mapping[str, pd.DataFrame], seed: int) -> Links:
    """Who is who; keys are looked up under their names in the mixed table."""
    keys, sides = {}, {}
    for source, item in plan.inputs.items():
        side, names = frames[source], []
        for key in item.key:
            made = next((m.to for m in plan.mapped.values() if m.sources.get(source) == (key,)), None)
            if made is None:
                made = f"_{key}"
                side = side.assign(**{made: without_sentinels(raw[source][key], item.na.get(key, ())).to_numpy()})
            names.append(made)
        keys[source], sides[source] = names, side
    spec: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plan.link.items()}
    links = link(sides, keys, LinkSpec(**spec), seed)
    if links.report["alarms"] and plan.link.get("alarms") != "report":
        look = [f"{item['source']} row {item['first_row']}" for item in links.report["heavy_keys"][:MOST_TOLD]]
        raise DataError(
            f"linking may have made one person of several: {'; '.join(links.report['alarms'])}"
            f"{' (look at ' + ', '.join(look) + ')' if look else ''}. If it is right so, set alarms: report under link"
        )
    return links


def _told(plan: Plan, links: Links, rows: int) -> dict[str, Any]:
    """The link's report; without a link it cannot say in how many sources a person stands."""
    unknown = ("person", "epsilon_factor", "sources_per_entity") if plan.link["engine"] == "none" else ()
    return {key: value for key, value in without_rare(links.report, rows).items() if key not in unknown}


def _combined(plan: Plan, frames: Mapping[str, pd.DataFrame], links: Links, seed: int) -> Combined:
    """The sources as one table."""
    if plan.combine["op"] == "join":
        if plan.link["engine"] == "none" and len(frames) > 1:
            raise InputError("a join needs to know who is who: set link to exact, splink or clk, or combine to union")
        return join(frames, links.entities, plan)
    if plan.combine["op"] == "fuse":
        overlap = plan.combine.get("overlap")
        return fused(frames, links.entities, read(plan.folder / overlap).frame if overlap else None, seed)
    made = union(frames, links.entities, plan)
    if plan.combine["on_missing_column"] == "impute":
        return replace(made, frame=_imputed(made, seed))
    return made


def _imputed(made: Combined, seed: int) -> pd.DataFrame:
    """Columns that a source lacks, drawn by a model of all sources."""
    from tabsynth.synthesizers.masked import MaskedSynthesizer

    model = MaskedSynthesizer().fit(made.frame, seed=seed, mask=made.mask)
    drawn = model.impute(made.frame, seed=seed)
    return made.frame.where(made.mask | made.frame.notna(), drawn)


def _namespaced(plan: Plan, made: Combined) -> pd.DataFrame:
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


def _weights(plan: Plan, made: Combined) -> tuple[npt.NDArray[np.float64], dict[str, Any] | None]:
    """Weights that bring the table to known margins; 1 where there are none."""
    if plan.weights is None:
        return np.ones(len(made.frame)), None
    margins = plan.weights["margins"]
    told = read_yaml(plan.folder / margins, "margins") if isinstance(margins, str) else margins
    found = rake(
        made.frame, check_margins(told), float(plan.weights.get("cap", 5.0)), float(plan.weights.get("min_ess", 0.5))
    )
    return np.asarray(found.weights / found.weights.mean()), without_rare(found.report, len(made.frame))


def _domains(frames: Mapping[str, pd.DataFrame], seed: int) -> dict[str, Any] | None:
    """How far the sources differ in what all of them have."""
    if len(frames) < 2 or min(map(len, frames.values())) < LEAST_ROWS:
        return None
    shared = [name for name in next(iter(frames.values())) if all(name in frame for frame in frames.values())]
    if not shared:
        return None
    result: dict[str, Any] = domain_auc({name: frame[shared] for name, frame in frames.items()}, seed=seed)
    return result


def schema_of(plan: Plan, frame: pd.DataFrame) -> Schema:
    """What the mixed table is: as the target declares, else as the plan and the values say."""
    columns: dict[str, Column] = {}
    for name in frame.columns:
        if name == "_source":
            known = None if plan.combine["op"] == "join" else tuple(plan.inputs)
            columns[name] = Categorical(name=name, role="source", values=known)
        elif plan.schema is not None and name in plan.schema:
            columns[name] = _as_declared(plan.schema[name], plan, bool(frame[name].isna().any()))
        else:
            columns[name] = _as_planned(infer_column(frame[name]), plan.mapped[name].kind)
    return Schema(columns)


def _as_declared(told: Column, plan: Plan, missing: bool) -> Column:
    """The target's column, nullable where the plan makes values missing; where the rows alone do, that is inferred."""
    entries = entries_of(plan, told.name)
    sources = plan.mapped[told.name].sources
    dropped = any(e.na or e.budget or "missing" in (e.outside, e.unmapped) for e in entries)
    dropped |= any(set(plan.inputs[name].na) & set(columns) for name, columns in sources.items())
    if told.nullable or len(sources) < len(plan.inputs) or dropped:
        return replace(told, nullable=True)
    return replace(told, nullable=True, origin="inferred") if missing else told


def _as_planned(seen: Column, kind: str) -> Column:
    """The kind that the plan tells, where the values alone would be taken for another."""
    if seen.kind == kind or kind not in ("categorical", "identifier"):
        return seen
    made = Categorical if kind == "categorical" else Identifier
    return made(name=seen.name, nullable=seen.nullable, role=seen.role, origin=seen.origin)
