"""``tabsynth audit``: reports, exit codes, gates, and nothing written on bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.cli import main


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=900), "y": rng.normal(size=900), "k": rng.choice(list("abc"), 900)})
    parts = {"train": rows[:300], "fresh": rows[300:600], "held": rows[600:]}
    for name, part in parts.items():
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    return {name: str(tmp_path / f"{name}.csv") for name in parts}


def test_a_leak_gives_exit_code_3_and_all_files(files: dict[str, str], tmp_path: Path) -> None:
    outputs = [str(tmp_path / name) for name in ("audit.html", "audit.json", "records.internal.json")]
    line = ["audit", files["train"], files["train"], "--holdout", files["held"]]
    code = main([*line, "-o", outputs[0], "--json", outputs[1], "--internal", outputs[2]])
    assert code == 3
    assert not list(tmp_path.glob("*.failed.*"))  # there was no earlier report to keep
    assert json.loads(Path(outputs[1]).read_text("utf-8"))["verdict"] == "VIOLATION"
    assert "VIOLATION" in Path(outputs[0]).read_text("utf-8")
    assert json.loads(Path(outputs[2]).read_text("utf-8"))["records"]


def test_fresh_rows_and_gates(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    line = ["audit", files["train"], files["fresh"], "--holdout", files["held"]]
    assert main([*line, "--gates", "copies_exact=0.1", "exposed_members=90"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "INCONCLUSIVE"
    assert main([*line, "--gates", "exposed_members=10"]) == 3
    assert "exposed_members is" in capsys.readouterr().err
    assert main([*line, "--gates", "verdict=consistent"]) == 3
    assert "No conclusion" in capsys.readouterr().err


def test_no_holdout_no_verdict(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", files["train"], files["fresh"]]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] is None


def test_a_claim(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", files["train"], files["fresh"], "--holdout", files["held"], "--epsilon", "1"]) == 0
    claim = json.loads(capsys.readouterr().out)["claim"]
    assert claim["epsilon"] == 1.0
    assert claim["delta"] == 1e-6


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--gates", "nothing=1"], "unknown score 'nothing'"),
        (["--gates", "verdict=passed"], "only verdict to require"),
        (["--delta", "1e-6"], "give --epsilon too"),
        (["--internal", "records.json"], "'internal'"),
        (["-o", "audit.pdf"], "must end in .html"),
    ],
)
def test_bad_usage(files: dict[str, str], extra: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", files["train"], files["fresh"], "--holdout", files["held"], *extra]) == 2
    assert says in capsys.readouterr().err
    assert main(["audit", files["train"], files["fresh"], "--holdout", files["train"]]) == 2
    assert "300 of its 300 rows" in capsys.readouterr().err
