"""Handwritten digits as a table of 64 pixels and a label, fitted and sampled like any other table.

    python examples/digits.py [--output output/digits.html] [--epochs N]

Writes a page with real digits on the left and synthetic ones on the right, and prints the accuracy on real digits of a
classifier that was trained on synthetic ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from tabsynth import MaskedSynthesizer, Schema
from tabsynth.common.atomic_files import write_text

COLUMNS = 14
"""Digits shown of each class."""


def main() -> None:
    """Fit, sample, compare, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("output/digits.html"))
    parser.add_argument("--epochs", type=int, help="passes over the table (default: the model decides)")
    args = parser.parse_args()
    frame = load_digits(as_frame=True).frame
    frame["target"] = "digit " + frame["target"].astype(str)
    test = frame.iloc[3::4]
    train = frame.drop(test.index).reset_index(drop=True)
    model = MaskedSynthesizer(epochs=args.epochs).fit(train, schema=schema(train), seed=0)
    synthetic = model.sample(seed=1)
    real_score, synthetic_score = accuracy(train, test), accuracy(synthetic, test)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(args.output, page(train, synthetic, real_score, synthetic_score))
    print(f"accuracy on held-out digits: {real_score:.3f} trained on real, {synthetic_score:.3f} on synthetic ones")
    print(f"{synthetic_score / real_score:.1%} of the real table's; the page is {args.output.resolve().as_uri()}")


def schema(frame: pd.DataFrame) -> Schema:
    """Pixels are numbers from 0 to 16; the label is the target."""
    pixel = {"kind": "numeric", "low": 0, "high": 16, "decimals": 0}
    columns = {name: pixel for name in frame if name != "target"}
    values = sorted(frame["target"].unique())
    return Schema.from_dict(
        {"columns": {**columns, "target": {"kind": "categorical", "values": values, "role": "target"}}}
    )


def accuracy(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Accuracy of a support vector machine on held-out digits."""
    fitted = SVC(gamma=0.001).fit(train.drop(columns="target"), train["target"])
    return float(fitted.score(test.drop(columns="target"), test["target"]))


def page(real: pd.DataFrame, synthetic: pd.DataFrame, real_score: float, synthetic_score: float) -> str:
    """Real digits on the left, synthetic ones on the right, a row for each class."""
    sides = "".join(
        f"<figure><figcaption>{title}</figcaption>{picture(frame)}</figure>"
        for title, frame in (("real", real), ("synthetic", synthetic))
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Digits, real and synthetic</title>"
        "<style>body{font:16px system-ui;margin:2rem;color-scheme:light dark}main{display:flex;gap:2rem;flex-wrap:wrap}"
        "figure{margin:0}svg{width:min(42vw,560px);min-width:280px;background:#fff}</style>"
        f"<h1>Handwritten digits, real and synthetic</h1><p>Accuracy on held-out digits: {real_score:.1%} for real "
        f"training digits, {synthetic_score:.1%} for synthetic ones.</p><main>{sides}</main></html>"
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
