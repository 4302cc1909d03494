"""HTML page of a comparison of several synthetic tables, rendered from plain data: self-contained, without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabsynth.evaluation.metric_specs import SPECS, area_of
from tabsynth.evaluation.rendering.overview import NOTE, overview_of_tables, table_letters
from tabsynth.evaluation.rendering.page import TEMPLATES, score_row
from tabsynth.evaluation.verdict import recommend
from tabsynth.reporting import charts
from tabsynth.reporting.html import environment


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """Render one self-contained page from ``ComparisonReport.to_dict()``."""
    reports = comparison["reports"]
    by_name = {name: {score["name"]: score for score in report["scores"]} for name, report in reports.items()}
    rows = []
    for score, best in comparison["best"].items():
        each = {name: scores.get(score) for name, scores in by_name.items()}
        reference = next(current for current in each.values() if current)
        cells = []
        for name, current in each.items():
            row = score_row(current) if current else None
            level = reports[name]["verdict"]["scores"].get(score)
            cells.append({"row": row, "best": name in best and len(best) < len(each), "level": level})
        rows.append({**score_row(reference), "area": area_of(score), "cells": cells})
    names = list(dict.fromkeys(use["use"] for report in reports.values() for use in report["uses"]))
    uses = [
        (name, [next((u for u in r["uses"] if u["use"] == name), None) for r in reports.values()]) for name in names
    ]
    text: str = (
        environment(TEMPLATES)
        .get_template("compare.html.j2")
        .render(
            reports=reports,
            areas=[
                (area, [row for row in rows if row["area"] == area])
                for area in dict.fromkeys(row["area"] for row in rows)
            ],
            uses=uses,
            recommendations={
                name: recommend(report["uses"], report["verdict"]["areas"]) for name, report in reports.items()
            },
            overview=overview_of_tables(reports),
            overview_note=NOTE,
            letters=[(letter, name) for name, letter in table_letters(reports).items()],
            tiles=_tiles(reports, by_name),
        )
    )
    return text


def _tiles(reports: Mapping[str, Any], by_name: Mapping[str, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return each headline score with one gauge for each table, all on one scale."""
    tiles = []
    for name, spec in SPECS.items():
        measured = {table: scores[name] for table, scores in by_name.items() if name in scores}
        if not spec.gauge or not measured:
            continue
        everyone = list(measured.values())
        gauges = [
            {
                "table": table,
                "level": reports[table]["verdict"]["scores"].get(name) or "",
                "value": score_row(score)["value"],
                "gauge": charts.gauge(score, spec.gauge, everyone),
            }
            for table, score in measured.items()
        ]
        tiles.append({**score_row(everyone[0]), "gauges": gauges})
    return tiles
