"""Training in two processes: equal models in both, about as good as that of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.errors import PrivacyError
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.training import data_parallel

TIMEOUT = 600
"""Seconds after which the processes are stopped; a busy machine may need a minute."""

SCRIPT = """
import datetime, sys
import pandas as pd
from torch import distributed
from tabsynth.synthesizers.masked import MaskedSynthesizer

table, folder, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=500)
)
MaskedSynthesizer(epochs=4).fit(pd.read_parquet(table), seed=0, progress=False).save(f"{folder}/model{rank}")
distributed.destroy_process_group()
"""


def make_table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    label = np.where(x + rng.normal(size=rows) > 0, "high", "low")
    return pd.DataFrame({"x": x.round(2), "y": (2 * x + rng.normal(size=rows)).round(1), "label": label})


@pytest.mark.slow
def test_two_processes_end_with_equal_models_that_are_as_good_as_one(tmp_path: Path) -> None:
    table = make_table(4_000)
    table.to_parquet(tmp_path / "table.parquet")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "table.parquet"), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    processes = [subprocess.Popen([*command, str(rank)], env=environment) for rank in range(2)]
    try:
        assert [process.wait(TIMEOUT) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    first, second = (tabsynth.load(tmp_path / f"model{rank}") for rank in range(2))
    weights = first.to_file().arrays
    for name, array in second.to_file().arrays.items():
        np.testing.assert_array_equal(array, weights[name], err_msg=name)
    alone = MaskedSynthesizer(epochs=4).fit(table, seed=0, progress=False)
    fresh = make_table(6_000).iloc[4_000:]
    assert not np.array_equal(alone.to_file().arrays["net.bias"], weights["net.bias"])
    assert isinstance(first, MaskedSynthesizer)
    assert first.score(fresh) == pytest.approx(alone.score(fresh), abs=0.1)


def test_one_process_sees_whole_batches_and_needs_no_group() -> None:
    import torch

    batch = torch.arange(5)
    with data_parallel.process_group() as rank:
        assert rank == 0
        assert data_parallel.own_rows(batch) is batch
        assert data_parallel.share_number(1.5, torch.device("cpu")) == 1.5


def test_a_private_fit_in_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tabsynth.synthesizers.private_fit.n_processes", lambda: 2)
    schema = Schema.from_dict({"columns": {"label": {"kind": "categorical", "values": ["high", "low"]}}})
    with pytest.raises(PrivacyError, match="a private fit runs in one process"):
        MaskedSynthesizer().fit(make_table(50)[["label"]], schema=schema, privacy=Privacy(1.0, 1e-5))
