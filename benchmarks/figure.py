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
    """A row for each table and model, a panel for each figure; a dot is the mean over seeds, a bar their range."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        few = f" ({run['epochs']} epochs)" if run.get("epochs") else ""
        rows[run["table"], NAMES.get(run["model"], run["model"]) + few].append(run)
    panel = (WIDTH - LEFT - GAP * len(PANELS)) / len(PANELS)
    height = 60 + ROW * len(rows)
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
            if values:
                parts.append(dot(values, left, panel, y - 4, span, "#0b7285" if "CT" not in model else "#c2255c"))
    for number, (_, title, _) in enumerate(PANELS):
        left = LEFT + number * (panel + GAP)
        parts.append(f"<text x='{left:.0f}' y='18' fill='#222' font-weight='600'>{escape(title)}</text>")
        parts.append(f"<path d='M{left:.0f} 26V{height - 10}' stroke='#ccc'/>")
    return "".join([*parts, "</svg>"])


def dot(values: list[float], left: float, width: float, y: float, span: tuple[float, float], colour: str) -> str:
    """The mean with its range and its figure; on a logarithmic scale."""

    def place(value: float) -> float:
        share = math.log(value / span[0]) / math.log(span[1] / span[0])
        return left + (width - 40) * min(max(share, 0.0), 1.0)

    mean, low, high = float(np.mean(values)), min(values), max(values)
    return (
        f"<path d='M{place(low):.1f} {y}H{place(high):.1f}' stroke='{colour}' stroke-width='3'/>"
        f"<circle cx='{place(mean):.1f}' cy='{y}' r='5' fill='{colour}'/>"
        f"<text x='{place(high) + 9:.1f}' y='{y + 4}' fill='#444'>{mean:.3g}</text>"
    )


if __name__ == "__main__":
    main()
