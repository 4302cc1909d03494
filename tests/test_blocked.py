"""tabsynth works without the packages that it adapts, and the adapters name what to install.

That every module can be imported without them is tested in test_architecture.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import json, sys

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
from tabsynth.errors import MissingDependencyError

frame = pd.DataFrame({"a": ["x", "y"] * 30, "b": range(60)})
said = {"shape": ts.MaskedSynthesizer(epochs=1).fit(frame, seed=0).sample(10, seed=1).shape}
said["compiler"] = "torch._dynamo" in sys.modules
for name in ("CTGAN", "TVAE", "GaussianCopula", "CopulaGAN"):
    try:
        getattr(ts, name + "Synthesizer")().fit(frame, seed=0)
    except MissingDependencyError as error:
        said[name] = str(error)
report = ts.evaluate(frame, frame.sample(frac=1, random_state=0), seed=0)
said["scores"] = list(report.scores)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What a program says that runs where the packages are missing."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_our_own_synthesizer_works(said: dict[str, Any]) -> None:
    assert said["shape"] == [10, 2]


def test_a_fit_does_not_import_the_compiler_of_torch(said: dict[str, Any]) -> None:
    """It would take longer than a small fit."""
    assert not said["compiler"]


@pytest.mark.parametrize("name", ["CTGAN", "TVAE", "GaussianCopula", "CopulaGAN"])
def test_adapters_say_what_to_install(name: str, said: dict[str, Any]) -> None:
    assert "pip install '.[sdv]'" in said[name]


def test_evaluation_leaves_out_what_it_cannot_compute(said: dict[str, Any]) -> None:
    assert said["scores"]
    assert not [name for name in said["scores"] if "sdmetrics" in name]
