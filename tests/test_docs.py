"""The code of the documentation runs: every Python and bash block of a page, in order, in one folder.

A block in ``python`` or ``bash`` runs; one in ``yaml`` with a title is written to the file of that name; ``sh`` and
``text`` are only shown. Fits are shortened, except on pages that require scores of them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from .programs import Programs

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^( *)```(\w+)(?: +title=\"([^\"]+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
IN_PROCESS = """import pathlib, shlex, subprocess
from tabsynth.cli import main
def run_commands(lines):
    for line in lines:
        words = shlex.split(line)
        if "--workers" in words:
            subprocess.run(words, check=True)
        else:
            assert main(words[1:]) == 0, line"""
"""A command starts in no time where the packages are imported; workers are processes that would run the page."""


SHORTENED = {
    "MaskedSynthesizer()": "MaskedSynthesizer(epochs=2)",
    "-n 50_000 --seed 1 --output large": "-n 6_000 --seed 1 --output large",
    "memory_rows=20_000": "memory_rows=5_000",
    '("log", 5, 9)': '("log", 1, 2)',
    '{"epochs": [2, 4]}': '{"epochs": [1, 2]}',
    "-n 50_000 --seed 1 --shards --shard-rows 20_000": "-n 5_000 --seed 1 --shards --shard-rows 2_000",
    '50_000, seed=1, shard_rows=20_000, executor="processes"': '5_000, seed=1, shard_rows=2_000, executor="processes"',
    "== 50_000": "== 5_000",
}
"""What takes long on a page, and the like of it that does not."""

ROWS = {"patients.csv": 600, "train.csv": 400, "holdout.csv": 200}
"""Rows of the tables, except of pages that require scores or pick rows by their number."""


def program(text: str) -> str:
    """A page's blocks as one Python program."""
    parts = [IN_PROCESS]
    for indent, kind, title, body in BLOCK.findall(text):
        code = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
        if kind == "python":
            parts.append(shortened(code))
        elif kind == "bash":
            parts.append(commands(code if is_demanding(text) else shortened(code)))
        elif title:
            parts.append(f"pathlib.Path({title!r}).write_text({code!r}, encoding='utf-8')")
    return "\n".join(parts)


def is_demanding(text: str) -> bool:
    """Return whether a page requires scores of its models."""
    return bool(re.search(r"--gates|require:", text))


def shortened(code: str) -> str:
    """The code with fits of at most two epochs, and a large table that just exceeds the rows kept in memory."""
    for long, short in SHORTENED.items():
        code = code.replace(long, short)
    return re.sub(r"\b(epochs[= ])([3-9]|[1-9][0-9]+)\b", r"\g<1>2", code)


def commands(block: str) -> str:
    """A bash block as Python: lines that only call tabsynth run in the page's process."""
    lines = [line for line in block.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    if all(re.fullmatch(r"tabsynth [^|&;<>$`]+", line) for line in lines):
        return f"run_commands({lines!r})"
    return f"subprocess.run(['bash', '-euo', 'pipefail', '-c', {block!r}], check=True)"


PAGES = [
    path
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if any(kind in ("python", "bash") for _, kind, _, _ in BLOCK.findall(path.read_text("utf-8")))
]


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Path:
    """The folder of the table that the pages use."""
    folder = tmp_path_factory.mktemp("patients")
    done = programs.run(ROOT / "examples" / "patients.py", [folder], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in PAGES])
def test_blocks_of_a_page_run(page: str, patients: Path, programs: Programs, tmp_path: Path) -> None:
    shutil.copytree(patients, tmp_path, dirs_exist_ok=True)
    text = (ROOT / page).read_text("utf-8")
    for name, rows in () if is_demanding(text) or "people[" in text else ROWS.items():
        lines = (tmp_path / name).read_text("utf-8").splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines[: rows + 1]), "utf-8")
    (tmp_path / "_page.py").write_text(program(text), "utf-8")
    done = programs.run(tmp_path / "_page.py", [], tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.slow
def test_readme_example_runs(programs: Programs, tmp_path: Path) -> None:
    (block,) = (body for _, kind, _, body in BLOCK.findall((ROOT / "README.md").read_text("utf-8")) if kind == "python")
    (tmp_path / "readme.py").write_text(shortened(block), "utf-8")
    done = programs.run(tmp_path / "readme.py", [], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()
