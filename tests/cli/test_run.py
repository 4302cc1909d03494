"""The command run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth import pipeline
from tabsynth.cli import DONE, UNMET, main
from tabsynth.errors import InputError

from .commands import SCHEMA, check_refused, results


class TestRun:
    def test_nothing_is_replaced_when_a_requirement_fails(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).normal(size=(200, 4))
        pd.DataFrame(noise, columns=list("abcd")).to_csv(tmp_path / "t.csv", index=False)
        job = {
            "version": 1,
            "input": str(tmp_path / "t.csv"),
            "output": str(tmp_path / "out"),
            "holdout": 0.25,
            "model": {"kind": "marginal"},
            "audit": True,
        }
        first = pipeline.run(job)
        assert first.unmet == ()
        assert first.audit == tmp_path / "out/audit.html"
        assert first.verdict in ("CONSISTENT, powered", "INCONCLUSIVE")
        before = results(tmp_path / "out")
        assert "audit.json" in before
        second = pipeline.run({**job, "seed": 1, "audit": {"require": {"copies_exact": -1}}, "evaluate": False})
        assert "copies_exact is" in " ".join(second.unmet)
        assert second.synthetic == tmp_path / "out/failed/synthetic.parquet"
        after = results(tmp_path / "out")
        assert {name: data for name, data in after.items() if not name.startswith("failed/")} == before
        with pytest.raises(InputError, match="unknown score 'beauty'"):
            pipeline.run({**job, "seed": 2, "audit": {"require": {"beauty": 1}}, "evaluate": False})
        kept = results(tmp_path / "out")
        assert {name: data for name, data in kept.items() if not name.startswith("failed/")} == before

    def test_whole_job(self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "train.csv").write_bytes((fitted / "train.csv").read_bytes())
        (tmp_path / "p.yaml").write_text(
            "version: 1\ninput: train.csv\noutput: out\nholdout: 0.25\ntarget: outcome\n"
            f"schema: {json.dumps(SCHEMA)}\n"
            "model: {epochs: 1}\nsample: {rows: 50, output: s.csv}\nevaluate: {require: {shape_error: 0}}\n"
        )
        assert main(["run", str(tmp_path / "p.yaml")]) == UNMET
        shown = json.loads(capsys.readouterr().out)
        assert shown["rows"] == {"train": 90, "holdout": 30, "synthetic": 50}
        assert shown["seeds"] == {"split": 0, "fit": 0, "sample": 0, "evaluate": 0, "audit": 0}
        assert "utility" in " ".join(shown["scores"])
        assert len(shown["unmet"]) == 1
        files = ["model.tabsynth", "real-holdout.parquet", "real-train.parquet", "report.html", "report.json", "s.csv"]
        assert sorted(results(tmp_path / "out")) == [f"failed/{name}" for name in files]
        assert len(pd.read_csv(tmp_path / "out/failed/s.csv")) == 50
        both = pd.concat(
            [pd.read_parquet(tmp_path / f"out/failed/real-{part}.parquet") for part in ("train", "holdout")]
        )
        assert len(both) == 120

    def test_example_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", "--example"]) == DONE
        assert capsys.readouterr().out.startswith("# A pipeline for `tabsynth run`")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("target: result", "no column 'result' to be the target; there are 'age'"),
            ("holdout: none.csv", "none.csv"),
            ("model: {kind: mask}", "there is no synthesizer 'mask' .did you mean 'masked'..; choose one of masked"),
            ("model: {epoch: 1}", "'masked' has no option 'epoch' .did you mean 'epochs'..; it has epochs"),
            ("sample: {given: {height: 3}}", "given names unknown columns: 'height'"),
            ("sample: {given: {AGE: 3}}", "given names unknown columns: 'AGE' .did you mean 'age'.."),
            ("evaluate: {report: report.pdf}", "must end in .html, .json or .md"),
            ("sample: {output: no/s.csv}", "the folder .* does not exist"),
            ("sample: {output: ../s.csv}", "is outside the folder"),
            ("audit: true", "audit needs the step sample, and a holdout"),
            ("holdout: 0.2\naudit: {require: {verdict: passed}}", "verdict must be consistent"),
            ("sample: {output: model.tabsynth}", "two outputs are the file"),
            ("smaple: {}", "did you mean 'sample'"),
        ],
    )
    def test_refused_before_anything_is_written(
        self, fitted: Path, tmp_path: Path, change: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "p.yaml"
        file.write_text(f"version: 1\ninput: {fitted / 'train.csv'}\noutput: out\n{change}\n")
        check_refused(["run", str(file)], tmp_path, message, capsys)
        assert not (tmp_path / "out").exists()
