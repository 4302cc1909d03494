"""Agreement with the independent reference scorer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.schema import Schema

SCORER = Path(__file__).resolve().parents[2].parent / "shared" / "yardstick" / "score.py"


@pytest.mark.slow
def test_same_figures(shared_data: Path, tmp_path: Path) -> None:
    if not SCORER.is_file():
        pytest.skip("the neutral scorer (../shared/yardstick) is not beside this checkout")
    frame = pd.read_csv(shared_data / "adult.csv.gz")
    rng = np.random.default_rng(0)
    frame = frame.sample(9000, random_state=0).reset_index(drop=True)
    train, holdout, synthetic = frame[:3000], frame[3000:6000], frame[6000:].reset_index(drop=True)
    synthetic = synthetic.assign(
        **{"hours-per-week": synthetic["hours-per-week"] + rng.integers(-3, 4, len(synthetic))}
    )
    synthetic["education"] = np.where(rng.random(len(synthetic)) < 0.1, "HS-grad", synthetic["education"])
    categorical = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    paths = [tmp_path / f"{name}.csv" for name in ("train", "test", "made")]
    for path, table in zip(paths, (train, holdout, synthetic), strict=True):
        table.to_csv(path, index=False)
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"target": "income", "task": "binary", "categorical": categorical}))
    command = [sys.executable, str(SCORER), str(paths[0]), str(paths[1]), str(meta), str(paths[2])]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    kinds = {name: {"kind": "categorical" if name in categorical else "numeric", "nullable": True} for name in frame}
    schema = Schema.from_dict({"columns": kinds})
    scores = evaluate(train, synthetic, holdout, target="income", schema=schema, sdmetrics=False).scores
    assert scores["shape_error"].value == pytest.approx(theirs["shape_err"], abs=1e-4)
    assert scores["trend_error"].value == pytest.approx(theirs["trend_err"], abs=1e-4)
    assert scores["copies"].value == pytest.approx(theirs["copies"], abs=1e-4)
    # the rest draws rows and folds of its own
    assert scores["detection_auc"].value == pytest.approx(theirs["c2st_auc"], abs=0.03)
    assert scores["utility"].value == pytest.approx(theirs["mle"], abs=0.03)
    assert scores["utility"].floor == pytest.approx(theirs["mle_real"], abs=0.03)
    assert scores["dcr_share"].value == pytest.approx(theirs["dcr_share"], abs=6)
