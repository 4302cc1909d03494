"""SDMetrics' own quality and diagnostic reports, as Scores beside ours. The only module that imports sdmetrics."""

from __future__ import annotations

import importlib.util
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.errors import MissingDependencyError
from tabsynth.evaluation.score import Part, Score
from tabsynth.schema import Schema
from tabsynth.table import instants

TABLE = "table"
"""SDMetrics wants a name for it."""

MOST_ROWS = 50_000
"""Rows a side; above it SDMetrics would draw rows of its own, without a seed."""

REPORTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "QualityReport": (
        ("Column Shapes", "sdmetrics_column_shapes", "Similarity of every column's distribution"),
        (
            "Column Pair Trends",
            "sdmetrics_column_pair_trends",
            "Similarity of the relation of two columns, over the pairs that SDMetrics finds related enough",
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


def available() -> bool:
    """Whether sdmetrics is installed (nothing is imported)."""
    return importlib.util.find_spec("sdmetrics") is not None


def metadata(schema: Schema) -> dict[str, Any]:
    """Metadata of one table as SDMetrics reads it: ``{"tables": {"table": {"columns": {name: {"sdtype": ...}}}}}``."""
    kinds: dict[type[Column], dict[str, Any]] = {
        Numeric: {"sdtype": "numerical"},
        Categorical: {"sdtype": "categorical"},
        Boolean: {"sdtype": "boolean"},
        Datetime: {"sdtype": "datetime"},
        Identifier: {"sdtype": "id"},
        Text: {"sdtype": "unknown", "pii": True},
    }
    columns = {name: dict(kinds[type(column)]) for name, column in schema.items()}
    return {"tables": {TABLE: {"columns": columns}}, "relationships": []}


def sdmetrics_scores(
    train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, rng: np.random.Generator
) -> tuple[list[Score], list[str]]:
    """SDMetrics' two single-table reports with its defaults, in percent.

    Args:
        train: The real table.
        synthetic: The synthetic table.
        schema: Kinds of the columns.
        rng: Draws rows where there are more than ``MOST_ROWS``.

    Returns:
        The scores, and notes on what SDMetrics could not compute.

    Raises:
        MissingDependencyError: sdmetrics is not installed.
    """
    if not available():
        raise MissingDependencyError("SDMetrics' scores need the package sdmetrics: pip install sdmetrics")
    from sdmetrics.reports import DiagnosticReport, QualityReport

    real, made = (_prepared(frame, schema, rng) for frame in (train, synthetic))
    scores: list[Score] = []
    notes: list[str] = []
    for kind in (QualityReport, DiagnosticReport):
        name = kind.__name__
        report = kind()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            report.generate({TABLE: real}, {TABLE: made}, metadata(schema), verbose=False)
            overall = report.get_score()
            values = dict(report.get_properties().itertuples(index=False, name=None))
            details = {title: report.get_details(title, TABLE) for title, _, _ in REPORTS[name]}
        key, title = OVERALL[name]
        found = [(key, title, f"SDMetrics' overall score, the mean of its parts ({name})", overall, None)]
        found += [(key, title, text, values[title], details[title]) for title, key, text in REPORTS[name]]
        for key, title, text, value, detail in found:
            if value is None or math.isnan(value):
                notes.append(f"SDMetrics gives no score for {title!r}: no column or pair qualifies by its defaults.")
                continue
            scores.append(
                Score(
                    name=key,
                    title=title,
                    value=100 * float(value),
                    interval=None,
                    better="higher",
                    target=100.0,
                    unit="%",
                    description=f"{text}.",
                    method=f"sdmetrics {name} with its defaults; SDMetrics gives no interval.",
                    detail=() if detail is None else _parts(detail),
                )
            )
    return scores, notes


def _prepared(frame: pd.DataFrame, schema: Schema, rng: np.random.Generator) -> pd.DataFrame:
    """The schema's columns with real datetimes, and no more rows than SDMetrics looks at."""
    out = frame[list(schema)]
    if len(out) > MOST_ROWS:
        out = out.iloc[rng.permutation(len(out))[:MOST_ROWS]]
    dates = {c.name: instants(out[c.name], c.format) for c in schema.values() if isinstance(c, Datetime)}
    return out.assign(**dates).reset_index(drop=True)


def _parts(detail: pd.DataFrame) -> tuple[Part, ...]:
    """SDMetrics' table of details as parts; what it could not compute is left out."""
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
