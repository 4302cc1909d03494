"""HTML page of the evaluation of a database, rendered from plain data: self-contained, without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabsynth.evaluation.relational.database_specs import METRICS, RULE
from tabsynth.evaluation.relational.diagram import draw_diagram, group_level, subject_scores
from tabsynth.evaluation.score import Score
from tabsynth.reporting import charts
from tabsynth.reporting.html import environment
from tabsynth.reporting.number_format import format_number

TEMPLATES = "tabsynth.evaluation.relational"
MAX_SHOWN_PARTS = 8

MIN_SHOWN_DROP = 0.001
"""Minimum permutation importance (AUC) of a shown feature."""


def render_database(report: Mapping[str, Any]) -> str:
    """Render one self-contained HTML page from ``DatabaseReport.to_dict()``."""
    scores = {item["name"]: Score.from_dict(item) for item in report["scores"]}
    levels = report["levels"]
    text: str = (
        environment(TEMPLATES)
        .get_template("database.html.j2")
        .render(
            verdict=report["verdict"],
            tables=[_table(table, report, scores) for table in report["tables"]],
            links=[_link(link, report, scores) for link in report["links"]],
            d=draw_diagram(report, scores),
            counts={level: list(levels.values()).count(level) for level in ("good", "fair", "poor")},
            worst=[
                {**_row(scores[name], levels), "subject": _subject(name)} for name in report["worst"] if name in scores
            ],
            sdmetrics=[_row(score, levels) for name, score in scores.items() if name.startswith("sdmetrics_")],
            meanings=_meanings(scores),
            notes=report["notes"],
            provenance=report["provenance"],
            card=json.dumps(card, indent=2, ensure_ascii=False) if (card := report["provenance"].get("card")) else None,
        )
    )
    return text


def _meanings(scores: Iterable[str]) -> dict[str, str]:
    """Return the description of each kind of score that was measured, by its title."""
    measured = {name.rpartition(".")[2] for name in scores if RULE not in name}
    return {spec.title: spec.description for metric, spec in METRICS.items() if metric in measured}


def _subject(name: str) -> str:
    return name.partition(f".{RULE}")[0] if RULE in name else name.rpartition(".")[0]


def _table(table: Mapping[str, Any], report: Mapping[str, Any], scores: Mapping[str, Score]) -> dict[str, Any]:
    name, levels = table["name"], report["levels"]
    table_scores = subject_scores(name, ("table", "keys"), scores)
    history_scores = subject_scores(name, ("sequence",), scores)
    rules = [scores[n] for n in subject_scores(name, ("rule",), scores) if RULE in n]
    equal = table.get("equal_times")
    return {
        **table,
        "level": group_level([*table_scores, *history_scores, *(score.name for score in rules)], levels),
        "scores": _meters(table_scores, scores, levels),
        "history": _meters(history_scores, scores, levels),
        "equal": [format_number(share, "%") for share in equal] if equal else None,
        "rules": [_row(score, levels) for score in rules],
        "cards": _cards(report["distributions"].get(name, []), scores.get(f"{name}.shape_error")),
    }


def _link(link: Mapping[str, Any], report: Mapping[str, Any], scores: Mapping[str, Score]) -> dict[str, Any]:
    link_scores = subject_scores(link["name"], ("link", "keys"), scores)
    sides = [
        f"mean {mean:.1f}, maximum {most:,}, none for {format_number(childless, '%')}"
        for mean, most, childless in zip(link["mean"], link["most"], link["childless"], strict=True)
    ]
    return {
        **link,
        "level": group_level(link_scores, report["levels"]),
        "scores": _meters(link_scores, scores, report["levels"]),
        "children": sides,
    }


def _meters(names: Sequence[str], scores: Mapping[str, Score], levels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the layout of bars: errors on the scale of the largest of the group, AUCs from 0.5 to 1."""
    chosen = [scores[name] for name in names]
    top = max((max(s.value, s.floor or 0.0) for s in chosen if s.unit == "%"), default=0.0) or 1.0
    out = []
    for score in chosen:
        start, scale = (0.5, 0.5) if score.unit == "AUC" else (0.0, top)

        def at(value: float, start: float = start, scale: float = scale) -> float:
            return round(100 * min(max((value - start) / scale, 0.0), 1.0), 1)

        tick = at(score.floor) if score.floor is not None and score.unit == "%" and score.floor > 0 else None
        out.append({**_row(score, levels), "width": at(score.value), "tick": tick})
    return out


def _row(score: Score, levels: Mapping[str, str]) -> dict[str, Any]:
    unit = score.unit
    parts = [
        {
            "name": " × ".join(part.columns),
            "value": format_number(part.value, unit),
            "floor": format_number(part.floor, unit) if part.floor is not None and unit != "AUC" else None,
        }
        for part in score.detail[:MAX_SHOWN_PARTS]
        if unit != "AUC" or part.value >= MIN_SHOWN_DROP
    ]
    return {
        "name": score.name,
        "title": score.title,
        "value": format_number(score.value, unit),
        "interval": " to ".join(format_number(bound, unit) for bound in score.interval) if score.interval else None,
        "floor": format_number(score.floor, unit) if score.floor is not None else None,
        "level": levels.get(score.name),
        "description": score.description,
        "method": score.method,
        "parts": parts,
    }


def _cards(pictures: Sequence[Mapping[str, Any]], shape: Score | None) -> list[dict[str, Any]]:
    """Return a card for each column, the one with the largest error first."""
    errors = {} if shape is None else {part.columns[0]: part for part in shape.detail}
    cards = []
    for picture in pictures:
        part = errors.get(picture["name"])
        value, continuous = part.value if part else 0.0, "edges" in picture
        cards.append(
            {
                "name": picture["name"],
                "kind": picture["kind"],
                "error": format_number(value, "%"),
                "value": value,
                "level": charts.level(value),
                "floor": format_number(part.floor, "%") if part and part.floor is not None else None,
                "histogram": charts.histogram(dict(picture)) if continuous else None,
                "bars": None if continuous else charts.bars(dict(picture)),
            }
        )
    return sorted(cards, key=lambda card: -float(str(card["value"])))
