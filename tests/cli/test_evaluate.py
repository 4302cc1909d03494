"""The commands evaluate and split."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import tabsynth.evaluation.evaluate  # noqa: F401 - the package has a function of this name
from tabsynth.cli import BAD_INPUT, DONE, UNMET, main
from tabsynth.evaluation.score import Score

from .commands import SCHEMA, check_refused, command, patients

evaluate_module = sys.modules["tabsynth.evaluation.evaluate"]


class TestEvaluate:
    def test_writes_reports_and_prints_pure_json(self, fitted: Path, tmp_path: Path) -> None:
        done = command(
            *("evaluate", "train.csv", "synthetic.csv", "--holdout", "test.csv", "--target", "outcome"),
            *("--schema", "schema.json", "--output", tmp_path / "r.html", "--json", tmp_path / "r.json"),
            cwd=fitted,
        )
        assert done.returncode == DONE, done.stderr
        shown, whole = json.loads(done.stdout), json.loads((tmp_path / "r.json").read_text())
        assert len(done.stdout) < 5000
        assert shown["scores"] == {score["name"]: score["value"] for score in whole["scores"]}
        assert shown["files"] == {"report": str(tmp_path / "r.html"), "json": str(tmp_path / "r.json")}
        assert "<html" in (tmp_path / "r.html").read_text()
        assert f"wrote {tmp_path / 'r.html'}" in done.stderr

    @pytest.mark.parametrize(("options", "added"), [([], False), (["--sdmetrics"], True), (["--no-sdmetrics"], False)])
    def test_sdmetrics_of_a_wide_table(
        self, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], added: bool
    ) -> None:
        score = Score(name="sdmetrics_quality", title="Quality", value=0.5, interval=None, better="higher")
        monkeypatch.setattr(evaluate_module, "MAX_SDMETRICS_COLUMNS", 1)
        monkeypatch.setattr(evaluate_module, "sdmetrics_scores", lambda *_: ([score], []))
        line = ["evaluate", str(fitted / "train.csv"), str(fitted / "synthetic.csv"), "--quick", *options]
        assert main([*line, "--output", str(tmp_path / "r.json")]) == DONE
        names = {one["name"] for one in json.loads((tmp_path / "r.json").read_text())["scores"]}
        assert ("sdmetrics_quality" in names) == added

    def test_requirements(self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = ["evaluate", str(fitted / "train.csv"), str(fitted / "synthetic.csv"), "--schema"]
        line += [str(fitted / "schema.json"), "--output", str(tmp_path / "r.md")]
        assert main([*line, "--require", "shape_error=100"]) == DONE
        capsys.readouterr()
        (tmp_path / "r.md").write_text("earlier")
        assert main([*line, "--require", "shape_error=0"]) == UNMET
        assert (tmp_path / "r.md").read_text() == "earlier"
        assert "shape_error" in (tmp_path / "r.failed.md").read_text()
        shown = capsys.readouterr()
        assert json.loads(shown.out)["files"]["report"] == str(tmp_path / "r.failed.md")
        assert f"{tmp_path / 'r.md'} is unchanged" in shown.err
        assert "not met: shape_error is" in shown.err
        assert "required at most 0" in shown.err
        json.loads(shown.out)
        assert main([*line, "--require", "beauty=1"]) == BAD_INPUT
        assert "--require: no score is called 'beauty'" in capsys.readouterr().err

    def test_quick_scores_appear_as_they_are_computed(
        self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tables = [str(fitted / "train.csv"), str(fitted / "synthetic.csv"), "--holdout", str(fitted / "test.csv")]
        line = ["evaluate", *tables, "--target", "outcome", "--schema", str(fitted / "schema.json"), "--quick"]
        assert main(line) == DONE
        piped = capsys.readouterr()
        scores = json.loads(piped.out)["scores"]
        assert "shape_error" in str(scores)
        assert "utility" not in str(scores)
        assert "Column shapes" not in piped.err
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        assert main(line) == DONE
        shown = capsys.readouterr().err
        assert shown.index("Column shapes:") < shown.index("tabsynth: detection") < shown.index("Detection AUC:")
        assert ", real data" in shown
        assert main([*line, "--also", f"other={fitted / 'synthetic.csv'}"]) == DONE
        assert "utility" not in str(json.loads(capsys.readouterr().out)["best"])


class TestSplit:
    def test_parts_are_the_table(self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = ["split", str(fitted / "train.csv"), "--share", "0.25", "--target", "sex", "--seed", "4"]
        line += ["--train", str(tmp_path / "a.csv"), "--holdout", str(tmp_path / "b.parquet")]
        assert main(line) == DONE
        assert json.loads(capsys.readouterr().out)["rows"] == {"train": 90, "holdout": 30}
        parts = [pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "b.parquet")]
        both = pd.concat(parts).sort_values(list(SCHEMA["columns"]), ignore_index=True)
        whole = patients().sort_values(list(SCHEMA["columns"]), ignore_index=True)
        pd.testing.assert_frame_equal(both, whole, check_dtype=False)

    def test_an_input_is_not_overwritten(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        patients().to_csv(tmp_path / "t.csv", index=False)
        line = [
            "split",
            str(tmp_path / "t.csv"),
            "--train",
            str(tmp_path / "t.csv"),
            "--holdout",
            str(tmp_path / "h.csv"),
        ]
        check_refused(line, tmp_path, "three different files", capsys)
