"""Step 5: the verdicts in words, charts of real and synthetic columns, and the files to download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabsynth.reporting import charts
from tabsynth.web.project import RELEASE, Project, read_state
from tabsynth.web.steps.release import PUBLIC_KEY

MAX_PICTURES = 8

ROOT = "/"
"""Placeholder for the folder of all projects."""

DOWNLOADS = {
    "synthetic.csv": ("output", "text/csv"),
    "synthetic.parquet": ("output", "application/vnd.apache.parquet"),
    "report.html": ("output", "text/html"),
    "audit.html": ("output", "text/html"),
    "model.tabsynth": ("output", "application/octet-stream"),
    RELEASE: ("", "application/zip"),
    PUBLIC_KEY: (ROOT, "application/x-pem-file"),
    "pipeline.yaml": ("", "application/yaml"),
    "schema.json": ("", "application/json"),
}
"""Files that can be downloaded: folder and type."""

PAGES = ("report.html", "audit.html")
"""Files that are shown rather than downloaded."""

AREA_WORDS = {
    "fidelity": {"good": "Follows the real table", "fair": "Follows it in outline", "poor": "Differs visibly"},
    "detection": {"good": "Hard to distinguish", "fair": "Partly distinguishable", "poor": "Easy to distinguish"},
    "utility": {"good": "As useful", "fair": "Nearly as useful", "poor": "Less useful"},
    "memorisation": {
        "good": "No copied rows",
        "fair": "Slightly closer to training rows",
        "poor": "Too close to real rows",
    },
}

BELOW_GUESSING = "Detected less often than by guessing"
"""Words on a detection AUC far below 0.5, which can be a sign of copied rows."""

HEADLINES = {
    "good": "Your new table is close to the real one",
    "fair": "Your new table is ready, with limits",
    "poor": "Your new table is ready, but differs from the real one",
}

AUDIT_WORDS = {
    "VIOLATION": ("poor", "The attacks found a leak"),
    "CONSISTENT, powered": ("good", "The attacks found no leak"),
    "INCONCLUSIVE": ("fair", "Too few rows for the attacks to decide"),
}


def summary(project: Project) -> dict[str, Any] | None:
    """Return the data of the results page; None before the report exists."""
    report = read_state(project.output("report.json"))
    if not report:
        return None
    audit = read_state(project.output("audit.json"))
    level, words = AUDIT_WORDS.get(audit.get("verdict") or "", ("fair", "No verdict"))
    tables = report["provenance"].get("tables", {})
    return {
        "headline": HEADLINES[report["verdict"]["areas"].get("fidelity", "fair")],
        "verdict": report["verdict"]["text"],
        "areas": area_words(report),
        "rows": tables.get("synthetic", {}).get("rows", 0),
        "privacy": (report["provenance"].get("card") or {}).get("privacy", ""),
        "meaning": (report["provenance"].get("card") or {}).get("privacy_meaning", ""),
        "audit": {"level": level, "word": words, "text": audit.get("text", "")} if audit else None,
        "pictures": _pictures(report, next(iter(project.schema.with_role("target")), None)),
    }


def area_words(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a few words on each area of a report, and its level."""
    auc = next((score["value"] for score in report["scores"] if score["name"] == "detection_auc"), 0.5)
    out = []
    for area, level in report["verdict"]["areas"].items():
        if area in AREA_WORDS:
            below = area == "detection" and level != "good" and auc < 0.5
            out.append({"word": BELOW_GUESSING if below else AREA_WORDS[area][level], "level": level})
    return out


def _pictures(report: dict[str, Any], target: str | None) -> list[dict[str, Any]]:
    """Return pictures of the target first, then of the other columns."""
    errors = {
        part["columns"][0]: part["value"]
        for score in report["scores"]
        if score["name"] == "shape_error"
        for part in score["detail"]
    }
    out = []
    pictures = report["distributions"]
    first = [picture for picture in pictures if picture["name"] == target]
    for picture in [*first, *(other for other in pictures if other not in first)][:MAX_PICTURES]:
        histogram = charts.histogram(picture) if "edges" in picture else None
        bars = charts.bars(picture) if "labels" in picture else None
        error = f"{errors.get(picture['name'], 0):.1f} %"
        out.append({"name": picture["name"], "histogram": histogram, "bars": bars, "error": error})
    return out
