"""What is told of a mixed table: its report, its schema, how far its sources differ, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from tabsynth.mixing.combination.raking import domain_auc
from tabsynth.mixing.harmonise import HarmonisationStats, decided_entries
from tabsynth.mixing.plan.plan import Plan
from tabsynth.schema.columns import Categorical, Column, Identifier
from tabsynth.schema.inference import infer_column
from tabsynth.schema.schema import Schema

MIN_CELL_ROWS = 5
"""Values appear in the report only where at least so many rows share them."""

MIN_DOMAIN_ROWS = 50
"""Rows of each source below which nothing is said of how far the sources differ."""

MAX_DOMAIN_ROWS = 20_000
"""Rows of each source, at equal steps, by which it is said."""


def columns_report(done: Mapping[str, Mapping[str, HarmonisationStats]], rows: Mapping[str, int]) -> dict[str, Any]:
    """What was done to each column, by source; counts below five and rare codes are not told."""
    out: dict[str, Any] = {}
    for source, columns in done.items():
        for name, item in columns.items():
            told: dict[str, Any] = {}
            if item.sentinels:
                told["sentinels"] = _rounded_count(item.sentinels)
            if item.converted:
                told["converted"] = {unit: _rounded_count(count) for unit, count in item.converted.items()}
            if item.recoded:
                told["recoded"] = {value: count for value, count in item.recoded.items() if count >= MIN_CELL_ROWS}
                rare = sum(count < MIN_CELL_ROWS for count in item.recoded.values())
                told |= {"rarer_codes": rare} if rare else {}
            if item.unread:
                told["unread"] = _rounded_count(item.unread)
            if item.outside:
                told["outside"] = _rounded_count(item.outside)
            out.setdefault(name, {})[source] = told
    for name, sources in out.items():
        out[name] = {"from": sources, "absent": [source for source in rows if source not in sources]}
    return out


def _rounded_count(count: int) -> int | str:
    """A count of rows; a small one is not told exactly."""
    return count if count >= MIN_CELL_ROWS else f"fewer than {MIN_CELL_ROWS}"


def suppress_rare_cells(report: Any, rows: int) -> Any:
    """A report without the values of cells that fewer than five rows share."""
    if isinstance(report, Mapping):
        kept: dict[str, Any] = {}
        for key, value in report.items():
            if key == "cells" and isinstance(value, Iterable):
                kept[key] = [cell for cell in value if cell.get("share", 0.0) * rows >= MIN_CELL_ROWS]
            elif key == "heavy_keys":
                kept[key] = len(list(value))
            else:
                kept[str(key)] = suppress_rare_cells(value, rows)
        return kept
    if isinstance(report, (list, tuple)):
        return [suppress_rare_cells(item, rows) for item in report]
    return report.item() if hasattr(report, "item") else report


def privacy_note(engine: str, factor: int, sources: int) -> str:
    """What mixing means for a promise of privacy by person."""
    if sources == 1:
        return "one source: a person's rows are those that it has"
    if engine == "none":
        return (
            f"row-level: the sources were not linked, so a person may stand in up to {sources} of them, and their "
            f"epsilon may be up to {sources} times that of a row"
        )
    if factor == 1:
        return f"linked by {engine}: one person has one row, and an epsilon of a row is one of a person"
    return (
        f"linked by {engine}: one person has at most {factor} rows, and their epsilon is up to {factor} times a row's"
    )


def provenance(plan: Plan, inputs: Mapping[str, Mapping[str, Any]], rows: int, person: str) -> dict[str, Any]:
    """What a mixed table tells of itself, in its frame and its file."""
    void = []
    if plan.combine["op"] == "fuse":
        void.append("columns were drawn from other people's rows (combine: fuse)")
    if plan.combine["op"] == "union" and plan.combine["on_missing_column"] == "impute":
        void.append("missing columns were filled in by a model of all rows (on_missing_column: impute)")
    if plan.combine["op"] == "join" and "em" in (plan.resolve["default"], *plan.resolve["columns"].values()):
        void.append("conflicts were resolved by errors that all rows tell of (resolve: em)")
    return {
        "plan_hash": plan.hash,
        "decisions_hash": plan.decisions_hash,
        "sources": {name: int(item["rows"]) for name, item in inputs.items()},
        "rows": rows,
        "person": person,
        "void": void,
    }


def domain_shift(frames: Mapping[str, pd.DataFrame], seed: int) -> dict[str, Any] | None:
    """How far the sources differ in what all of them have."""
    if len(frames) < 2 or min(map(len, frames.values())) < MIN_DOMAIN_ROWS:
        return None
    shared = [name for name in next(iter(frames.values())) if all(name in frame for frame in frames.values())]
    if not shared:
        return None
    result: dict[str, Any] = domain_auc(
        {name: subsample_evenly(frame[shared]) for name, frame in frames.items()}, seed=seed
    )
    return result


def report_text(report: Mapping[str, Any]) -> str:
    """The report as the text of a JSON file."""
    return json.dumps(report, indent=1, ensure_ascii=False, default=str) + "\n"


def subsample_evenly(frame: pd.DataFrame) -> pd.DataFrame:
    """At most ``MAX_DOMAIN_ROWS`` rows, at equal steps."""
    return frame.iloc[:: -(-len(frame) // MAX_DOMAIN_ROWS) or 1]


def mixed_schema(plan: Plan, frame: pd.DataFrame) -> Schema:
    """What the mixed table is: as the target declares, else as the plan and the values say."""
    columns: dict[str, Column] = {}
    for name in frame.columns:
        if name == "_source":
            known = None if plan.combine["op"] == "join" else tuple(plan.inputs)
            columns[name] = Categorical(name=name, role="source", values=known)
        elif plan.schema is not None and name in plan.schema:
            columns[name] = _declared_column(plan.schema[name], plan, bool(frame[name].isna().any()))
        else:
            columns[name] = _planned_column(infer_column(frame[name]), plan.mapped[name].kind)
    return Schema(columns)


def _declared_column(told: Column, plan: Plan, missing: bool) -> Column:
    """The target's column, nullable where the plan makes values missing; where the rows alone do, that is inferred."""
    entries = decided_entries(plan, told.name)
    sources = plan.mapped[told.name].sources
    dropped = any(e.na or e.budget or "missing" in (e.outside, e.unmapped) for e in entries)
    dropped |= any(set(plan.inputs[name].na) & set(columns) for name, columns in sources.items())
    if told.nullable or len(sources) < len(plan.inputs) or dropped:
        return replace(told, nullable=True)
    return replace(told, nullable=True, origin="inferred") if missing else told


def _planned_column(seen: Column, kind: str) -> Column:
    """The kind that the plan tells, where the values alone would be taken for another."""
    if seen.kind == kind or kind not in ("categorical", "identifier"):
        return seen
    made = Categorical if kind == "categorical" else Identifier
    return made(name=seen.name, nullable=seen.nullable, role=seen.role, origin=seen.origin)
