"""Diagram of the tables, with levels and numbers of boxes and links: in layers for wide pages, as a tree for narrow."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tabsynth.evaluation.metric_specs import LEVELS
from tabsynth.evaluation.relational.database_specs import METRICS, RULE
from tabsynth.evaluation.score import Score
from tabsynth.reporting.charts import truncate
from tabsynth.reporting.number_format import format_number

BOX_WIDTH, LINE, PADDING = 216, 19, 12
"""Width of a box, height of a line in it, and padding."""

LAYER_GAP, ROW_GAP = 190, 34
"""Space between layers, for the labels of links, and between boxes of a layer."""

LABEL_GAP = 46
"""Additional space below a box for the labels of each link after the first."""

TREE_WIDTH, INDENT, TREE_GAP = 330, 20, 62
CHARACTER = 7.0
"""Maximum width of a character in a box."""

ROOM = int((BOX_WIDTH - 2 * PADDING) / CHARACTER) - 1
"""Maximum characters of a line, in the most indented box too; longer lines are wrapped."""

MARK = 2
"""Characters of the mark of a level after a line."""

LABELS = {
    "shape_error": "shapes",
    "detection_auc": "AUC",
    "gap_error": "times",
    "first_error": "first time",
    "equal_times_error": "equal times",
    "transition_error": "transitions",
    "persistence_error": "repeats",
    "step_error": "steps",
    "autocorrelation_error": "autocorrelation",
    "cardinality_error": "children",
    "kin_auc": "relatives AUC",
    "parent_trend_error": "trends",
}
"""Short names of the numbers in the diagram."""


def draw_diagram(report: Mapping[str, Any], scores: Mapping[str, Score]) -> dict[str, Any]:
    """Compute boxes, links and labels of the diagram, for a wide and a narrow page."""
    boxes = {table["name"]: _box(table, report, scores) for table in report["tables"]}
    links = [_link(link, report, scores) for link in report["links"]]
    for link in links:
        if link["child"] == link["parent"]:
            text = f"{link['lines'][0]} ↺ {link['lines'][-1]}"
            boxes[link["child"]]["lines"] += _number_lines(text, link["level"])
    links = [link for link in links if link["child"] != link["parent"]]
    return {"wide": _layers(boxes, links), "narrow": _tree(boxes, links)}


def group_level(names: Sequence[str], levels: Mapping[str, str]) -> str | None:
    """Return the worst level of several scores."""
    known = [levels[name] for name in names if name in levels]
    order = [str(level) for level in LEVELS]
    return max(known, key=order.index) if known else None


def subject_scores(subject: str, groups: Sequence[str], scores: Mapping[str, Score]) -> list[str]:
    """Return the names of the scores of a table or link that belong to some groups."""
    named = [f"{subject}.{metric}" for metric, spec in METRICS.items() if spec.group in groups]
    found = [name for name in named if name in scores]
    if "rule" in groups:
        found += [name for name in scores if name.startswith(f"{subject}.{RULE}")]
    return found


def _box(table: Mapping[str, Any], report: Mapping[str, Any], scores: Mapping[str, Score]) -> dict[str, Any]:
    name, levels = table["name"], report["levels"]
    own = subject_scores(name, ("table", "keys", "rule"), scores)
    history = subject_scores(name, ("sequence",), scores)
    rows = " → ".join(f"{count:,}" for count in table["rows"])
    size = f"{table['rows'][0]:,} rows, public" if table["reference"] else f"{rows} rows"
    texts = [truncate(name, 24), size, _numbers(name, ("shape_error", "detection_auc"), scores)]
    kinds = zip(texts, ("title", ""), strict=False)
    lines: list[dict[str, Any]] = [{"text": text, "kind": kind, "level": None} for text, kind in kinds]
    lines += _number_lines(texts[2], None)
    if history:
        level = group_level(history, levels)
        worst = next(metric for metric in map(_metric, history) if levels.get(f"{name}.{metric}") == level)
        texts.append(f"history: {_numbers(name, (worst,), scores)}")
        lines += _number_lines(texts[-1], level)
    level = group_level([*own, *history], levels)
    description = "; ".join(text for text in texts if text)
    return {"name": name, "lines": lines, "level": level, "title": f"{description}{f'; {level}' if level else ''}"}


def _link(link: Mapping[str, Any], report: Mapping[str, Any], scores: Mapping[str, Score]) -> dict[str, Any]:
    own = subject_scores(link["name"], ("link", "keys"), scores)
    level = group_level(own, report["levels"])
    second = "kin_auc" if f"{link['name']}.kin_auc" in scores else "parent_trend_error"
    numbers = [_numbers(link["name"], (metric,), scores) for metric in ("cardinality_error", second)]
    lines = [truncate(link["column"], 22), *(text for text in numbers if text)]
    return {**link, "level": level, "lines": lines, "title": f"{link['child']} to {link['parent']}: {', '.join(lines)}"}


def _numbers(subject: str, metrics: Sequence[str], scores: Mapping[str, Score]) -> str:
    known = {metric: scores.get(f"{subject}.{metric}") for metric in metrics}
    return " · ".join(f"{LABELS[m]} {format_number(s.value, s.unit)}" for m, s in known.items() if s is not None)


def _number_lines(text: str, level: str | None) -> list[dict[str, Any]]:
    """Return a line of numbers, wrapped if it is too long for its box; the mark of the level follows the last line."""
    parts = textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), ROOM - MARK * bool(level))
    return [{"text": part, "kind": "number", "level": level if part is parts[-1] else None} for part in parts]


def _metric(name: str) -> str:
    return name.rpartition(".")[2]


def _height(box: Mapping[str, Any]) -> int:
    return 2 * PADDING + LINE * len(box["lines"])


def _layers(boxes: Mapping[str, dict[str, Any]], links: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Place parents to the left of their children, sorted within a layer by the mean position of their parents."""
    depth: dict[str, int] = {}
    for name in boxes:  # parents come before their children
        above = [depth[link["parent"]] + 1 for link in links if link["child"] == name]
        depth[name] = max(above, default=0)
    layers = [[name for name in boxes if depth[name] == k] for k in range(max(depth.values(), default=0) + 1)]
    entering = {name: sum(link["child"] == name for link in links) for name in boxes}
    room = {n: _height(box) + ROW_GAP + LABEL_GAP * max(entering[n] - 1, 0) for n, box in boxes.items()}
    heights = [sum(room[n] for n in layer) - ROW_GAP for layer in layers]
    total = max(heights)
    placed: dict[str, tuple[float, float, int, int]] = {}
    for k, layer in enumerate(layers):
        middles = {n: _parents_middle(n, links, placed) for n in layer}
        y = (total - heights[k]) / 2
        for name in sorted(layer, key=lambda n: (middles[n], list(boxes).index(n))):
            height = _height(boxes[name])
            placed[name] = (k * (BOX_WIDTH + LAYER_GAP), y, BOX_WIDTH, height)
            y += room[name]
    drawn = []
    for name in placed:
        own = [link for link in links if link["child"] == name]
        drawn += [_curve(link, placed, (k + 1) / (len(own) + 1), k) for k, link in enumerate(own)]
    return {
        "width": len(layers) * BOX_WIDTH + (len(layers) - 1) * LAYER_GAP + 4,
        "height": total + 4,
        "top": 28,
        "boxes": [_placed_box(boxes[name], *place) for name, place in placed.items()],
        "links": drawn,
    }


def _parents_middle(name: str, links: Sequence[Mapping[str, Any]], placed: Mapping[str, Any]) -> float:
    ys = [placed[k["parent"]][1] for k in links if k["child"] == name and k["parent"] in placed]
    return sum(ys) / len(ys) if ys else 0.0


def _placed_box(box: dict[str, Any], x: float, y: float, width: int, height: int) -> dict[str, Any]:
    room = int((width - 2 * PADDING) / CHARACTER)
    lines = []
    for i, line in enumerate(box["lines"]):
        place = {"x": x + PADDING, "y": y + PADDING + LINE * i + 14}
        lines.append({**line, **place, "text": truncate(line["text"], room)})
    return {**box, "x": x, "y": y, "width": width, "height": height, "lines": lines}


def _curve(
    link: dict[str, Any], placed: Mapping[str, tuple[float, float, int, int]], share: float, number: int
) -> dict[str, Any]:
    """Return the path of a link from its parent to a share of its child's height, and the labels at its end."""
    px, py, pw, ph = placed[link["parent"]]
    cx, cy, _, ch = placed[link["child"]]
    x, y, end = px + pw, py + ph / 2, cy + share * ch
    middle = (x + cx) / 2
    path = f"M{x:g} {y:g}C{middle:g} {y:g} {middle:g} {end:g} {cx:g} {end:g}"
    side = 1 if number else -1  # the first link's numbers are above its end, those of others below
    at = end + side * (8 + 8 * len(link["lines"])) + number // 2 * 16 * len(link["lines"])
    return {**link, "path": path, "labels": list(_labels(link["lines"], cx - 10, at, "end"))}


def _labels(lines: Sequence[str], x: float, y: float, anchor: str) -> Iterator[dict[str, Any]]:
    for i, text in enumerate(lines):
        yield {"text": text, "x": x, "y": y + (i - (len(lines) - 1) / 2) * 16 + 5, "anchor": anchor}


def _tree(boxes: Mapping[str, dict[str, Any]], links: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Place tables below each other, children indented below their main parent; other links are lines of the box."""
    main = {link["child"]: link for link in links if link["main"]}
    out: dict[str, Any] = {"boxes": [], "links": [], "width": TREE_WIDTH, "top": 2}
    y = 2.0
    places: dict[str, tuple[float, float, int]] = {}

    def place(name: str, depth: int) -> None:
        nonlocal y
        box = {**boxes[name], "lines": list(boxes[name]["lines"])}
        for other in links:
            if other["child"] == name and not other["main"]:
                text = f"→ {other['parent']}: {', '.join(other['lines'][1:])}"
                box["lines"] += _number_lines(text, other["level"])
        x, link = float(2 + INDENT * min(depth, 6)), main.get(name)
        y += TREE_GAP if link is not None else 22 * bool(places)
        height = _height(box)
        if link is not None:
            above = places[link["parent"]]
            x0, y0 = above[0] + INDENT / 2, above[1] + above[2]
            path = f"M{x0:g} {y0:g}V{y + height / 2:g}H{x:g}"
            labels = list(_labels([link["lines"][0], " · ".join(link["lines"][1:])], x + 4, y - 22, "start"))
            out["links"].append({**link, "path": path, "labels": labels})
        out["boxes"].append(_placed_box(box, x, y, TREE_WIDTH - int(x) - 2, height))
        places[name] = (x, y, height)
        y += height
        for child in [n for n in boxes if n in main and main[n]["parent"] == name]:
            place(child, depth + 1)

    for name in boxes:
        if name not in main:
            place(name, 0)
    out["height"] = y + 4
    return out
