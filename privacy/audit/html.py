"""HTML page of an audit, rendered from the report's plain data, without scripts or external files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tabsynth.privacy.audit.plain_answers import answer_plainly
from tabsynth.reporting.html import environment
from tabsynth.reporting.number_format import format_number

MIN_LOG_RATE = -3.5
"""Logarithm (base 10) of the smallest rate on the axes of the ROC chart."""

ROC_SIZE = 300.0
"""Width and height of the plot area of a ROC chart."""

TENTHS_WIDTH = 520.0
"""Width of the plot area of the chart by isolation."""

LABELS = {
    "density_ratio": "density ratio",
    "likelihood_ratio": "likelihood ratio",
    "neighbourhood": "neighbourhood",
    "classifier": "classifier",
}


def render(report: Mapping[str, Any]) -> str:
    """Render one self-contained HTML page from ``AuditReport.to_dict()``."""
    tests = {test["name"]: test for test in report["tests"]}
    details = report["details"]
    return (
        environment("tabsynth.privacy.audit")
        .get_template("audit.html.j2")
        .render(
            verdict=report["verdict"],
            text=report["text"],
            claim=report["claim"],
            plain=answer_plainly(report),
            rocs=[roc for roc in (_roc(details.get("roc", []), records) for records in ("random", "isolated")) if roc],
            labels=LABELS,
            forest=_forest([score for score in report["scores"] if score["name"] in tests], report["significant"]),
            percentiles=_percentiles(details.get("percentiles", [])),
            groups=_groups(report["scores"]),
            rates=[_rate(row) for row in details.get("rates", [])],
            secrets=[_secret(row) for row in details.get("secrets", [])],
            kmap=details.get("kmap"),
            power=details.get("power"),
            planted=_planted((details.get("power") or {}).get("planted", [])),
            questions=report["questions"],
            scores=[_row(score, tests.get(score["name"])) for score in report["scores"]],
            notes=report["notes"],
            provenance=report["provenance"],
        )
    )


def _log_position(rate: float) -> float:
    """Return the position of a rate on the ROC's log axis."""
    return ROC_SIZE * (1 - max(math.log10(max(rate, 1e-9)), MIN_LOG_RATE) / MIN_LOG_RATE)


def _roc(curves: list[dict[str, Any]], records: str) -> dict[str, Any] | None:
    """Return the curves of the attacks as SVG paths, and the ticks of both axes."""
    chosen = [curve for curve in curves if curve["records"] == records]
    if not chosen:
        return None
    lines = []
    for curve in chosen:
        points = [(0.0 if x <= 0 else _log_position(x), ROC_SIZE - _log_position(y)) for x, y in curve["points"]]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        lines.append({"attack": curve["attack"], "path": path})
    ticks = [
        {"at": round(_log_position(10.0**power), 1), "text": f"{100 * 10.0**power:g} %"} for power in (-3, -2, -1, 0)
    ]
    return {"records": records, "lines": lines, "ticks": ticks, "side": ROC_SIZE}


def _above_chance(score: Mapping[str, Any], value: float) -> float:
    """Return the percentage points above the chance level."""
    return _scale(score) * float(value - (score["floor"] or 0.0))


def _scale(score: Mapping[str, Any]) -> float:
    """Return the factor that converts a score to percent."""
    return 100.0 if score["unit"] == "AUC" else 1.0


def _forest(scores: list[dict[str, Any]], significant: list[str]) -> dict[str, Any] | None:
    """Return the forest plot in percent of its width: each tested score above its chance level, with its interval."""
    if not scores:
        return None
    bounds = [_above_chance(score, bound) for score in scores for bound in score["interval"]]
    low, high = min(-2.0, *bounds), max(5.0, *bounds)

    def x(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    rows = [
        {
            "title": score["title"],
            "low": x(_above_chance(score, score["interval"][0])),
            "length": round(100 * (score["interval"][1] - score["interval"][0]) * _scale(score) / (high - low), 2),
            "at": x(_above_chance(score, score["value"])),
            "significant": score["name"] in significant,
            "text": f"{score['title']}: {format_number(score['value'], score['unit'])}, chance level "
            f"{format_number(score['floor'] or 0.0, score['unit'])}",
        }
        for score in scores
    ]
    step = next(step for step in (1, 2, 5, 10, 20, 25, 50, 100, 200) if (high - low) / step <= 5)
    first = math.ceil(low / step)
    ticks = [
        {"at": x(step * k), "text": f"{step * k:+d}".replace("-", "−") if k else "0"}
        for k in range(first, int(high // step) + 1)
    ]
    return {"rows": rows, "zero": x(0.0), "ticks": ticks}


def _percentiles(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the layout of the bar chart of true-positive rates by isolation, with intervals and the chance level."""
    if not rows:
        return None
    top = max(0.2, max(row["interval"][1] for row in rows))
    height, width = 330.0, TENTHS_WIDTH / 10

    def y(rate: float) -> float:
        return float(round(height * (1 - rate / top), 1))

    bars = [
        {
            "x": round(width * row["percentile"][0] / 10 + 5, 1),
            "middle": round(width * (row["percentile"][0] / 10 + 0.5), 1),
            "y": y(row["tpr"]),
            "height": round(height - y(row["tpr"]), 1),
            "low": y(row["interval"][0]),
            "high": y(row["interval"][1]),
            "label": f"{row['percentile'][0]}–{row['percentile'][1]}",
            "text": f"Isolation percentile {row['percentile'][0]} to {row['percentile'][1]}: "
            f"{format_number(100 * row['tpr'], '%')} recognised, chance level {format_number(100 * row['fpr'], '%')}",
        }
        for row in rows
    ]
    return {
        "bars": bars,
        "chance": y(rows[0]["fpr"]),
        "height": height,
        "width": width - 10,
        "top": format_number(100 * top, "%"),
    }


def _planted(leaks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the layout of the power curves: detection rate by share of leaked records (log axis).

    None if no planted leak was detected.
    """
    if not any(rate for leak in leaks for rate in leak["detected"]):
        return None
    width, height = 460.0, 200.0
    shares = leaks[0]["shares"]
    span = math.log(shares[-1] / shares[0])

    def x(share: float) -> float:
        return round(width * math.log(share / shares[0]) / span, 1)

    return {
        "width": width,
        "height": height,
        "ticks": [{"at": x(share), "text": f"{100 * share:g} %"} for share in shares],
        "lines": [
            {
                "name": leak["name"],
                # Coinciding curves are offset by 3 pixels.
                "points": " ".join(
                    f"{x(share)},{height * (1 - rate) + 3 * i - 7:.1f}"
                    for share, rate in zip(shares, leak["detected"], strict=True)
                ),
            }
            for i, leak in enumerate(leaks)
        ],
    }


def _groups(scores: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the subgroups' AUCs as text, the largest first."""
    for score in scores:
        if score["name"] == "subgroup_auc":
            return [
                {"name": part["columns"][0], "value": format_number(part["value"], "AUC")}
                for part in score["detail"][:12]
            ]
    return []


def _rate(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attack": LABELS.get(row["attack"], row["attack"]),
        "records": row["records"],
        "fpr": f"{100 * row['fpr']:g} %",
        "tpr": format_number(100 * row["tpr"], "%"),
        "interval": [format_number(100 * bound, "%") for bound in row["interval"]],
        "times": f"{row['tpr'] / row.get('chance', row['fpr']):.1f}",
        "rows": f"{row['members']:,} / {row['controls']:,}",
    }


def _secret(row: Mapping[str, Any]) -> dict[str, str]:
    shares = {key: format_number(100 * row[key], "%") for key in ("success", "control", "baseline")}
    return {"title": row["title"], "records": row["records"], **shares, "value": format_number(row["value"], "%")}


def _row(score: Mapping[str, Any], test: Mapping[str, Any] | None) -> dict[str, Any]:
    p = None if test is None else test["p_corrected"]
    rates = ["success", "control", "baseline"]
    shown = [None if test is None or test[key] is None else format_number(100 * test[key], "%") for key in rates]
    return {
        "name": score["name"],
        "title": score["title"],
        "value": format_number(score["value"], score["unit"]),
        "interval": [format_number(bound, score["unit"]) for bound in score["interval"]] if score["interval"] else None,
        "floor": format_number(score["floor"], score["unit"]) if score["floor"] is not None else None,
        "p": None if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}",
        "shown": shown,
        "description": score["description"],
        "method": score["method"],
    }
