"""Adapter of the quality and diagnostic reports of SDMetrics. This is the only module that imports sdmetrics."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.process_state import packages_warnings
from tabsynth.errors import missing_package
from tabsynth.evaluation.score import Part, Score
from tabsynth.schema.columns import Datetime
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.schema.sdv_metadata import SDTYPES
from tabsynth.schema.validation import to_instants

TABLE_NAME = "table"
"""Table name that SDMetrics requires."""

MAX_ROWS = 50_000
"""Maximum real, and synthetic, rows; with more rows SDMetrics would subsample without a seed."""

OVERALL = {
    "QualityReport": ("sdmetrics_quality", "Quality"),
    "DiagnosticReport": ("sdmetrics_diagnostic", "Diagnostic"),
}
"""Name and title of each report's overall score."""

TABLE_PROPERTIES = {
    "Column Shapes": "Similarity of every column's distribution",
    "Column Pair Trends": "Similarity of the relation of two columns, over the pairs above SDMetrics' threshold",
    "Data Validity": "Values within the real table's ranges and categories",
    "Data Structure": "Same columns and types",
}
"""Properties of the reports of one table, with a description of their scores."""

LINKED_PROPERTIES = {
    "Column Shapes": "Similarity of every column's distribution",
    "Column Pair Trends": "Similarity of the relation of two columns of one table",
    "Cardinality": "Similarity of the number of children per parent",
    "Intertable Trends": "Similarity of the relation of a child's and its parent's columns",
    "Data Validity": "Values within the real tables' ranges and categories, unique keys",
    "Data Structure": "Same columns and types",
    "Relationship Validity": "Keys with a parent, and numbers of children within the real ones",
}
"""Properties of the reports of several tables."""


def is_installed() -> bool:
    """Return whether sdmetrics is installed (nothing is imported)."""
    return importlib.util.find_spec("sdmetrics") is not None


def sdmetrics_metadata(schema: Schema) -> dict[str, Any]:
    """Return SDMetrics metadata of one table: ``{"tables": {"table": {"columns": {name: {"sdtype": ...}}}}}``."""
    columns = {name: dict(SDTYPES[type(column)]) for name, column in schema.items()}
    return {"tables": {TABLE_NAME: {"columns": columns}}, "relationships": []}


def sdmetrics_scores(
    train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, rng: np.random.Generator
) -> tuple[list[Score], list[str]]:
    """Return the scores of the two single-table reports of SDMetrics with default options, in percent.

    Args:
        train: The real table.
        synthetic: The synthetic table.
        schema: Kinds of the columns.
        rng: Generator of the samples of tables with more than ``MAX_ROWS`` rows.

    Returns:
        The scores, and notes on what SDMetrics could not compute.

    Raises:
        MissingDependencyError: sdmetrics is not installed.
    """
    real, sampled = ({TABLE_NAME: _prepare(frame, schema, rng)} for frame in (train, synthetic))
    method = "{} with default options; SDMetrics has no intervals."
    return _report_scores(real, sampled, sdmetrics_metadata(schema), TABLE_PROPERTIES, method, details=True)


def database_metadata(schema: DatabaseSchema) -> dict[str, Any]:
    """Return multi-table metadata of SDMetrics and SDV, including public tables and links to them."""
    tables: dict[str, Any] = {}
    for name, table in schema.tables.items():
        columns = sdmetrics_metadata(table)["tables"][TABLE_NAME]["columns"]
        keys = {key.column for key in schema.foreign_keys if key.table == name} | {schema.primary_keys.get(name)}
        tables[name] = {"columns": {n: {"sdtype": "id"} if n in keys else facts for n, facts in columns.items()}}
        if name in schema.primary_keys:
            tables[name]["primary_key"] = schema.primary_keys[name]
    links = [
        {
            "parent_table_name": key.parent,
            "parent_primary_key": schema.primary_keys[key.parent],
            "child_table_name": key.table,
            "child_foreign_key": key.column,
        }
        for key in schema.foreign_keys
        if key.parent != key.table
    ]
    return {"tables": tables, "relationships": links, "METADATA_SPEC_VERSION": "V1"}


def database_scores(
    train: Mapping[str, pd.DataFrame], synthetic: Mapping[str, pd.DataFrame], schema: DatabaseSchema
) -> tuple[list[Score], list[str]]:
    """Return the scores of the multi-table reports of SDMetrics, in percent.

    Args:
        train: The real tables.
        synthetic: The synthetic tables.
        schema: Tables and links.

    Returns:
        The scores, and notes on what SDMetrics could not compute.

    Raises:
        MissingDependencyError: sdmetrics is not installed.
    """
    rng = np.random.default_rng(0)  # unused: all rows are kept, because sampling would break links
    real, sampled = (
        {name: _prepare(side[name], table, rng, max_rows=None) for name, table in schema.tables.items()}
        for side in (train, synthetic)
    )
    return _report_scores(
        real, sampled, database_metadata(schema), LINKED_PROPERTIES, "{} of all tables, default options."
    )


def _report_scores(
    real: dict[str, pd.DataFrame],
    synthetic: dict[str, pd.DataFrame],
    metadata: dict[str, Any],
    properties: dict[str, str],
    method: str,
    *,
    details: bool = False,
) -> tuple[list[Score], list[str]]:
    """Return the scores of the quality and the diagnostic report, and notes on missing ones."""
    if not is_installed():
        raise missing_package("an SDMetrics score", "sdmetrics", "sdv")
    from sdmetrics.reports import DiagnosticReport, QualityReport

    scores: list[Score] = []
    notes: list[str] = []
    for kind in (QualityReport, DiagnosticReport):
        report = kind()
        with packages_warnings().made(), np.errstate(all="ignore"):
            report.generate(real, synthetic, metadata, verbose=False)
            values = dict(report.get_properties().itertuples(index=False, name=None))
            parts = {name: report.get_details(name, TABLE_NAME) for name in values} if details else {}
            overall = report.get_score()
        key, title = OVERALL[kind.__name__]
        results = [(key, title, f"SDMetrics' overall score, the mean of its parts ({kind.__name__})", overall)]
        for name, text in properties.items():
            if name in values:
                results.append((f"sdmetrics_{name.lower().replace(' ', '_')}", name, text, values[name]))
        for key, title, text, value in results:
            if value is None or math.isnan(value):
                notes.append(f"SDMetrics has no score for {title!r}: no column or pair qualifies by its defaults.")
                continue
            score = Score(
                name=key,
                title=title,
                value=100 * float(value),
                interval=None,
                better="higher",
                target=100.0,
                unit="%",
                description=f"{text}.",
                method=method.format(f"sdmetrics {kind.__name__}"),
                detail=_parts(parts[title]) if title in parts else (),
            )
            scores.append(score)
    return scores, notes


def _prepare(
    frame: pd.DataFrame, schema: Schema, rng: np.random.Generator, max_rows: int | None = MAX_ROWS
) -> pd.DataFrame:
    """Return the schema's columns with real datetimes, and at most ``max_rows`` rows."""
    out = frame[list(schema)]
    if max_rows is not None and len(out) > max_rows:
        out = out.iloc[rng.permutation(len(out))[:max_rows]]
    dates = {c.name: to_instants(out[c.name], c.format) for c in schema.values() if isinstance(c, Datetime)}
    return out.assign(**dates).reset_index(drop=True)


def _parts(detail: pd.DataFrame) -> tuple[Part, ...]:
    """Convert a table of details of SDMetrics to parts, without missing scores."""
    if "Score" not in detail:
        return ()
    at = [name for name in ("Column", "Column 1", "Column 2") if name in detail]
    if not at:
        return ()
    known = detail[detail["Score"].notna()]
    return tuple(
        Part(columns=tuple(str(row[name]) for name in at), value=100 * float(row["Score"]))
        for row in known.to_dict("records")
    )
