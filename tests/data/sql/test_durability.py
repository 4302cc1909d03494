"""A write that is interrupted leaves the database as it was, and the same write then succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.data.read_write import write_chunks
from tabsynth.errors import SourceError

FIRST, SECOND = pd.DataFrame({"a": np.arange(500)}), pd.DataFrame({"a": np.arange(5_000)})

CLIENT = """
import sys, time, pandas as pd
from tabsynth.data.read_write import write_chunks
url, mode, started = sys.argv[1:]
with write_chunks(url, table="t", mode=mode) as append:
    append(pd.DataFrame({"a": range(5_000)}))
    open(started, "w").close()
    time.sleep(60)
"""


@pytest.fixture(params=["postgresql", "sqlite", "duckdb"])
def url(request, tmp_path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("database")[2])
    return f"{request.param}:///{tmp_path}/file.db"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_killed_client_leaves_the_table_as_it_was(url, mode, tmp_path):
    ts.write(FIRST, url, table="t")
    started = tmp_path / "started"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    client = subprocess.Popen([sys.executable, "-c", CLIENT, url, mode, str(started)], env=environment)
    try:
        while not started.exists():
            assert client.poll() is None
            time.sleep(0.05)
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
    assert len(ts.read(url, table="t")) == len(FIRST)
    ts.write(SECOND, url, table="t", mode=mode)
    assert len(ts.read(url, table="t")) == len(SECOND) + (len(FIRST) if mode == "append" else 0)


def test_a_killed_server_leaves_the_table_as_it_was(own_server):
    for mode in ("create", "append", "replace"):
        _kill_and_repeat(own_server, mode)


def _kill_and_repeat(own_server, mode):
    url = own_server.url
    own_server.psql("DROP TABLE IF EXISTS t")
    if mode != "create":
        ts.write(FIRST, url, table="t")
    with (
        pytest.raises(SourceError, match=r"cannot (write the table 't' to|close)"),
        write_chunks(url, table="t", mode=mode) as append,
    ):
        append(SECOND)
        own_server.kill()
        append(SECOND)
    with pytest.raises(SourceError, match="cannot connect"):
        ts.read(url, table="t")
    own_server.start()
    count = own_server.psql(
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    assert count == ("0" if mode == "create" else "1")
    ts.write(SECOND, url, table="t", mode=mode)
    expected = len(SECOND) + (len(FIRST) if mode == "append" else 0)
    assert own_server.psql("SELECT count(*) FROM t") == str(expected)


def test_a_full_disk_leaves_a_file_of_sqlite_as_it_was(tmp_path):
    url = f"sqlite:///{tmp_path}/file.db"
    ts.write(FIRST, url, table="t")
    code = (
        "import resource, sys, pandas as pd\nfrom tabsynth.data import write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))\n"
        "write(pd.DataFrame({'a': range(200_000)}), sys.argv[1], table='t', mode='replace')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, url], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "SourceError: cannot write the table 't'" in done.stderr
    assert len(ts.read(url, table="t")) == len(FIRST)
    assert [path.name for path in tmp_path.iterdir()] == ["file.db"]
