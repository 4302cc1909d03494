"""The examples run unchanged."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
from pathlib import Path

import jsonschema
import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml

from tabsynth.cli.main import build_parser
from tabsynth.pipeline.config import read_job
from tabsynth.pipeline.schema_file import schema_text

from .programs import Programs

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.mark.slow
def test_notebook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("iframe" in output.get("data", {}).get("text/html", "") for output in shown)  # the report
    assert shown[-1]["data"]["text/plain"] == "True"  # the model that was read back draws the same rows


@pytest.mark.slow
def test_audit_notebook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(EXAMPLES / "audit_third_party.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert json.loads((tmp_path / "audit.json").read_text("utf-8"))["verdict"] == "VIOLATION"
    named = json.loads((tmp_path / "records.internal.json").read_text("utf-8"))["records"]
    assert sum(record["row"] < 30 for record in named) > len(named) / 2  # the leaked rows are named


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_notebook_is_kept_with_small_outputs_of_no_machine(name: str) -> None:
    """What `make notebooks` writes: all cells in order, no page, warning, path or time."""
    path = EXAMPLES / name
    assert path.stat().st_size <= 200_000
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
    assert not any("execution" in cell.metadata for cell in cells)  # the times of a run
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert not any(output.get("name") == "stderr" for output in outputs)
    text = json.dumps(outputs)
    assert not re.search(r"Warning|Traceback|<iframe", text)
    assert not re.search(r"/(?:home|root|tmp|work|Users)/|[A-Z]:\\\\", text)
    assert not re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d|\d+:\d\d:\d\d|it/s|\d CPU s", text)


def test_pipeline_file_is_valid() -> None:
    job = read_job(EXAMPLES / "pipeline.yaml")
    assert job.input == "sklearn:breast_cancer"
    assert job.output == EXAMPLES / "../output/pipeline"


@pytest.mark.slow
def test_demo_on_the_shipped_tables(programs: Programs, tmp_path: Path) -> None:
    done = programs.run(EXAMPLES / "demo.py", ["--epochs", 1], tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("diabetes", "breast_cancer"):
        folder = tmp_path / "output" / name
        files = sorted(path.name for path in folder.iterdir() if path.name != ".pipeline")
        assert [name for name in files if not name.startswith("real-")] == [
            "model.tabsynth",
            "report.html",
            "report.json",
            "synthetic.parquet",
        ]
        assert [name for name in files if name.startswith("real-")] == ["real-holdout.parquet", "real-train.parquet"]
        assert (folder / "report.html").as_uri() in done.stdout
        assert json.loads((folder / "report.json").read_text())["scores"]


@pytest.mark.slow
def test_demo_on_a_table_of_ones_own(programs: Programs, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(20, 90, 80), "outcome": rng.choice(["ill", "well"], 80)})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    line = ["--data", "mine.csv", "--target", "outcome", "--epochs", 1]
    done = programs.run(EXAMPLES / "demo.py", line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output" / "mine" / "report.html").is_file()
    done = programs.run(EXAMPLES / "demo.py", ["--data", "mine.csv", "--target", "result"], tmp_path)
    assert done.returncode == 2
    assert "no column 'result'" in done.stderr


@pytest.mark.slow
def test_digits_are_drawn_and_read(programs: Programs, tmp_path: Path) -> None:
    line = ["--output", tmp_path / "digits.html", "--epochs", 4]
    done = programs.run(EXAMPLES / "digits.py", line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of the real table's" in done.stdout
    assert (tmp_path / "digits.html").read_text().count("<svg") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hospitals", "banks"])
def test_mixing_notebook_goes_from_raw_files_to_the_report(
    name: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TABSYNTH_DATA", str(shared_data))
    notebook = nbformat.read(EXAMPLES / f"mix_{name}.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "iframe" in cells[0].outputs[-1]["data"]["text/html"]  # the review comes first
    pages = [out for cell in cells for out in cell.outputs if "iframe" in out.get("data", {}).get("text/html", "")]
    assert len(pages) == 2
    assert cells[-1].outputs[-1]["data"]["text/plain"] == "True"  # the model file names the plan
    files = {path.name for path in (tmp_path / "output" / name).iterdir()}
    assert {"plan.yaml", "model.tabsynth", "synthetic.csv", "report.html"} <= files


class TestPipelines:
    FOLDER = EXAMPLES / "pipelines"

    def test_job_is_valid(self) -> None:
        job = read_job(self.FOLDER / "nightly.yaml")
        assert job.release is not None
        assert job.release.output == "tumours.zip"
        schema = json.loads(schema_text())
        jsonschema.validate(yaml.safe_load((self.FOLDER / "nightly.yaml").read_text("utf-8")), schema)

    def test_scheduled_commands_are_those_of_the_command_line(self) -> None:
        """Every `tabsynth run` or `verify` of an example parses."""
        found = 0
        for path in sorted(self.FOLDER.rglob("*")):
            if path.is_file() and path.name != "README.md":
                for line in re.findall(r"tabsynth (run|verify|keys) ([^|&>`\"\n]*)", path.read_text("utf-8")):
                    arguments = [word for word in shlex.split(line[1].partition("#")[0]) if word != "2"]
                    build_parser().parse_args([line[0], *arguments])
                    found += 1
        assert found >= 6

    def test_files_parse(self) -> None:
        job = yaml.safe_load((self.FOLDER / "github-actions.yml").read_text("utf-8"))
        assert job["permissions"] == {"contents": "read"}
        for name in ("prefect_flow.py", "airflow_dag.py"):
            ast.parse((self.FOLDER / name).read_text("utf-8"))
        for name in ("tabsynth.service", "tabsynth.timer"):
            unit = configparser.ConfigParser(strict=False, interpolation=None)
            unit.optionxform = str  # type: ignore[assignment, method-assign]
            unit.read_string((self.FOLDER / "systemd" / name).read_text("utf-8"))
            assert "Unit" in unit

    def test_the_container_is_unprivileged_and_offline(self) -> None:
        text = (self.FOLDER / "Dockerfile").read_text("utf-8")
        users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
        assert users
        assert users[-1] not in ("0", "root")
        assert "--network none" in text
        assert "--read-only" in text
