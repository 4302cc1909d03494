"""Sites that are reached at Unix sockets."""

from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Client
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest

from tabsynth.errors import ArgumentError, PrivacyError
from tabsynth.federated import Site, SiteLostError, SocketTransport, fit_federated, serve_site
from tabsynth.federated.sockets import _listen

from .test_fit import sites_of
from .three_columns import PLAN, rows


def serve(sites: dict[str, Site], folder: Path) -> tuple[dict[str, Path], list[Thread]]:
    """Serve each site in a thread."""
    paths = {name: folder / f"{name}.socket" for name in sites}
    threads = [Thread(target=serve_site, args=(site, paths[name]), daemon=True) for name, site in sites.items()]
    for thread in threads:
        thread.start()
    for path in paths.values():
        wait_until_it_listens(path)
    return paths, threads


def listen_and_close(path: Path) -> int:
    """Open and close a socket; return its permissions."""
    with _listen(path):
        return stat.S_IMODE(path.stat().st_mode)


def wait_until_it_listens(path: Path) -> None:
    """Connect until the socket answers; a connection that breaks off does not end the site."""
    for _ in range(90_000):
        with suppress(OSError):
            Client(str(path), "AF_UNIX").close()
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing listens at {path}")


def test_a_fit_over_sockets_charges_each_site_and_removes_the_sockets(tmp_path: Path) -> None:
    sites = sites_of(PLAN, rows())
    paths, threads = serve(sites, tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o600}
    model = fit_federated(PLAN, SocketTransport(paths), progress=False)
    for thread in threads:
        thread.join(900)
    assert not any(thread.is_alive() for thread in threads)
    assert not any(path.exists() for path in paths.values())
    assert model.ledger_ is not None
    for site in sites.values():
        assert site.ledger.epsilon() == pytest.approx(model.ledger_.epsilon())
    sample = model.sample(50, seed=0)
    assert isinstance(sample, pd.DataFrame)
    assert list(sample) == list(PLAN.schema)


def test_sites_in_threads_leave_the_umask_as_it_was(tmp_path: Path) -> None:
    os.umask(before := os.umask(0o022))
    with ThreadPoolExecutor(16) as pool:
        permissions = set(pool.map(listen_and_close, [tmp_path / f"{k}.socket" for k in range(400)]))
    os.umask(after := os.umask(0o022))
    os.umask(before)
    assert permissions == {0o600}
    assert after == before


def test_a_refusal_arrives_and_an_absent_site_is_lost(tmp_path: Path) -> None:
    sites = sites_of(PLAN, rows())
    name, site = next(iter(sites.items()))
    paths, _ = serve({name: site}, tmp_path)
    transport = SocketTransport(paths | {"absent": tmp_path / "absent.socket"}, timeout=5)
    assert b"different plans" in transport.send(name, b'{"plan":"another","step":"prepare"}')
    with pytest.raises(SiteLostError, match="cannot be reached"):
        transport.send("absent", b"{}")
    site.close()


def test_what_a_socket_and_a_transport_refuse(tmp_path: Path) -> None:
    site = next(iter(sites_of(PLAN, rows()).values()))
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match="no socket can be created"):
        serve_site(site, tmp_path / "file")
    with pytest.raises(ArgumentError, match="no socket can be created"):
        serve_site(site, tmp_path / ("long" * 40))
    with pytest.raises(ArgumentError, match="timeout must be above 0"):
        SocketTransport({}, timeout=0)
    assert (tmp_path / "file").exists()
    with pytest.raises(PrivacyError):
        Site("nobody", PLAN, rows())
