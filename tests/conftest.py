"""What every test may use: a small table of every kind of column, and the example tables beside the repository."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from .programs import Programs

if TYPE_CHECKING:
    from tabsynth.privacy.mechanisms.noise import Noise

ROOT = Path(__file__).resolve().parent.parent
SHARED = {"masked", "vae", "gan", "evidence", "postgres"}
"""Fixtures of a whole session that take seconds, each used in several files: models, a release, a server."""
SLOW_TOGETHER = (
    "tests/common/test_data_parallel.py",
    "tests/contracts/",
    "tests/synthesizers/relational/test_many_tables.py",
    "tests/synthesizers/test_row_weights.py",
    "tests/test_packaging.py",
)
"""Files whose slow tests share a fixture that takes seconds."""
ONE_WORKER = ("tests/cli/",)
"""Folders whose files share a fixture that takes seconds."""
PLAIN_ID = pytest.StashKey[str]()
"""A test's id without its group."""
GROUP = pytest.StashKey[str]()
"""The group of a test that runs in one worker with others."""


# The same examples in every run, so that no change fails by an example that has nothing to do with it;
# HYPOTHESIS_PROFILE=default searches among new ones. No example fails because the machine is busy.
settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_configure(config: pytest.Config) -> None:
    """One thread for each worker: workers that run side by side would only fight over the cores."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)
    if os.environ.get("PRIVATE_NOISE") != "system":
        from tabsynth.privacy.mechanisms.noise import Noise

        Noise.secure = classmethod(_seeded_noise)  # type: ignore[assignment, method-assign]


class _Bytes:
    """The bytes of a seeded generator, drawn in blocks: drawn one by one, most of a small fit's noise is overhead."""

    def __init__(self, seed: list[int]) -> None:
        self._rng, self._block, self._at, self._lock = np.random.default_rng(seed), b"", 0, threading.Lock()

    def take(self, n: int) -> bytes:
        step = max(n, 4)  # a generator draws four bytes to return none
        with self._lock:
            if self._at + step > len(self._block):
                left = self._block[self._at :]
                self._block, self._at = left + self._rng.bytes(max(step - len(left), 1 << 13)), 0
            self._at += step
            return self._block[self._at - step : self._at - step + n]


_noise_bytes = _Bytes([])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Each test sees the same private noise in every run, so that no statistical test fails by chance in one of them.

    PRIVATE_NOISE=system draws from the operating system instead.
    """
    global _noise_bytes
    _noise_bytes = _Bytes(list(item.stash.get(PLAIN_ID, item.nodeid).encode()))


def _seeded_noise(cls: type[Noise], read: object = None) -> Noise:
    return cls(lambda n: _noise_bytes.take(n), "os.urandom")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs in one worker with ``--dist loadgroup``: all tests of a shared model, in whatever file, and each file.

    So each model is fitted once. Slow tests that share little spread evenly over the workers. They and the groups of
    slow tests come first and the smallest groups last, so that all workers end at nearly the same time (with
    ``--no-loadscope-reorder``).

    The scheduler reads the group behind the ``@`` of a test's id. pytest-xdist 3.8 puts it into an attribute that
    pytest does not read from 9.2 on, so that every test was a group of its own, and most fixtures were made twice.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        asked = {*getattr(item, "fixturenames", ()), *_parameters(item)}
        shared = sorted(asked & SHARED)
        if shared or item.get_closest_marker("slow") is None or item.nodeid.startswith(SLOW_TOGETHER):
            item.stash[PLAIN_ID] = item.nodeid
            folder = next((name for name in ONE_WORKER if item.nodeid.startswith(name)), None)
            item.stash[GROUP] = shared[0] if shared else folder or item.nodeid.split("::")[0]
            grouped = f"{item.nodeid}@{item.stash[GROUP]}"
            item._nodeid = grouped
            if hasattr(item, "_id"):
                item._id = type(item._id).parse(grouped)
            assert item.nodeid == grouped, "the ids of tests have no group: fixtures would be made in each worker"
    groups = [item.stash.get(GROUP, "") for item in items]
    sizes = Counter(groups)
    long = {group for group, item in zip(groups, items, strict=True) if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: (item.stash.get(GROUP, "") not in long, -sizes[item.stash.get(GROUP, "")]))


def _parameters(item: pytest.Item) -> set[str]:
    """The names of fixtures that a parametrised fixture ``model`` may ask for."""
    named = item.callspec.params.get("model") if hasattr(item, "callspec") else None
    return {named} if isinstance(named, str) else set()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The folders privacy/ and evaluation/ are imported as parts of tabsynth, or their classes would exist twice."""
    bare = sorted({"privacy", "evaluation"} & set(sys.modules))
    assert not bare, f"imported under a bare name: {bare}; import them as tabsynth.{bare[0]}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of example tables beside the repository; tests that need it are skipped where it is not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the example tables (../shared/data) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """Runs programs in processes of their own."""
    running = Programs(tmp_path_factory.mktemp("programs"))
    yield running
    running.close()


@pytest.fixture
def toy() -> pd.DataFrame:
    """A small seeded table with a column of every kind, missing values, and dependence between columns."""
    rng = np.random.default_rng(7)
    n = 400
    group = rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2])
    age = np.clip(rng.normal(48, 16, n).round(), 18, 95).astype(int)
    smoker = rng.random(n) < np.where(group == "west", 0.6, 0.2)
    weight = np.round(60 + 0.3 * age + 8 * smoker + rng.normal(0, 6, n), 1)
    seen = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    frame = pd.DataFrame(
        {
            "mrn": [f"P-{number:05d}" for number in rng.permutation(90_000)[:n]],
            "group": group,
            "age": age,
            "weight": np.where(rng.random(n) < 0.1, np.nan, weight),
            "smoker": smoker,
            "seen": seen,
            "note": [
                f"visit {i}: {'cough, ' * (i % 3)}patient {i * 37 % 1009} was told to come back" for i in range(n)
            ],
            "outcome": np.where(rng.random(n) < 1 / (1 + np.exp(-(age - 55) / 8)), "ill", "well"),
        }
    )
    frame.loc[rng.random(n) < 0.05, "group"] = None
    return frame
