"""The wheel contains every file, and works without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["tabsynth", "privacy", "evaluation", "pyproject.toml", "README.md", "LICENSE"]

pytestmark = pytest.mark.slow

CHECK = """
import importlib, pkgutil, sys
site, *expected = sys.argv[1:]
# What puts the checkout on the path, or finds it, has no say here.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, site)
import tabsynth
assert tabsynth.__file__.startswith(site), tabsynth.__file__
names = [info.name for info in pkgutil.walk_packages(tabsynth.__path__, "tabsynth.")]
missing = set(expected) - set(names)
assert not missing, f"not in the wheel: {sorted(missing)}"
for name in names:
    if not name.endswith("__main__"):
        assert importlib.import_module(name).__file__.startswith(site), name
assert not {"privacy", "evaluation"} & set(sys.modules)
for name in ("privacy", "evaluation"):
    assert importlib.util.find_spec(name) is None, f"{name} is importable under its bare name"
print("ok")
"""


def package_files() -> list[str]:
    """Every file of the three folders by its path in the wheel."""
    inside = []
    for folder, home in (
        ("tabsynth", "tabsynth"),
        ("privacy", "tabsynth/privacy"),
        ("evaluation", "tabsynth/evaluation"),
    ):
        for path in sorted(
            path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        ):
            rest = path.relative_to(ROOT / folder).as_posix()
            if not (folder == "tabsynth" and rest.startswith(("privacy/", "evaluation/"))):
                inside.append(f"{home}/{rest}")
    return inside


def python_files() -> list[str]:
    return [name for name in package_files() if name.endswith(".py")]


def data_files() -> list[str]:
    return [name for name in package_files() if not name.endswith(".py")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built of a clean copy; without the symbolic links, which a build must not need."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", *(["privacy", "evaluation"] if name == "tabsynth" else []))
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, copy)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_every_file_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    data = data_files()
    assert {Path(name).suffix for name in data} >= {".css", ".j2", ".json", ".typed"}
    assert [name for name in [*python_files(), *data] if name not in held] == []
    tops = {name.split("/")[0] for name in held}
    assert tops == {"tabsynth", next(name for name in tops if name.endswith(".dist-info"))}


def test_installed_wheel_works_alone(wheel: Path, tmp_path: Path) -> None:
    """Dependencies come from this environment; the checkout does not."""
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in python_files()]
    names.remove("tabsynth")
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHECK, str(site), *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ok"
    assert (site / "bin" / "tabsynth").exists() or (site / "Scripts" / "tabsynth.exe").exists()
