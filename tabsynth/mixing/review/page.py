"""The review page of a plan: evidence and open decisions for each column of the mixed table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tabsynth.common.yaml_files import dump_yaml_text
from tabsynth.mixing.harmonise import preview
from tabsynth.mixing.inputs import load_inputs
from tabsynth.mixing.plan.entries import HarmonisationRule, Match
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.review.charts import count_keys, draw_distributions
from tabsynth.mixing.review.diff import describe_changes
from tabsynth.reporting.html import environment
from tabsynth.reporting.report_files import notebook_frame

KEY_KINDS = ("identifier", "text")
"""Kinds of columns without a chart, because each value belongs to one person."""


def render(plan: Plan) -> str:
    """Render a self-contained page without scripts.

    Raises:
        DataError: An input has changed since the plan was created.
    """
    frames = load_inputs(plan)
    cards = [_card(match, plan, frames) for match in plan.map]
    cards.sort(key=lambda card: (not card["asks"], card["score"]))
    return (
        environment("tabsynth.mixing.review")
        .get_template("review.html.j2")
        .render(
            plan_hash=plan.hash,
            sources=[{"name": name, "rows": len(frame), "at": i} for i, (name, frame) in enumerate(frames.items())],
            colour={name: i for i, name in enumerate(frames)},
            cards=cards,
            asking=sum(card["asks"] for card in cards),
            questions=plan.questions,
            diff=describe_changes(plan),
            entries=len(plan.entries),
            open=len(plan.open),
        )
    )


def render_frame(plan: Plan) -> str:
    """Render the page in a frame for notebooks."""
    return notebook_frame("Mixing plan: review", render(plan))


def _card(match: Match, plan: Plan, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the facts of one column of the mixed table."""
    entries = [entry for entry in plan.harmonise if entry.column == match.to]
    raw = {
        source: frames[source][names[0]] if len(names) == 1 else _join_columns(frames[source], names, match.joiner)
        for source, names in match.sources.items()
    }
    after, failed = preview(match, plan, frames)
    every: list[Match | HarmonisationRule] = [match, *entries]
    questions = [item.question for item in every if item.question and item.status == "proposed"]
    return {
        "to": match.to,
        "kind": match.kind,
        "score": 0.0 if match.score is None else match.score,
        "margin": match.margin,
        "why": [item.why for item in every if item.why],
        "status": match.status,
        "asks": bool(questions),
        "questions": questions,
        "names": [(source, match.joiner.join(names)) for source, names in match.sources.items()],
        "absent": [source for source in frames if source not in match.sources],
        "keys": count_keys(raw) if match.kind in KEY_KINDS else [],
        "before": None if match.kind in KEY_KINDS else draw_distributions(raw),
        "after": draw_distributions(after) if entries and match.kind not in KEY_KINDS else None,
        "failed": failed,
        "entries": [
            {"section": "map" if item is match else "harmonise", "status": item.status, "yaml": _yaml(item)}
            for item in every
        ],
    }


def _join_columns(frame: pd.DataFrame, names: tuple[str, ...], joiner: str) -> pd.Series:
    parts = frame[list(names)].astype(str)
    return parts.agg(joiner.join, axis=1)


def _yaml(item: Match | HarmonisationRule) -> str:
    """Return the entry as YAML, as in the plan's file."""
    data = {key: value for key, value in item.to_dict().items() if key not in ("question", "why")}
    return dump_yaml_text([data], width=100, default_flow_style=None)
