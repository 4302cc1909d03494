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
from tabsynth.common import data_parallel
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.synthesizers.masked import MaskedSynthesizer

TIMEOUT = 900
"""Seconds after which the processes are stopped; a busy machine may need minutes."""

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


PRIVATE_SCRIPT = """
import datetime, sys
import pandas as pd
from torch import distributed
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer

table, folder, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=500)
)
schema = Schema.from_dict({"columns": {
    "x": {"kind": "numeric", "low": -4, "high": 4, "decimals": 2},
    "y": {"kind": "numeric", "low": -9, "high": 9, "decimals": 1},
    "label": {"kind": "categorical", "values": ["high", "low"]},
}})
privacy = Privacy(2.0, 1e-5, ledger=folder + "/table.ledger")
model = MaskedSynthesizer(epochs=1).fit(pd.read_parquet(table), schema=schema, privacy=privacy, progress=False)
model.save(f"{folder}/model{rank}")
distributed.destroy_process_group()
"""

STEP_SCRIPT = """
import datetime, sys
import numpy as np, pandas as pd, torch
from torch import distributed, nn
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig
from tabsynth.privacy.mechanisms.noise import Noise

table, folder, rank = sys.argv[1], sys.argv[2], sys.argv[3]
if rank != "alone":
    wait = datetime.timedelta(seconds=500)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=int(rank), world_size=2, timeout=wait
    )
rows = torch.tensor(pd.read_parquet(table)[["x", "y"]].to_numpy(), dtype=torch.float32)
torch.manual_seed(0)
module = nn.Linear(1, 1)
config = DpSgdConfig(steps=30, rate=0.2, multiplier=0.5, clip=1.0, rows=300)
paid = config.charge(PrivacyLedger(1e6, 1e-5), purpose="weights", columns=["x", "y"], noise=Noise.insecure(1))
paid.train(
    module,
    lambda network, tokens, generator: (network(tokens[:, :1])[:, 0] - tokens[:, 1]) ** 2,
    lambda: (rows, None),
    learning_rate=lambda step: 0.05,
)
np.save(f"{folder}/weights{rank}.npy", np.concatenate([w.detach().numpy().ravel() for w in module.parameters()]))
if rank != "alone":
    distributed.destroy_process_group()
"""


def run_both(script: str, folder: Path) -> None:
    """Run a script in two processes; its arguments are the table, a folder and the process's number."""
    command = [sys.executable, "-c", script, str(folder / "table.parquet"), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    processes = [subprocess.Popen([*command, str(rank)], env=environment) for rank in range(2)]
    try:
        assert [process.wait(TIMEOUT) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()


def make_table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    label = np.where(x + rng.normal(size=rows) > 0, "high", "low")
    return pd.DataFrame({"x": x.round(2), "y": (2 * x + rng.normal(size=rows)).round(1), "label": label})


@pytest.mark.slow
def test_two_processes_end_with_equal_models_that_are_as_good_as_one(tmp_path: Path) -> None:
    table = make_table(4_000)
    table.to_parquet(tmp_path / "table.parquet")
    run_both(SCRIPT, tmp_path)
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


@pytest.mark.slow
def test_private_fits_in_two_processes_are_one_fit(tmp_path: Path) -> None:
    make_table(1_500).to_parquet(tmp_path / "table.parquet")
    run_both(PRIVATE_SCRIPT, tmp_path)
    first, second = (tabsynth.load(tmp_path / f"model{rank}") for rank in range(2))
    weights = first.to_file().arrays
    assert any(name.startswith("net") for name in weights)
    for name, array in second.to_file().arrays.items():
        np.testing.assert_array_equal(array, weights[name], err_msg=name)
    # Charged once, by the first process, and no more than one process would be.
    dataset = PrivacyLedger.open(tmp_path / "table.ledger")
    charged = [entry for entry in dataset.entries if entry.purpose != "reserved for a fit"]
    own = first.ledger_
    assert own is not None
    assert second.ledger_ is not None
    assert own.epsilon() <= 2.0
    assert [entry.event for entry in own.entries] == [entry.event for entry in second.ledger_.entries]
    assert dataset.epsilon() == pytest.approx(own.epsilon(), rel=1e-6)
    assert len(charged) == len(own.entries)


@pytest.mark.slow
def test_two_processes_add_up_the_clipped_gradients_of_one(tmp_path: Path) -> None:
    make_table(300).to_parquet(tmp_path / "table.parquet")
    run_both(STEP_SCRIPT, tmp_path)
    done = {rank: np.load(tmp_path / f"weights{rank}.npy") for rank in range(2)}
    np.testing.assert_array_equal(done[0], done[1])
    command = [sys.executable, "-c", STEP_SCRIPT, str(tmp_path / "table.parquet"), str(tmp_path), "alone"]
    subprocess.run(command, check=True, timeout=TIMEOUT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    np.testing.assert_allclose(done[0], np.load(tmp_path / "weightsalone.npy"), atol=1e-5)


def test_the_random_bytes_of_one_process_are_those_of_the_system() -> None:
    first, second = data_parallel.shared_random_bytes(32), data_parallel.shared_random_bytes(32)
    assert len(first) == len(second) == 32
    assert first != second
