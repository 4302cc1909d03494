"""Report, schema, domain shift and provenance of a mixed table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from tabsynth.common.text import readable_json
from tabsynth.mixing.combination.raking import domain_auc
from tabsynth.mixing.harmonise import decided_entries
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.value_parsing import HarmonisationStats
from tabsynth.schema.columns import Categorical, Column, Identifier
from tabsynth.schema.inference import infer_column
from tabsynth.schema.schema import Schema

MIN_CELL_ROWS = 5
"""Minimum rows of a value in the report."""

MIN_DOMAIN_ROWS = 50
"""Minimum rows of each source for measuring domain shift."""

MAX_DOMAIN_ROWS = 20_000
"""Maximum rows of each source, evenly spaced, for measuring domain shift."""


def columns_report(stats: Mapping[str, Mapping[str, HarmonisationStats]], rows: Mapping[str, int]) -> dict[str, Any]:
    """Return the changes to each column by source, without small counts and rare codes."""
    out: dict[str, Any] = {}
    for source, columns in stats.items():
        for name, item in columns.items():
            summary: dict[str, Any] = {}
            if item.sentinels:
                summary["sentinels"] = _rounded_count(item.sentinels)
            if item.converted:
                summary["converted"] = {unit: _rounded_count(count) for unit, count in item.converted.items()}
            if item.recoded:
                summary["recoded"] = {value: count for value, count in item.recoded.items() if count >= MIN_CELL_ROWS}
                rare = sum(count < MIN_CELL_ROWS for count in item.recoded.values())
                summary |= {"rarer_codes": rare} if rare else {}
            if item.unread:
                summary["unread"] = _rounded_count(item.unread)
            if item.outside:
                summary["outside"] = _rounded_count(item.outside)
            out.setdefault(name, {})[source] = summary
    for name, sources in out.items():
        out[name] = {"from": sources, "absent": [source for source in rows if source not in sources]}
    return out


def _rounded_count(count: int) -> int | str:
    """Return a count of rows; small counts are not disclosed."""
    return count if count >= MIN_CELL_ROWS else f"fewer than {MIN_CELL_ROWS}"


def suppress_rare_cells(report: Any, rows: int) -> Any:
    """Remove the values of cells with fewer than five rows from a report."""
    if isinstance(report, Mapping):
        public: dict[str, Any] = {}
        for key, value in report.items():
            if key == "cells" and isinstance(value, Iterable):
                public[key] = [cell for cell in value if cell.get("share", 0.0) * rows >= MIN_CELL_ROWS]
            elif key == "heavy_keys":
                public[key] = len(list(value))
            else:
                public[str(key)] = suppress_rare_cells(value, rows)
        return public
    if isinstance(report, (list, tuple)):
        return [suppress_rare_cells(item, rows) for item in report]
    return report.item() if hasattr(report, "item") else report


def privacy_note(engine: str, factor: int, sources: int) -> str:
    """Return the effect of mixing on person-level privacy."""
    if sources == 1:
        return "one source: a person has the rows of that source"
    if engine == "none":
        return (
            f"row-level: the sources were not linked, so a person may occur in up to {sources} of them, and their "
            f"epsilon may be up to {sources} times that of a row"
        )
    if factor == 1:
        return f"linked by {engine}: one person has one row, and an epsilon of a row is one of a person"
    return (
        f"linked by {engine}: one person has at most {factor} rows, and their epsilon is up to {factor} times a row's"
    )


def provenance(plan: Plan, inputs: Mapping[str, Mapping[str, Any]], rows: int, person: str) -> dict[str, Any]:
    """Return the provenance of a mixed table, stored in its frame and file."""
    void = []
    if plan.combine["op"] == "fuse":
        void.append("columns were drawn from other people's rows (combine: fuse)")
    if plan.combine["op"] == "union" and plan.combine["on_missing_column"] == "impute":
        void.append("missing columns were filled in by a model of all rows (on_missing_column: impute)")
    if plan.combine["op"] == "join" and "em" in (plan.resolve["default"], *plan.resolve["columns"].values()):
        void.append("conflicts were resolved by error rates estimated from all rows (resolve: em)")
    return {
        "plan_hash": plan.hash,
        "decisions_hash": plan.decisions_hash,
        "sources": {name: int(item["rows"]) for name, item in inputs.items()},
        "rows": rows,
        "person": person,
        "void": void,
    }


def domain_shift(frames: Mapping[str, pd.DataFrame], seed: int) -> dict[str, Any] | None:
    """Return the domain shift between the sources in their common columns."""
    if len(frames) < 2 or min(map(len, frames.values())) < MIN_DOMAIN_ROWS:
        return None
    shared = [name for name in next(iter(frames.values())) if all(name in frame for frame in frames.values())]
    if not shared:
        return None
    result: dict[str, Any] = domain_auc(
        {name: subsample_evenly(frame[shared]) for name, frame in frames.items()}, seed=seed
    )
    return result


def mix_report(
    plan: Plan,
    stats: Mapping[str, Mapping[str, HarmonisationStats]],
    link: Mapping[str, Any],
    combine: Mapping[str, Any],
    samples: Mapping[str, pd.DataFrame],
    *,
    rows: Mapping[str, int],
    factor: int,
    weights: Mapping[str, Any] | None = None,
    seed: int,
) -> dict[str, Any]:
    """Return the report of a mix.

    Args:
        plan: The applied plan.
        stats: Changes by source and column.
        link: The report of the linkage; without a link, counts of persons are unknown and removed.
        combine: The report of the combination.
        samples: Harmonised rows of each source, for the domain shift.
        rows: Rows of each source.
        factor: Maximum rows of a person.
        weights: The report of the raking.
        seed: Seed of the domain shift.
    """
    total = int(combine["rows_out"])
    unknown = ("person", "epsilon_factor", "sources_per_entity") if plan.link["engine"] == "none" else ()
    public_link = {key: value for key, value in link.items() if key not in unknown}
    return {
        "plan_hash": plan.hash,
        "inputs": {name: {"rows": count, "sha256": plan.inputs[name].sha256} for name, count in rows.items()},
        "columns": columns_report(stats, rows),
        "link": suppress_rare_cells(public_link, total),
        "combine": suppress_rare_cells(combine, total),
        "weights": None if weights is None else suppress_rare_cells(weights, total),
        "domain_auc": domain_shift(samples, seed),
        "privacy": privacy_note(plan.link["engine"], factor, len(rows)),
    }


def report_text(report: Mapping[str, Any]) -> str:
    """Return the report as the text of a JSON file."""
    return readable_json(report, default=str)


def subsample_evenly(frame: pd.DataFrame) -> pd.DataFrame:
    """Return at most ``MAX_DOMAIN_ROWS`` evenly spaced rows."""
    return frame.iloc[:: -(-len(frame) // MAX_DOMAIN_ROWS) or 1]


def mixed_schema(plan: Plan, frame: pd.DataFrame) -> Schema:
    """Return the schema of the mixed table: declared by the target, else inferred from the plan and the values."""
    columns: dict[str, Column] = {}
    for name in frame.columns:
        if name == "_source":
            sources = None if plan.combine["op"] == "join" else tuple(plan.inputs)
            columns[name] = Categorical(name=name, role="source", values=sources)
        elif plan.schema is not None and name in plan.schema:
            columns[name] = _declared_column(plan.schema[name], plan, bool(frame[name].isna().any()))
        else:
            columns[name] = _planned_column(infer_column(frame[name]), plan.mapped[name].kind)
    return Schema(columns)


def _declared_column(declared: Column, plan: Plan, missing: bool) -> Column:
    """Return the target's column, nullable if the plan creates missing values, or if rows have some (inferred)."""
    entries = decided_entries(plan, declared.name)
    sources = plan.mapped[declared.name].sources
    dropped = any(e.na or e.budget or "missing" in (e.outside, e.unmapped) for e in entries)
    dropped |= any(set(plan.inputs[name].na) & set(columns) for name, columns in sources.items())
    if declared.nullable or len(sources) < len(plan.inputs) or dropped:
        return replace(declared, nullable=True)
    return replace(declared, nullable=True, origin="inferred") if missing else declared


def _planned_column(inferred: Column, kind: str) -> Column:
    """Return the inferred column, with the plan's kind."""
    if inferred.kind == kind or kind not in ("categorical", "identifier"):
        return inferred
    column_type = Categorical if kind == "categorical" else Identifier
    return column_type(name=inferred.name, nullable=inferred.nullable, role=inferred.role, origin=inferred.origin)
