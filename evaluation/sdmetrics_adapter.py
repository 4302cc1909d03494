"""Adapter of the quality and diagnostic reports of SDMetrics. This is the only module that imports sdmetrics."""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.errors import InputError, missing_package, quote
from tabsynth.evaluation.score import Part, Score
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_instants

TABLE_NAME = "table"
"""Table name that SDMetrics requires."""

MAX_ROWS = 50_000
"""Maximum real, and synthetic, rows; with more rows SDMetrics would subsample without a seed."""

REPORTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "QualityReport": (
        ("Column Shapes", "sdmetrics_column_shapes", "Similarity of every column's distribution"),
        (
            "Column Pair Trends",
            "sdmetrics_column_pair_trends",
            "Similarity of the relation of two columns, over the pairs above SDMetrics' threshold",
        ),
    ),
    "DiagnosticReport": (
        ("Data Validity", "sdmetrics_data_validity", "Values within the real table's ranges and categories"),
        ("Data Structure", "sdmetrics_data_structure", "Same columns and types"),
    ),
}
OVERALL = {
    "QualityReport": ("sdmetrics_quality", "Quality"),
    "DiagnosticReport": ("sdmetrics_diagnostic", "Diagnostic"),
}


def is_installed() -> bool:
    """Return whether sdmetrics is installed (nothing is imported)."""
    return importlib.util.find_spec("sdmetrics") is not None


def sdmetrics_metadata(schema: Schema) -> dict[str, Any]:
    """Return SDMetrics metadata of one table: ``{"tables": {"table": {"columns": {name: {"sdtype": ...}}}}}``."""
    kinds: dict[type[Column], dict[str, Any]] = {
        Numeric: {"sdtype": "numerical"},
        Categorical: {"sdtype": "categorical"},
        Boolean: {"sdtype": "boolean"},
        Datetime: {"sdtype": "datetime"},
        Identifier: {"sdtype": "id"},
        Text: {"sdtype": "unknown", "pii": True},
    }
    columns = {name: dict(kinds[type(column)]) for name, column in schema.items()}
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
    if not is_installed():
        raise missing_package("an SDMetrics score", "sdmetrics", "sdv")
    from sdmetrics.reports import DiagnosticReport, QualityReport

    real, sampled = (_prepare(frame, schema, rng) for frame in (train, synthetic))
    scores: list[Score] = []
    notes: list[str] = []
    for kind in (QualityReport, DiagnosticReport):
        name = kind.__name__
        report = kind()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            report.generate({TABLE_NAME: real}, {TABLE_NAME: sampled}, sdmetrics_metadata(schema), verbose=False)
            overall = report.get_score()
            values = dict(report.get_properties().itertuples(index=False, name=None))
            details = {title: report.get_details(title, TABLE_NAME) for title, _, _ in REPORTS[name]}
        key, title = OVERALL[name]
        results = [(key, title, f"SDMetrics' overall score, the mean of its parts ({name})", overall, None)]
        results += [(key, title, text, values[title], details[title]) for title, key, text in REPORTS[name]]
        for key, title, text, value, detail in results:
            if value is None or math.isnan(value):
                notes.append(f"SDMetrics has no score for {title!r}: no column or pair qualifies by its defaults.")
                continue
            method = f"sdmetrics {name} with default options; SDMetrics has no intervals."
            scores.append(_share_score(key, title, text, value, method, () if detail is None else _parts(detail)))
    return scores, notes


LINKED_PROPERTIES = {
    "Column Shapes": "Similarity of every column's distribution",
    "Column Pair Trends": "Similarity of the relation of two columns of one table",
    "Cardinality": "Similarity of the number of children per parent",
    "Intertable Trends": "Similarity of the relation of a child's and its parent's columns",
    "Data Validity": "Values within the real tables' ranges and categories, unique keys",
    "Data Structure": "Same columns and types",
    "Relationship Validity": "Keys with a parent, and numbers of children within the real ones",
}


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
    if not is_installed():
        raise missing_package("an SDMetrics score", "sdmetrics", "sdv")
    from sdmetrics.reports import DiagnosticReport, QualityReport

    rng = np.random.default_rng(0)  # unused: all rows are kept, because sampling would break links
    sides = [
        {name: _prepare(side[name], table, rng, max_rows=None) for name, table in schema.tables.items()}
        for side in (train, synthetic)
    ]
    scores, notes = [], []
    for kind in (QualityReport, DiagnosticReport):
        report = kind()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            report.generate(sides[0], sides[1], database_metadata(schema), verbose=False)
            values = dict(report.get_properties().itertuples(index=False, name=None))
            overall = report.get_score()
        key, title = OVERALL[kind.__name__]
        results = [(key, title, f"SDMetrics' overall score, the mean of its parts ({kind.__name__})", overall)]
        for part, text in LINKED_PROPERTIES.items():
            if part in values:
                results.append((f"sdmetrics_{part.lower().replace(' ', '_')}", part, text, values[part]))
        for name, title, text, value in results:
            if value is None or math.isnan(value):
                notes.append(f"SDMetrics has no score for {title!r}: nothing qualifies by its defaults.")
                continue
            method = f"sdmetrics {kind.__name__} of several tables with default options."
            scores.append(_share_score(name, title, text, value, method))
    return scores, notes


def _share_score(name: str, title: str, text: str, value: float, method: str, detail: tuple[Part, ...] = ()) -> Score:
    """Convert a score of SDMetrics, between 0 and 1, to percent."""
    return Score(
        name=name,
        title=title,
        value=100 * float(value),
        interval=None,
        better="higher",
        target=100.0,
        unit="%",
        description=f"{text}.",
        method=method,
        detail=detail,
    )


def quality_details(train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema) -> dict[str, float]:
    """Return the similarity of each column's distribution by SDMetrics' full Quality report, on all rows."""
    if not is_installed():
        raise missing_package("an SDMetrics score", "sdmetrics", "sdv")
    from sdmetrics.reports import QualityReport

    report = QualityReport()
    with np.errstate(all="ignore"):
        report.generate({TABLE_NAME: train}, {TABLE_NAME: synthetic}, sdmetrics_metadata(schema), verbose=False)
        report.get_details("Column Pair Trends", TABLE_NAME)
        detail = report.get_details("Column Shapes", TABLE_NAME)
    return {str(row["Column"]): float(row["Score"]) for row in detail.to_dict("records")}


METRICS: dict[str, str] = {
    "CategoryCoverage": "sdmetrics.single_column",
    "RangeCoverage": "sdmetrics.single_column",
    "KSComplement": "sdmetrics.single_column",
    "TVComplement": "sdmetrics.single_column",
    "BoundaryAdherence": "sdmetrics.single_column",
    "CategoryAdherence": "sdmetrics.single_column",
    "MissingValueSimilarity": "sdmetrics.single_column",
    "StatisticSimilarity": "sdmetrics.single_column",
    "CorrelationSimilarity": "sdmetrics.column_pairs",
    "ContingencySimilarity": "sdmetrics.column_pairs",
    "NewRowSynthesis": "sdmetrics.single_table",
}
"""Other metrics of SDMetrics for two tables, with their modules."""


def sdmetrics_metric(
    name: str, train: pd.DataFrame, synthetic: pd.DataFrame, columns: Sequence[str], **options: Any
) -> float:
    """Compute a metric of SDMetrics by its name: from 0 to 1, higher is better.

    Args:
        name: One of ``METRICS``.
        train: The real table.
        synthetic: The synthetic table.
        columns: One column, two for a pair metric, or all columns for a table metric.
        options: Further arguments of the metric's ``compute``.

    Raises:
        InputError: The name is unknown, or the number of columns is wrong.
        MissingDependencyError: sdmetrics is not installed.
    """
    if name not in METRICS:
        raise InputError(f"unknown SDMetrics metric {name!r}; there are {quote(METRICS, 20)}")
    if not is_installed():
        raise missing_package("an SDMetrics score", "sdmetrics", "sdv")
    family = METRICS[name].rsplit(".", 1)[1]
    wanted = {"single_column": 1, "column_pairs": 2}.get(family, len(columns))
    if len(columns) != wanted or not columns:
        raise InputError(f"{name} needs {wanted} column(s), not {quote(columns)}")
    metric = getattr(importlib.import_module(METRICS[name]), name)
    pick = columns[0] if wanted == 1 and family == "single_column" else list(columns)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(metric.compute(train[pick].copy(), synthetic[pick].copy(), **options))


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
