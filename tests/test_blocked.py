"""tabsynth without the packages that it only adapts: all of our own works, the adapters say what to install."""

from __future__ import annotations

import subprocess
import sys
import textwrap

BLOCK = """
import importlib, pkgutil, sys

BLOCKED = {"sdv", "ctgan", "sdmetrics", "copulas", "rdt"}

class Without:
    # A finder that finds all but the blocked packages, as where they are not installed.
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in BLOCKED else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]

import pandas as pd
import tabsynth as ts
frame = pd.DataFrame({"a": ["x", "y"] * 30, "b": range(60)})
"""


def run(code: str) -> str:
    """The output of a program that runs where the packages are missing."""
    whole = BLOCK + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_module_imports() -> None:
    count = run("""
        seen = [info.name for info in pkgutil.walk_packages(ts.__path__, "tabsynth.")]
        for name in seen:
            if not name.endswith("__main__"):
                importlib.import_module(name)
        print(len(seen))
    """)
    assert int(count) > 15


def test_our_own_synthesizer_works() -> None:
    shape = run("""
        print(ts.MaskedSynthesizer().fit(frame, seed=0).sample(10, seed=1).shape)
    """)
    assert shape == "(10, 2)"


def test_adapters_say_what_to_install() -> None:
    said = run("""
        from tabsynth.errors import MissingDependencyError
        for name in ("CTGAN", "TVAE", "GaussianCopula", "CopulaGAN"):
            try:
                getattr(ts, name + "Synthesizer")().fit(frame, seed=0)
            except MissingDependencyError as error:
                print(name, "pip install" in str(error))
    """)
    assert said.splitlines() == ["CTGAN True", "TVAE True", "GaussianCopula True", "CopulaGAN True"]


def test_evaluation_leaves_out_what_it_cannot_compute() -> None:
    names = run("""
        report = ts.evaluate(frame, frame.sample(frac=1, random_state=0), seed=0)
        print(len(report.scores) > 0, [name for name in report.scores if "sdmetrics" in name])
    """)
    assert names == "True []"
