"""How many CPU seconds an evaluation, a quick one and an audit take, stage by stage.

The real table is Adult: 16,000 rows to learn from, the 16,281 official test rows held out. Two synthetic tables of
16,000 rows: a draw of ``MarginalSynthesizer``, which is close to the real one, and the real columns shuffled one by
one, which a classifier detects with ease, so that its trees grow longest.

    python benchmarks/evaluation.py             Adult from ../shared/data
    python benchmarks/evaluation.py --short     569 rows that come with scikit-learn
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _common import DATA, small_frame

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.privacy.audit import audit
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

ROWS, TEST_ROWS = 16_000, 16_281
Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def real_tables(short: bool) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Rows to learn from, held-out rows and the target."""
    rng = np.random.default_rng(0)
    if short:
        frame = small_frame()
        order = rng.permutation(len(frame))
        half = len(frame) // 2
        return (
            frame.iloc[order[:half]].reset_index(drop=True),
            frame.iloc[order[half:]].reset_index(drop=True),
            "target",
        )
    frame = pd.read_csv(DATA / "adult.csv.gz")
    rest = len(frame) - TEST_ROWS
    train = frame.iloc[rng.permutation(rest)[:ROWS]].reset_index(drop=True)
    return train, frame.iloc[rest:].reset_index(drop=True), "income"


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column in an order of its own."""
    rng = np.random.default_rng(1)
    return pd.DataFrame({name: frame[name].to_numpy()[rng.permutation(len(frame))] for name in frame})


def staged(work: Callable[[Callable[[str, float], None]], Any]) -> dict[str, Any]:
    """CPU seconds in all and of each stage, and wall seconds, of a call that reports its stages."""
    marks: list[tuple[str, float]] = [("input", time.process_time())]
    began = time.perf_counter()
    work(lambda stage, share: marks.append((stage, time.process_time())))
    wall = time.perf_counter() - began
    stages: dict[str, float] = {}
    for (stage, start), (_, end) in zip(marks, [*marks[1:], ("", time.process_time())], strict=True):
        stages[stage] = round(stages.get(stage, 0.0) + end - start, 2)
    cpu = time.process_time() - marks[0][1]
    return {"cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "stages_cpu_s": stages}


def main() -> None:
    """Print a line of JSON for each call and synthetic table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a table that comes with scikit-learn")
    args = parser.parse_args()
    train, holdout, target = real_tables(args.short or not DATA.is_dir())
    close = MarginalSynthesizer().fit(train, seed=0, progress=False).sample(len(train), seed=1, progress=False)
    for name, made in (("marginal", close), ("shuffled", shuffled(train)))[: 1 if args.short else None]:
        tables: Frames = (train, made, holdout)

        def full(progress: Callable[[str, float], None], tables: Frames = tables) -> Any:
            return evaluate(*tables, target=target, progress=progress)

        def quick(progress: Callable[[str, float], None], tables: Frames = tables) -> Any:
            return evaluate(*tables, target=target, quick=True, progress=progress)

        def attacks(progress: Callable[[str, float], None], tables: Frames = tables) -> Any:
            return audit(*tables, progress=progress)

        for call, work in (("evaluate", full), ("evaluate quick", quick), ("audit", attacks)):
            facts = {"call": call, "synthetic": name, "rows": [len(table) for table in tables]}
            print(json.dumps(facts | staged(work) | {"machine": platform.machine()}), flush=True)


if __name__ == "__main__":
    main()
