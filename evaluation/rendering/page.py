"""HTML page of a report, rendered from plain data: self-contained, without scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tabsynth.evaluation.metric_specs import SPECS, area_of
from tabsynth.evaluation.rendering.overview import NOTE, overview
from tabsynth.evaluation.rendering.summary_tables import summary_tables
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.verdict import FORMAT_SCORES, compare_with_floor, recommend
from tabsynth.reporting import charts, maps
from tabsynth.reporting.html import environment
from tabsynth.reporting.number_format import format_number

TEMPLATES = "tabsynth.evaluation.rendering"
MAX_BARS = 10
MAX_CARDS, MAX_PICTURES = 200, 4
MAX_OPEN_FINDINGS, MAX_REASONS = 8, 3
"""Maximum number of initially expanded findings, and of scores listed under a use."""


def render(report: Mapping[str, Any]) -> str:
    """Render one self-contained HTML page from ``Report.to_dict()``."""
    scores = {score["name"]: score for score in report["scores"]}
    tables = report["provenance"].get("tables", {})
    cards = _cards(report["distributions"], scores)
    return (
        environment(TEMPLATES)
        .get_template("report.html.j2")
        .render(
            verdict=report["verdict"],
            privacy=_privacy_statement(report["provenance"].get("card")),
            tiles=[
                _tile(scores[name], report["verdict"]["scores"])
                for name, spec in SPECS.items()
                if spec.gauge and name in scores
            ],
            worst=_worst(report["worst"]),
            cards=cards[:MAX_CARDS],
            overview=overview(scores, report["verdict"]["scores"]),
            overview_note=NOTE,
            pictures=[card for card in cards if card["histogram"] or card["bars"]][:MAX_PICTURES],
            cards_left_out=max(len(report["distributions"]) - MAX_CARDS, 0),
            heat=_heat(scores, report["distributions"]),
            heat_steps=charts.HEAT_STEPS,
            detection=_detection_panel(scores),
            sdmetrics=_sdmetrics_rows(scores),
            scores=[score_row(score) for score in report["scores"]],
            uses=_uses(report["uses"], scores, report["findings"]),
            findings=report["findings"],
            shown=MAX_OPEN_FINDINGS,
            gates=report["gates"],
            recommendation=recommend(report["uses"], report["verdict"]["areas"]),
            summary=summary_tables(report["drilldown"].get("summary")),
            correlations=maps.correlations(report["drilldown"].get("correlations")),
            closest=charts.closest_records(report["drilldown"].get("closest")),
            projection=maps.projection(report["drilldown"].get("projection")),
            probabilities=charts.probability_histogram(report["drilldown"].get("telltale")),
            detailed=_detailed_scores(scores),
            notes=report["notes"],
            provenance=report["provenance"],
            tables=tables,
            card=_pretty_json(report["provenance"].get("card")),
        )
    )


def _uses(
    uses: list[dict[str, Any]], scores: Mapping[str, dict[str, Any]], findings: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return each use with the scores that limit its level, the worst first."""
    faulty = {FORMAT_SCORES.get(finding["score"], finding["score"]) for finding in findings}
    out = []
    for use in uses:
        reasons = [
            {**score_row(scores[item["name"]]), "level": item["level"], "finding": item["name"] in faulty}
            for item in use["against"]
        ]
        out.append({**use, "reasons": reasons[:MAX_REASONS], "more": max(len(reasons) - MAX_REASONS, 0)})
    return out


def _tile(score: dict[str, Any], levels: Mapping[str, str]) -> dict[str, Any]:
    typed = Score.from_dict(score)
    return {
        **score_row(score),
        "gauge": charts.gauge(score, SPECS[typed.name].gauge or (0.0, 1.0)),
        "level": levels.get(score["name"]),
        "reading": compare_with_floor(typed),
    }


def score_row(score: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a score as text."""
    typed = Score.from_dict({**score, "detail": []})
    unit = typed.unit
    return {
        "name": typed.name,
        "title": typed.title,
        "value": format_number(typed.value, unit),
        "unit": "" if unit == "%" else unit,
        "interval": [format_number(bound, unit) for bound in typed.interval] if typed.interval is not None else None,
        "floor": format_number(typed.floor, unit) if typed.floor is not None else None,
        "direction": typed.direction,
        "description": typed.description,
        "method": typed.method,
    }


def _bars(parts: list[dict[str, Any]], unit: str, start: float = 0.0) -> list[dict[str, Any]]:
    """Return the layout of bars on a common scale that begins at ``start``."""
    top = max((part["value"] - start for part in parts), default=0.0)
    out = []
    for part in parts:
        floor = part["floor"]
        out.append(
            {
                "name": " × ".join(part["columns"]),
                "value": format_number(part["value"], unit),
                "floor": format_number(floor, unit) if floor is not None else None,
                "width": round(100 * max(part["value"] - start, 0.0) / top, 1) if top > 0 else 0.0,
                "tick": round(100 * (floor - start) / top, 1)
                if floor is not None and 0 < floor - start <= top
                else None,
            }
        )
    return out


def _worst(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bars = _bars(parts[:MAX_BARS], "%")
    for bar, part in zip(bars, parts, strict=False):
        bar["what"] = "pair" if len(part["columns"]) > 1 else "column"
    return bars


def _cards(pictures: list[dict[str, Any]], scores: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a card for each column, the one with the largest excess over its floor first."""
    errors = {part["columns"][0]: part for part in scores["shape_error"]["detail"]} if "shape_error" in scores else {}
    cards = []
    for picture in pictures:
        part = errors.get(picture["name"], {"value": 0.0, "floor": None})
        continuous = "edges" in picture
        cards.append(
            {
                "name": picture["name"],
                "kind": picture["kind"],
                "error": format_number(part["value"], "%"),
                "level": charts.level(part["value"]),
                "floor": format_number(part["floor"], "%") if part["floor"] is not None else None,
                "excess": part["value"] - (part["floor"] or 0.0),
                "histogram": charts.histogram(picture) if continuous else None,
                "bars": None if continuous else charts.bars(picture),
                "missing": [format_number(picture[f"{side}_missing"], "%") for side in ("real", "synthetic")]
                if picture["real_missing"] or picture["synthetic_missing"]
                else None,
            }
        )
    return sorted(cards, key=lambda card: -card["excess"])


def _heat(scores: Mapping[str, dict[str, Any]], pictures: list[dict[str, Any]]) -> dict[str, Any] | None:
    if "trend_error" not in scores:
        return None
    order = [picture["name"] for picture in pictures]
    return charts.heat(scores["shape_error"]["detail"], scores["trend_error"]["detail"], order)


def _detailed_scores(scores: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the detailed scores with their worst parts, by area, without scores that have their own section."""
    shown = {"shape_error", "trend_error", "detection_auc", "detection_column_auc"}
    areas: dict[str, list[dict[str, Any]]] = {}
    for name, score in scores.items():
        area = area_of(name)
        if name in shown or area in ("sdmetrics", "memorisation") or not score["detail"]:
            continue
        parts = [
            {
                "name": " × ".join(part["columns"]),
                "value": format_number(part["value"], score["unit"]),
                "floor": format_number(part["floor"], score["unit"]) if part["floor"] is not None else "–",
            }
            for part in score["detail"][:MAX_BARS]
        ]
        areas.setdefault(area, []).append({**score_row(score), "parts": parts})
    return [{"area": area, "scores": rows} for area, rows in areas.items()]


def _detection_panel(scores: Mapping[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]] | None:
    """Return bars of the columns by which the classifier detects synthetic rows, jointly and singly."""
    if "detection_auc" not in scores:
        return None
    together = [part for part in scores["detection_auc"]["detail"] if part["value"] >= 0.001]
    alone = [part for part in scores["detection_column_auc"]["detail"] if part["value"] >= 0.505]
    return {"together": _bars(together[:MAX_BARS], "AUC"), "alone": _bars(alone[:MAX_BARS], "AUC", 0.5)}


def _sdmetrics_rows(scores: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the scores of SDMetrics, with our equivalent as a similarity if there is one."""
    ours = {"sdmetrics_column_shapes": "shape_error", "sdmetrics_column_pair_trends": "trend_error"}
    rows = []
    for name, score in scores.items():
        if name.startswith("sdmetrics_"):
            same = scores.get(ours.get(name, ""))
            rows.append({**score_row(score), "ours": format_number(100 - same["value"], "%") if same else None})
    return rows


AUDIT_ADVICE = (
    "This report does not measure what the table reveals about persons: before you pass it on, run an audit "
    "(tabsynth audit)."
)


def _privacy_statement(card: object) -> str:
    statement = card.get("privacy", "") if isinstance(card, Mapping) else ""
    if statement:
        return f"Differential privacy of the model: {statement}. {AUDIT_ADVICE}"
    missing = "No model card was given, so this page does not state whether the table is differentially private."
    return f"{missing} {AUDIT_ADVICE}"


def _pretty_json(card: object) -> str | None:
    return json.dumps(card, indent=2, ensure_ascii=False) if card else None
