"""Handwritten digits as a table: 64 pixels and a label, learned and drawn like any other table.

    python examples/digits.py [--output output/digits.html] [--epochs N]

Writes a page with real digits on the left and drawn ones on the right, and says how well a classifier that saw only
drawn digits reads real ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from tabsynth import MaskedSynthesizer, Schema
from tabsynth.files import write_text

COLUMNS = 14
"""Digits of each class that are shown."""


def main() -> None:
    """Fit, draw, compare, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("output/digits.html"))
    parser.add_argument("--epochs", type=int, help="fewer passes than the default, for a quick look")
    args = parser.parse_args()
    frame = load_digits(as_frame=True).frame
    frame["target"] = "digit " + frame["target"].astype(str)
    test = frame.iloc[3::4]
    train = frame.drop(test.index).reset_index(drop=True)
    model = MaskedSynthesizer(epochs=args.epochs).fit(train, schema=schema(train), seed=0)
    drawn = model.sample(seed=1)
    real_score, drawn_score = accuracy(train, test), accuracy(drawn, test)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(args.output, page(train, drawn, real_score, drawn_score))
    print(f"accuracy on held-out digits: {real_score:.3f} trained on real, {drawn_score:.3f} on drawn ones")
    print(f"{drawn_score / real_score:.1%} of the real table's; look at {args.output.resolve().as_uri()}")


def schema(frame: pd.DataFrame) -> Schema:
    """Pixels are numbers from 0 to 16; the label is what a classifier is to predict."""
    pixel = {"kind": "numeric", "low": 0, "high": 16, "decimals": 0}
    columns = {name: pixel for name in frame if name != "target"}
    values = sorted(frame["target"].unique())
    return Schema.from_dict(
        {"columns": {**columns, "target": {"kind": "categorical", "values": values, "role": "target"}}}
    )


def accuracy(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Share of held-out digits that a support vector machine reads rightly."""
    fitted = SVC(gamma=0.001).fit(train.drop(columns="target"), train["target"])
    return float(fitted.score(test.drop(columns="target"), test["target"]))


def page(real: pd.DataFrame, drawn: pd.DataFrame, real_score: float, drawn_score: float) -> str:
    """Real digits on the left, drawn ones on the right, a row for each class."""
    sides = "".join(
        f"<figure><figcaption>{title}</figcaption>{picture(frame)}</figure>"
        for title, frame in (("real", real), ("drawn", drawn))
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Digits, real and drawn</title>"
        "<style>body{font:16px system-ui;margin:2rem;color-scheme:light dark}main{display:flex;gap:2rem;flex-wrap:wrap}"
        "figure{margin:0}svg{width:min(42vw,560px);min-width:280px;background:#fff}</style>"
        f"<h1>Handwritten digits, real and drawn</h1><p>A classifier trained on real digits reads {real_score:.1%} of "
        f"held-out ones rightly, one trained on drawn digits {drawn_score:.1%}.</p><main>{sides}</main></html>"
    )


def picture(frame: pd.DataFrame) -> str:
    """The first digits of each class as squares of grey."""
    cells = []
    for row, (_, group) in enumerate(frame.groupby("target", sort=True)):
        pixels = group.drop(columns="target").head(COLUMNS).to_numpy()
        for column, digit in enumerate(pixels):
            for at, value in enumerate(digit):
                if value > 0:
                    x, y = column * 9 + at % 8, row * 9 + at // 8
                    cells.append(f"<rect x='{x}' y='{y}' width='1.02' height='1.02' opacity='{value / 16:.2f}'/>")
    return f"<svg viewBox='0 0 {COLUMNS * 9} 90' role='img' aria-label='digits'>{''.join(cells)}</svg>"


if __name__ == "__main__":
    main()
