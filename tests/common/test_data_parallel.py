"""Training in two processes: equal models in both, about as good as that of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

import tabsynth
from tabsynth.common import data_parallel
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.masked import MaskedSynthesizer

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 900
"""Seconds after which the processes are stopped; a busy machine may need minutes."""

SCRIPT = """
import datetime, sys
import numpy as np, pandas as pd
from torch import distributed
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tests.common.test_data_parallel import descend

folder, rank = sys.argv[1], int(sys.argv[2])
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=500)
)
table = pd.read_parquet(folder + "/table.parquet")
np.save(f"{folder}/weights{rank}.npy", descend(table.head(300)))
MaskedSynthesizer(epochs=4).fit(table, seed=0, progress=False).save(f"{folder}/model{rank}")
schema = Schema.from_dict({"columns": {
    "x": {"kind": "numeric", "low": -4, "high": 4, "decimals": 2},
    "y": {"kind": "numeric", "low": -9, "high": 9, "decimals": 1},
    "label": {"kind": "categorical", "values": ["high", "low"]},
}})
privacy = Privacy(2.0, 1e-5, ledger=folder + "/table.ledger")
model = MaskedSynthesizer(epochs=1).fit(table.head(1_000), schema=schema, privacy=privacy, progress=False)
model.save(f"{folder}/private{rank}")
distributed.destroy_process_group()
"""


def descend(table: pd.DataFrame) -> npt.NDArray[np.float32]:
    """The weights after steps of DP-SGD with noise of one seed."""
    rows = torch.tensor(table[["x", "y"]].to_numpy(), dtype=torch.float32)
    torch.manual_seed(0)
    module = torch.nn.Linear(1, 1)
    config = DpSgdConfig(steps=30, rate=0.2, multiplier=0.5, clip=1.0, rows=300)
    paid = config.charge(PrivacyLedger(1e6, 1e-5), purpose="weights", columns=["x", "y"], noise=Noise.insecure(1))
    paid.train(
        module,
        lambda network, tokens, generator: (network(tokens[:, :1])[:, 0] - tokens[:, 1]) ** 2,
        lambda: (rows, None),
        learning_rate=lambda step: 0.05,
    )
    return np.concatenate([weights.detach().numpy().ravel() for weights in module.parameters()])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes left what each of them learned from the table."""
    folder = tmp_path_factory.mktemp("processes")
    make_table(2_500).to_parquet(folder / "table.parquet")
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen([*command, str(rank)], env=environment) for rank in range(2)]
    try:
        assert [process.wait(TIMEOUT) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return folder


def make_table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    label = np.where(x + rng.normal(size=rows) > 0, "high", "low")
    return pd.DataFrame({"x": x.round(2), "y": (2 * x + rng.normal(size=rows)).round(1), "label": label})


@pytest.mark.slow
def test_two_processes_end_with_equal_models_that_are_as_good_as_one(both: Path) -> None:
    first, second = (tabsynth.load(both / f"model{rank}") for rank in range(2))
    weights = first.to_file().arrays
    for name, array in second.to_file().arrays.items():
        np.testing.assert_array_equal(array, weights[name], err_msg=name)
    alone = MaskedSynthesizer(epochs=4).fit(make_table(2_500), seed=0, progress=False)
    fresh = make_table(4_500).iloc[2_500:]
    assert not np.array_equal(alone.to_file().arrays["net.bias"], weights["net.bias"])
    assert isinstance(first, MaskedSynthesizer)
    assert first.score(fresh) == pytest.approx(alone.score(fresh), abs=0.1)


def test_one_process_sees_whole_batches_and_needs_no_group() -> None:
    batch = torch.arange(5)
    with data_parallel.process_group() as rank:
        assert rank == 0
        assert data_parallel.own_rows(batch) is batch
        assert data_parallel.share_number(1.5, torch.device("cpu")) == 1.5


@pytest.mark.slow
def test_private_fits_in_two_processes_are_one_fit(both: Path) -> None:
    first, second = (tabsynth.load(both / f"private{rank}") for rank in range(2))
    weights = first.to_file().arrays
    assert any(name.startswith("net") for name in weights)
    for name, array in second.to_file().arrays.items():
        np.testing.assert_array_equal(array, weights[name], err_msg=name)
    # Charged once, by the first process, and no more than one process would be.
    dataset = PrivacyLedger.open(both / "table.ledger")
    charged = [entry for entry in dataset.entries if entry.purpose != "reserved for a fit"]
    own = first.ledger_
    assert own is not None
    assert second.ledger_ is not None
    assert own.epsilon() <= 2.0
    assert [entry.event for entry in own.entries] == [entry.event for entry in second.ledger_.entries]
    assert dataset.epsilon() == pytest.approx(own.epsilon(), rel=1e-6)
    assert len(charged) == len(own.entries)


@pytest.mark.slow
def test_two_processes_add_up_the_clipped_gradients_of_one(both: Path) -> None:
    done = [np.load(both / f"weights{rank}.npy") for rank in range(2)]
    np.testing.assert_array_equal(done[0], done[1])
    np.testing.assert_allclose(done[0], descend(make_table(2_500).head(300)), atol=1e-5)


def test_the_random_bytes_of_one_process_are_those_of_the_system() -> None:
    first, second = data_parallel.shared_random_bytes(32), data_parallel.shared_random_bytes(32)
    assert len(first) == len(second) == 32
    assert first != second
