"""Draw the README's figure from ``results/quality.jsonl``: how near each model comes to the table, and in what time.

python benchmarks/figure.py             writes results/quality.svg
python benchmarks/figure.py --short     draws it to a temporary file
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"
NAMES = {"masked": "Masked", "vae": "VAE", "gan": "GAN", "ctgan": "CTGAN", "tvae": "TVAE", "marginal": "Marginal"}
PANELS = (
    ("shape_err", "column shapes, % off", (0.1, 20.0)),
    ("trend_err", "pairs, % off", (0.5, 30.0)),
    ("c2st_auc", "detection AUC, 0.5 is best", (0.5, 1.0)),
    ("fit_s", "seconds to fit", (3.0, 1000.0)),
)
WIDTH, ROW, LEFT, GAP = 960, 22, 190, 26


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="to a temporary file")
    args = parser.parse_args()
    lines = (RESULTS / "quality.jsonl").read_text().splitlines()
    picture = drawn([json.loads(line) for line in lines])
    if args.short:
        with tempfile.NamedTemporaryFile("w", suffix=".svg") as file:
            file.write(picture)
        print(json.dumps({"figure": "drawn", "bytes": len(picture)}))
        return
    path = RESULTS / "quality.svg"
    path.write_text(picture)
    print(path)


def drawn(runs: list[dict[str, Any]]) -> str:
    """A row for each table and model, a panel for each figure; a dot is the mean over seeds, a bar their range.

    A thin mark is the table's floor: what fresh real rows would score.
    """
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    floors: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        if run["model"] == "floor":
            floors[run["table"]].append(run)
            continue
        few = f" ({run['epochs']} epochs)" if run.get("epochs") else ""
        rows[run["table"], NAMES.get(run["model"], run["model"]) + few].append(run)
    panel = (WIDTH - LEFT - GAP * len(PANELS)) / len(PANELS)
    height = 76 + ROW * len(rows)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' font-family='system-ui, sans-serif' "
        "font-size='12' role='img'><title>Quality and time of synthesizers by table</title>"
        f"<rect width='{WIDTH}' height='{height}' fill='#fff'/>"
    ]
    for at, ((table, model), own) in enumerate(sorted(rows.items())):
        y = 48 + ROW * at
        parts.append(
            f"<rect x='0' y='{y - 15}' width='{WIDTH}' height='{ROW}' fill='{'#f4f6f8' if at % 2 else '#fff'}'/>"
        )
        parts.append(f"<text x='8' y='{y}' fill='#222'>{escape(table)} · {escape(model)}</text>")
        for number, (key, _, span) in enumerate(PANELS):
            left = LEFT + number * (panel + GAP)
            values = [run[key] for run in own if run.get(key) is not None]
            floor = [run[key] for run in floors[table] if key in run]
            mark = place(float(np.mean(floor)), left, panel, span) if floor else None
            if values:
                colour = "#0b7285" if "CT" not in model else "#c2255c"
                parts.append(dot(values, mark, left, panel, y - 4, span, colour))
    for number, (_, title, _) in enumerate(PANELS):
        left = LEFT + number * (panel + GAP)
        parts.append(f"<text x='{left:.0f}' y='18' fill='#222' font-weight='600'>{escape(title)}</text>")
        parts.append(f"<path d='M{left:.0f} 26V{height - 28}' stroke='#ccc'/>")
    if floors:
        legend = "a thin mark: what fresh real rows would score"
        parts.append(f"<text x='8' y='{height - 12}' fill='#444'>{legend}</text>")
    return "".join([*parts, "</svg>"])


def place(value: float, left: float, width: float, span: tuple[float, float]) -> float:
    """Position of a value in a panel, on a logarithmic scale."""
    share = math.log(value / span[0]) / math.log(span[1] / span[0])
    return left + (width - 40) * min(max(share, 0.0), 1.0)


def dot(
    values: list[float],
    mark: float | None,
    left: float,
    width: float,
    y: float,
    span: tuple[float, float],
    colour: str,
) -> str:
    """The mean with its range, its figure and the place of its floor."""
    mean = float(np.mean(values))
    low, at, high = (place(value, left, width, span) for value in (min(values), mean, max(values)))
    thin = "" if mark is None else f"<path d='M{mark:.1f} {y - 9}V{y + 9}' stroke='#868e96'/>"
    return (
        f"<path d='M{low:.1f} {y}H{high:.1f}' stroke='{colour}' stroke-width='3'/>"
        f"<circle cx='{at:.1f}' cy='{y}' r='5' fill='{colour}'/>{thin}"
        f"<text x='{max(high, mark or high) + 9:.1f}' y='{y + 4}' fill='#444'>{mean:.3g}</text>"
    )


if __name__ == "__main__":
    main()
