"""The command line: what it prints where, its exit codes, and that bad input is refused before anything is written."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth import pipeline
from tabsynth.cli import BAD_INPUT, BAD_MODEL, DONE, INTERRUPTED, UNEXPECTED, UNMET, main
from tabsynth.cli import run as run_command
from tabsynth.cli.output import format_table
from tabsynth.cli.sample import parse_given
from tabsynth.errors import ConditionError, InputError
from tabsynth.schema import Schema

SCHEMA = {
    "columns": {
        "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
        "bmi": {"kind": "numeric", "decimals": 1, "nullable": True},
        "sex": {"kind": "categorical", "values": ["f", "m"]},
        "outcome": {"kind": "categorical", "values": ["ill", "well"], "role": "target"},
    }
}


def patients(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 90, rows)
    return pd.DataFrame(
        {
            "age": age,
            "bmi": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(26, 4, rows).round(1)),
            "sex": rng.choice(["f", "m"], rows),
            "outcome": np.where(rng.random(rows) < age / 100, "ill", "well"),
        }
    )


def command(*args: object, cwd: Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "tabsynth.cli", *map(str, args)]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(folder: Path) -> dict[str, bytes]:
    """The files of a pipeline's output folder without the pipeline's own records."""
    return {name: data for name, data in content(folder).items() if not name.startswith(".pipeline/")}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a schema, a holdout, a model of one epoch and rows drawn from it."""
    folder = tmp_path_factory.mktemp("fitted")
    patients().to_csv(folder / "train.csv", index=False)
    patients(60, seed=1).to_csv(folder / "test.csv", index=False)
    Schema.from_dict(SCHEMA).to_json(folder / "schema.json")
    done = command(
        *("fit", "train.csv", "--schema", "schema.json", "--epochs", 1, "--seed", 3, "--output", "m.tabsynth"),
        cwd=folder,
    )
    assert done.returncode == DONE, done.stderr
    assert json.loads(done.stdout) == {"model": "m.tabsynth", "kind": "masked", "rows": 120, "seed": 3}
    assert "fitting masked to 120 rows of 4 columns" in done.stderr
    assert sorted(content(folder)) == ["m.tabsynth", "schema.json", "test.csv", "train.csv"]  # no checkpoint is left
    done = command(*("sample", "m.tabsynth", "-n", 80, "--seed", 1, "--output", "synthetic.csv"), cwd=folder)
    assert done.returncode == DONE, done.stderr
    assert json.loads(done.stdout) == {"output": "synthetic.csv", "rows": 80, "seed": 1}
    return folder


class TestHelp:
    def test_is_instant_and_teaches(self, tmp_path: Path) -> None:
        began = time.monotonic()
        done = command("--help", cwd=tmp_path)
        assert time.monotonic() - began < 1.5  # importing torch alone takes longer
        assert done.returncode == DONE
        for word in ("inspect", "fit", "sample", "evaluate", "run", "exit codes", "sklearn:diabetes"):
            assert word in done.stdout

    def test_imports_nothing_heavy(self, tmp_path: Path) -> None:
        parse = "from tabsynth.cli.main import build_parser; build_parser()"
        code = f"import sys; {parse}; print(set(sys.argv) & set(sys.modules))"
        done = subprocess.run(
            [sys.executable, "-c", code, "torch", "pandas", "numpy", "yaml", "sklearn"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        assert done.stdout.strip() == "set()"

    @pytest.mark.parametrize("name", ["inspect", "split", "fit", "sample", "evaluate", "run"])
    def test_every_command_shows_examples(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == DONE
        shown = capsys.readouterr().out
        assert f"tabsynth {name}" in shown
        assert "examples:" in shown
        assert "exit codes:" in shown

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            main(["--version"])
        assert stop.value.code == DONE
        assert capsys.readouterr().out.startswith("tabsynth ")

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "learn x.csv",
            "fit",
            "fit x.csv",
            "fit x.csv --output m --epochs 0",
            "sample m --output s.csv -n many",
            "run -x",
        ],
    )
    def test_bad_usage(self, line: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            main(line.split())
        assert stop.value.code == BAD_INPUT
        assert capsys.readouterr().out == ""


class TestInspect:
    def test_json_into_a_pipe(self, fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["inspect", str(fitted / "train.csv")]) == DONE
        shown = json.loads(capsys.readouterr().out)
        assert shown["rows"] == 120
        assert list(shown["schema"]["columns"]) == ["age", "bmi", "sex", "outcome"]
        assert isinstance(shown["questions"], dict)

    def test_schema_file_can_be_given_to_fit(self, fitted: Path, tmp_path: Path) -> None:
        schema = tmp_path / "schema.json"
        assert main(["inspect", str(fitted / "train.csv"), "--schema", str(schema)]) == DONE
        line = ["fit", str(fitted / "train.csv"), "--schema", str(schema), "--epochs", "1"]
        assert main([*line, "--output", str(tmp_path / "m.tabsynth")]) == DONE

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
    def test_table_on_a_terminal(self, fitted: Path) -> None:
        import pty

        ours, theirs = pty.openpty()
        line = [sys.executable, "-m", "tabsynth.cli", "inspect", "train.csv"]
        subprocess.run(line, cwd=fitted, stdout=theirs, stderr=subprocess.DEVNULL, timeout=60, check=True)
        os.close(theirs)
        shown = os.read(ours, 1 << 16).decode()
        os.close(ours)
        assert shown.startswith("train.csv: 120 rows, 4 columns")
        assert "quartiles" in shown
        assert "numeric" in shown


class TestSample:
    def test_rows_have_the_tables_columns_and_values(self, fitted: Path) -> None:
        made = pd.read_csv(fitted / "synthetic.csv")
        assert len(made) == 80
        assert list(made.columns) == ["age", "bmi", "sex", "outcome"]
        assert set(made["sex"]) <= {"f", "m"}

    def test_same_seed_same_file(self, fitted: Path, tmp_path: Path) -> None:
        line = ["sample", str(fitted / "m.tabsynth"), "-n", "80", "--seed", "1", "--output", str(tmp_path / "s.csv")]
        assert main(line) == DONE
        assert (tmp_path / "s.csv").read_bytes() == (fitted / "synthetic.csv").read_bytes()

    def test_parquet_and_default_number_of_rows(
        self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["sample", str(fitted / "m.tabsynth"), "--output", str(tmp_path / "s.parquet")]) == DONE
        shown = json.loads(capsys.readouterr().out)
        assert shown["rows"] == len(pd.read_parquet(tmp_path / "s.parquet")) == 120
        assert shown["seed"] >= 0  # drawn, and said so that the draw can be repeated

    def test_conditions(self, fitted: Path, tmp_path: Path) -> None:
        line = ["sample", str(fitted / "m.tabsynth"), "-n", "20", "--output", str(tmp_path / "s.csv")]
        assert main([*line, "--given", "sex=f", "--given", "age=40:60"]) == DONE
        made = pd.read_csv(tmp_path / "s.csv")
        assert len(made) == 20
        assert set(made["sex"]) == {"f"}
        assert made["age"].between(40, 60).all()


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

    def test_requirements(self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = ["evaluate", str(fitted / "train.csv"), str(fitted / "synthetic.csv"), "--schema"]
        line += [str(fitted / "schema.json"), "--output", str(tmp_path / "r.md")]
        assert main([*line, "--require", "shape_error=100"]) == DONE
        capsys.readouterr()
        assert main([*line, "--require", "shape_error=0"]) == UNMET
        shown = capsys.readouterr()
        assert "not met: shape_error is" in shown.err
        assert "required at most 0" in shown.err
        json.loads(shown.out)
        assert main([*line, "--require", "beauty=1"]) == BAD_INPUT
        assert "no score 'beauty'" in capsys.readouterr().err

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


class TestMessages:
    def test_quiet_leaves_warnings_and_errors(self, fitted: Path, tmp_path: Path) -> None:
        line = ["evaluate", "train.csv", "synthetic.csv", "--schema", "schema.json", "--output", tmp_path / "r.html"]
        done = command(*line, "--quick", "--quiet", cwd=fitted)
        assert (done.returncode, done.stderr) == (DONE, "")
        done = command(*line, "--quick", "--quiet", "--require", "shape_error=0", cwd=fitted)
        assert done.returncode == UNMET
        assert done.stderr.startswith("tabsynth: not met: shape_error")

    def test_json_messages_have_time_and_level(self, fitted: Path, tmp_path: Path) -> None:
        line = ["sample", "m.tabsynth", "--output", tmp_path / "s.docx", "--log-format", "json"]
        (message,) = command(*line, cwd=fitted).stderr.splitlines()
        assert json.loads(message)["level"] == "error"
        assert ".docx" in json.loads(message)["message"]
        assert datetime.datetime.fromisoformat(json.loads(message)["time"]).tzinfo is not None
        line[-1] = "time"
        stamp, _, text = command(*line, cwd=fitted).stderr.partition(" ")
        assert datetime.datetime.fromisoformat(stamp).year > 2000
        assert text.startswith("tabsynth: error: ")

    def test_control_characters_do_not_reach_the_terminal(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["inspect", str(tmp_path / "a\x1b]0;title\x07.csv")]) == BAD_INPUT
        shown = capsys.readouterr().err
        assert "\x1b" not in shown
        assert "title" in shown


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
            ("model: {kind: mask}", "there is no synthesizer 'mask'; choose one of masked"),
            ("model: {epoch: 1}", "the synthesizer 'masked' has no option 'epoch'; it has epochs"),
            ("sample: {given: {height: 3}}", "given names unknown columns: 'height'"),
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


def check_refused(
    line: list[str],
    folder: Path,
    message: str,
    capsys: pytest.CaptureFixture[str],
    code: int = BAD_INPUT,
) -> None:
    """One line on stderr, nothing on stdout, the exit code, and no file changed."""
    import re

    before = content(folder)
    assert main(line) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search(message, shown.err.strip().splitlines()[-1]), shown.err
    assert shown.err.startswith("tabsynth: ")
    assert "Traceback" not in shown.err
    assert content(folder) == before


def _parquet(path: Path) -> None:
    patients().to_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


BAD_TABLES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("t.csv", lambda path: None, "t.csv"),
    "empty": ("t.csv", lambda path: path.write_text(""), "empty|no columns|no rows"),
    "only a header": ("t.csv", lambda path: path.write_text("age,bmi\n"), "no rows"),
    "one row": ("t.csv", lambda path: path.write_text("age,bmi\n40,20.5\n"), "one row"),
    "duplicate names": ("t.csv", lambda path: path.write_text("age,age\n1,2\n3,4\n"), "duplicate column names: 'age'"),
    "infinities": (
        "t.parquet",
        lambda path: patients().assign(bmi=np.inf).to_parquet(path),
        "'bmi': 120 infinite values, the first at row 0; replace them",
    ),
    "truncated Parquet": ("t.parquet", _parquet, "t.parquet"),
    "not a table": ("t.csv", lambda path: path.write_bytes(bytes(range(256)) * 40), "t.csv"),
    "unknown format": ("t.docx", lambda path: path.write_text("age\n1\n"), "docx"),
}


class TestBadInput:
    @pytest.mark.parametrize("case", BAD_TABLES)
    def test_tables(self, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        name, make, message = BAD_TABLES[case]
        make(tmp_path / name)
        line = ["fit", str(tmp_path / name), "--epochs", "1", "--output", str(tmp_path / "m.tabsynth")]
        check_refused(line, tmp_path, message, capsys)

    @pytest.mark.parametrize(
        ("column", "facts", "message"),
        [
            ("age", {"kind": "numeric", "high": 50}, "'age'.* above the schema's high 50"),
            ("sex", {"kind": "numeric"}, "'sex'.* are not numbers, such as '[fm]'"),
            ("sex", {"kind": "categorical", "values": ["f"]}, "'sex'.* not in the schema, such as 'm'"),
            ("bmi", {"kind": "numeric"}, "'bmi'.* missing"),
            ("height", {"kind": "numeric"}, "'height' of the schema is not in the table"),
            ("age", {"kind": "number"}, "'age': kind 'number' is not one of"),
        ],
    )
    def test_schema_that_does_not_fit(
        self,
        fitted: Path,
        tmp_path: Path,
        column: str,
        facts: dict[str, object],
        message: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        schema = tmp_path / "schema.json"
        schema.write_text(json.dumps({"columns": {**SCHEMA["columns"], column: facts}}))
        line = ["fit", str(fitted / "train.csv"), "--schema", str(schema), "--output", str(tmp_path / "m.tabsynth")]
        check_refused(line, tmp_path, message, capsys)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--output", "no/m.tabsynth"], "the folder .*no' does not exist"),
            (["--output", "."], "it is a folder"),
            (["--model", "magic"], "there is no synthesizer 'magic'; choose one of masked"),
            (["--model", "gaussian_copula", "--epochs", "3"], "has no option 'epochs'"),
            (["--option", "speed=3"], "has no option 'speed'"),
            (["--option", "speed"], "write NAME=VALUE"),
            (["--device", "abacus"], "device 'abacus' cannot be used here.*; try 'auto'"),
            (["--checkpoint", "no/c"], "the folder .*no' does not exist"),
            (["--checkpoint", "c", "--no-checkpoint"], "exclude each other"),
            (["--schema", "none.json"], "cannot read the schema"),
        ],
    )
    def test_fit_options(
        self,
        fitted: Path,
        tmp_path: Path,
        options: list[str],
        message: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        check_refused(["fit", str(fitted / "train.csv"), "--output", "m.tabsynth", *options], tmp_path, message, capsys)

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_unwritable_folder(self, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        tmp_path.chmod(0o500)
        try:
            line = ["fit", str(fitted / "train.csv"), "--output", str(tmp_path / "m.tabsynth")]
            check_refused(line, tmp_path, "cannot write", capsys)
        finally:
            tmp_path.chmod(0o700)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--target", "result"], "'result'"),
            (["--output", "r.pdf"], "must end in .html, .json or .md"),
            (["--require", "shape_error=good"], "'good' is not a number"),
            (["--holdout", "none.csv"], "none.csv"),
        ],
    )
    def test_evaluate_options(
        self,
        fitted: Path,
        tmp_path: Path,
        options: list[str],
        message: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        line = ["evaluate", str(fitted / "train.csv"), str(fitted / "synthetic.csv"), *options]
        check_refused(line, tmp_path, message, capsys)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("height=3", "unknown column 'height'; there are 'age', 'bmi'"),
            ("age", "write COLUMN=VALUE"),
            ("age=old", "'old' is not a number"),
            ("sex=x", "the column has the values 'f', 'm'"),
            ("age=500:600", "no value in the range"),
        ],
    )
    def test_conditions(
        self, fitted: Path, tmp_path: Path, given: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = ["sample", str(fitted / "m.tabsynth"), "-n", "5", "--given", given, "--output", str(tmp_path / "s.csv")]
        check_refused(line, tmp_path, message, capsys)


def _later(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps({**manifest, "version": 99}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


BAD_MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged or not a tabsynth model file"),
    "flipped byte": (_flipped, "damaged|was changed"),
    "later version": (_later, "later than 1: upgrade tabsynth"),
    "something else": (lambda path: path.write_text("age,bmi\n"), "damaged or not a tabsynth model file"),
}


class TestBadModel:
    def test_a_missing_file_is_bad_input(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = ["sample", str(tmp_path / "m.tabsynth"), "--output", str(tmp_path / "s.csv")]
        check_refused(line, tmp_path, "there is no such file", capsys, BAD_INPUT)

    @pytest.mark.parametrize("case", BAD_MODELS)
    def test_exits_with_4(self, case: str, fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        spoil, message = BAD_MODELS[case]
        model = tmp_path / "m.tabsynth"
        model.write_bytes((fitted / "m.tabsynth").read_bytes())
        spoil(model)
        line = ["sample", str(model), "-n", "5", "--output", str(tmp_path / "s.csv")]
        check_refused(line, tmp_path, message, capsys, BAD_MODEL)


class TestErrors:
    def test_unexpected_errors_and_interrupts(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:

        def fail(error: BaseException) -> Callable[[object], int]:
            def raise_it(args: object) -> int:
                raise error

            return raise_it

        monkeypatch.setattr(run_command, "run", fail(RuntimeError("boom")))
        assert main(["run", "x"]) == UNEXPECTED
        assert capsys.readouterr().err.startswith("tabsynth: unexpected error: RuntimeError: boom (--debug")
        with pytest.raises(RuntimeError, match="boom"):
            main(["run", "x", "--debug"])
        with pytest.raises(RuntimeError, match="boom"):
            main(["--debug", "run", "x"])
        monkeypatch.setattr(run_command, "run", fail(KeyboardInterrupt()))
        assert main(["run", "x"]) == INTERRUPTED
        monkeypatch.setattr(run_command, "run", fail(ConditionError("two\nlines")))
        assert main(["run", "x"]) == BAD_INPUT
        assert "tabsynth: error: two lines\n" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_interrupted_fit_keeps_its_checkpoint(fitted: Path, tmp_path: Path) -> None:
    # Shells make their background jobs deaf to the signal.
    hearing = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start = hearing + "runpy.run_module('tabsynth.cli', run_name='__main__', alter_sys=True)"
    line = [sys.executable, "-c", start, "fit", str(fitted / "train.csv"), "--epochs", "100000"]
    with subprocess.Popen([*line, "--output", "m.tabsynth"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as fit:
        began = time.monotonic()
        while not (tmp_path / "m.tabsynth.checkpoint").exists() and time.monotonic() - began < 60:
            time.sleep(0.1)
        fit.send_signal(signal.SIGINT)
        try:
            _, said = fit.communicate(timeout=60)
        finally:
            fit.kill()
    assert fit.returncode == INTERRUPTED, said
    assert "checkpoint kept in m.tabsynth.checkpoint; run the same command to resume" in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["m.tabsynth.checkpoint"]


class TestConditions:
    SCHEMA = Schema.from_dict(
        {
            "columns": {
                "age": {"kind": "numeric"},
                "stage": {"kind": "categorical", "values": [1, 2, 3]},
                "smoker": {"kind": "boolean"},
                "seen": {"kind": "datetime"},
                "a=b": {"kind": "categorical"},
                "code": {"kind": "categorical"},
                "ratio": {"kind": "categorical", "values": ["1:2", "2:1"]},
            }
        }
    )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("age=60:80", ("age", (60, 80))),
            ("age=60:", ("age", (60, None))),
            ("age=:-1.5", ("age", (None, -1.5))),
            ("age=", ("age", None)),
            ("stage=1,3", ("stage", [1, 3])),
            ("code=7", ("code", 7)),
            ("code=", ("code", None)),
            ("seen=2020-01-01T10:00:", ("seen", ("2020-01-01T10:00", None))),
            ("age=-1.5", ("age", -1.5)),
            ("stage=2", ("stage", 2)),
            ("smoker=True", ("smoker", True)),
            ("seen=2020-01-01:2020-12-31", ("seen", ("2020-01-01", "2020-12-31"))),
            ("seen=2020-01-01T10:00:2020-01-01T12:30", ("seen", ("2020-01-01T10:00", "2020-01-01T12:30"))),
            ("seen=2020-01-01T10:00", ("seen", "2020-01-01T10:00")),
            ("seen=2020-01-01T10:00:00", ("seen", "2020-01-01T10:00:00")),
            ("a=b=c", ("a=b", "c")),
            ("ratio=1:2", ("ratio", "1:2")),
        ],
    )
    def test_values_have_the_columns_type(self, text: str, expected: tuple[str, object]) -> None:
        assert parse_given([text], self.SCHEMA, {"code": (7, 9)}) == dict([expected])

    def test_none_and_twice(self) -> None:
        assert parse_given([], self.SCHEMA) is None
        with pytest.raises(ConditionError, match="'age' twice"):
            parse_given(["age=1", "age=2"], self.SCHEMA)


def test_aligned_columns_wrap_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    text = format_table(["name", "why"], [["x", "word " * 20], ["longer", "short"]])
    lines = text.splitlines()
    assert lines[0] == "name    why"
    assert lines[-1] == "longer  short"
    assert all(len(line) <= 50 for line in lines)
    assert lines[2].startswith(" " * 8 + "word")


def test_pooled_values_are_reported_by_inspect_and_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wards.csv"
    pd.DataFrame({"ward": [f"W{i // 4}" for i in range(60)], "age": range(20, 80)}).to_csv(path, index=False)
    assert main(["inspect", str(path), "--json"]) == DONE
    assert "fewer than 5 rows" in json.loads(capsys.readouterr().out)["questions"]["ward"]
    assert main(["fit", str(path), "--model", "marginal", "--seed", "0", "--output", str(tmp_path / "m")]) == DONE
    said = [line for line in capsys.readouterr().err.splitlines() if "lower min_group" in line]
    assert len(said) == 1
    assert said[0].startswith("tabsynth: column 'ward': 100.0% of its values")


def test_options_of_reading_reach_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, schema = tmp_path / "patients.csv", tmp_path / "schema.json"
    path.write_bytes(("größe|note\n" + "1.250|sehr gut\n2.500|?\n" * 20).encode("latin-1"))
    options = ["--separator", "|", "--decimal", ",", "--encoding", "latin-1", "--missing", "?"]
    assert main(["inspect", str(path), "--schema", str(schema), *options]) == DONE
    columns = Schema.from_json(schema)
    assert columns["größe"].to_dict()["format"] == "#.##0"
    assert columns["note"].nullable
    assert main(["inspect", str(path), "--separator", "||"]) == BAD_INPUT
    assert main(["inspect", "sklearn:iris", "--separator", ";"]) == BAD_INPUT
    assert main(["inspect", str(path), "--sheet", "a", *options]) == BAD_INPUT
    assert "one character" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "fit in.csv -o in.csv", "fit in.csv -o link.csv", "fit in.csv -o m --schema s.json --checkpoint s.json",
        "inspect in.csv --schema in.csv", "tune in.csv -o in.csv", "audit in.csv s.csv --internal s.csv",
        "evaluate in.csv s.csv --schema s.json --json s.json", "mix suggest a=in.csv b=s.csv -o s.csv",
        "plan-privacy --schema s.html --rows 10 -o s.html",
    ],
)  # fmt: skip
def test_no_output_replaces_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"in.csv": "age\n" + "30\n" * 30, "s.csv": "age\n" + "31\n" * 30}
    files |= {name: json.dumps({"columns": {"age": {"kind": "numeric"}}}) for name in ("s.json", "s.html")}
    for name, text in files.items():
        Path(name).write_text(text)
    Path("link.csv").symlink_to("in.csv")
    assert main(command.split()) == BAD_INPUT
    assert {name: Path(name).read_text() for name in files} == files
    assert {path.name for path in tmp_path.iterdir()} == {*files, "link.csv"}


def test_names_and_values_do_not_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"a\x1b]0;x\x07": ["\x1b[31mred", "\x1b[0m", "\u202egreen"] * 10}).to_csv(
        tmp_path / "a.csv", index=False
    )
    assert main(["fit", str(tmp_path / "a.csv"), "-o", str(tmp_path / "\x1b[2J" / "m")]) == BAD_INPUT
    table = format_table(["column"], [["a\x1b]0;x\x07\u202e"]])
    text = "".join(capsys.readouterr()) + table
    assert not set("\x1b\x07\u202e") & set(text)
    assert "\\x1b]0;x\\x07\\u202e" in table
