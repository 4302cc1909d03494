"""The command line: output streams, exit codes, and bad input that is refused before anything is written."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.cli import BAD_INPUT, DONE, INTERRUPTED, UNEXPECTED, UNMET, main
from tabsynth.cli import run as run_command
from tabsynth.cli.output import format_table
from tabsynth.common.atomic_files import replace_atomically, temporary_folder
from tabsynth.errors import ConditionError
from tabsynth.synthesizers.masked import MaskedSynthesizer

from .commands import command, process


class TestHelp:
    def test_names_the_commands_and_the_exit_codes(self, tmp_path: Path) -> None:
        done = process("--help", cwd=tmp_path)
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

    def test_releases_import_no_torch(self) -> None:
        code = "import sys, tabsynth.release.build, tabsynth.release.verify; print('torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"

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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_interrupted_fit_keeps_its_checkpoint(fitted: Path, tmp_path: Path) -> None:
    # Shells make their background jobs deaf to the signal.
    hearing = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start = hearing + "runpy.run_module('tabsynth', run_name='__main__', alter_sys=True)"
    line = [sys.executable, "-c", start, "fit", str(fitted / "train.csv"), "--epochs", "100000"]
    with subprocess.Popen([*line, "--output", "m.tabsynth"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as fit:
        began = time.monotonic()
        while not (tmp_path / "m.tabsynth.checkpoint").exists() and time.monotonic() - began < 900:
            time.sleep(0.1)
        fit.send_signal(signal.SIGINT)
        try:
            _, said = fit.communicate(timeout=900)
        finally:
            fit.kill()
    assert fit.returncode == INTERRUPTED, said
    assert "checkpoint kept in m.tabsynth.checkpoint; run the same command to resume" in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["m.tabsynth.checkpoint"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows terminates at once")
def test_a_terminated_command_removes_its_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(_args: object) -> int:
        with temporary_folder("rows-", tmp_path / "rows"), replace_atomically(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("not reached")

    monkeypatch.setattr(run_command, "run", write)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["run", "x"]) == 143
    assert "terminated" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_on_a_full_disk_changes_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main(["inspect", "nowhere.csv"]) == BAD_INPUT
        monkeypatch.undo()
        with suppress(OSError):
            full.close()


def test_the_stored_stages_of_an_interrupted_fit_are_named(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_args: object, checkpoint: Path, **_options: object) -> None:
        checkpoint.with_name(f"{checkpoint.name}.network").write_bytes(b"")
        raise KeyboardInterrupt

    monkeypatch.setattr(MaskedSynthesizer, "fit", stop)
    assert main(["fit", str(fitted / "train.csv"), "--output", str(tmp_path / "m.tabsynth")]) == INTERRUPTED
    assert "checkpoint kept in" in capsys.readouterr().err


def test_aligned_columns_wrap_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    text = format_table(["name", "why"], [["x", "word " * 20], ["longer", "short"]])
    lines = text.splitlines()
    assert lines[0] == "name    why"
    assert lines[-1] == "longer  short"
    assert all(len(line) <= 50 for line in lines)
    assert lines[2].startswith(" " * 8 + "word")


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


def test_unknown_arguments_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["inspect", "a.csv", "--x\x1b[31m\u202e"], ["\x1b]0;title\x07"]):
        with pytest.raises(SystemExit):
            main(arguments)
        shown = capsys.readouterr().err
        assert not set("\x1b\x07\u202e") & set(shown)
        assert "\\x1b" in shown
