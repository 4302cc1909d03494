"""The code of the documentation runs: every Python and bash block of a page, in order, in one folder.

A block in ``python`` or ``bash`` runs; one in ``yaml`` with a title is written to the file of that name; ``sh`` and
``text`` are only shown.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^( *)```(\w+)(?: +title=\"([^\"]+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
EXAMPLE = [sys.executable, str(ROOT / "examples" / "patients.py")]


def program(text: str) -> str:
    """A page's blocks as one Python program."""
    parts = ["import pathlib, subprocess"]
    for indent, kind, title, body in BLOCK.findall(text):
        code = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
        if kind == "python":
            parts.append(code)
        elif kind == "bash":
            parts.append(f"subprocess.run(['bash', '-euo', 'pipefail', '-c', {code!r}], check=True)")
        elif title:
            parts.append(f"pathlib.Path({title!r}).write_text({code!r}, encoding='utf-8')")
    return "\n".join(parts)


PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if program(path.read_text("utf-8")).count("\n")]


@pytest.mark.slow
@pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in PAGES])
def test_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    subprocess.run([*EXAMPLE, str(tmp_path)], env=environment, check=True, timeout=900)
    (tmp_path / "_page.py").write_text(program((ROOT / page).read_text("utf-8")), "utf-8")
    line = [sys.executable, "_page.py"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.slow
def test_readme_example_runs(tmp_path: Path) -> None:
    (block,) = (body for _, kind, _, body in BLOCK.findall((ROOT / "README.md").read_text("utf-8")) if kind == "python")
    code = block.replace("MaskedSynthesizer()", "MaskedSynthesizer(epochs=10)")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    (tmp_path / "readme.py").write_text(code, "utf-8")
    line = [sys.executable, "readme.py"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()
