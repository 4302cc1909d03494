"""A real PostgreSQL in a temporary folder, reached by a socket, for the tests of databases."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

USER = "tester"
PROGRAMS = ("initdb", "pg_ctl", "postgres", "psql")
UNPRIVILEGED = ("postgres", "nobody")
"""Users that may run the server, which refuses to run as root."""


@dataclass(frozen=True)
class Server:
    """A cluster of PostgreSQL; the user ``tester`` needs no password, the user ``locked`` does."""

    folder: Path
    binaries: Path

    @property
    def url(self) -> str:
        """The URL of the database ``postgres``."""
        return self.url_of("postgres")

    def url_of(self, database: str, user: str = USER) -> str:
        """The URL of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server, and wait for it."""
        options = f"-k {self.folder} -c listen_addresses='' -c shared_buffers=32MB -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-o", options, "-w", "-t", "60", "-l", "log", "start")

    def stop(self) -> None:
        """Stop the server at once, if it runs."""
        with suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """Kill all processes of the server, as a power cut would."""
        parent = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        listing = subprocess.run(
            ["ps", "--ppid", str(parent), "-o", "pid="], capture_output=True, text=True, check=False
        )
        processes = (parent, *map(int, listing.stdout.split()))
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        while any(map(_is_running, processes)):
            time.sleep(0.02)
        # The number of a process that is dead but not yet collected would be taken for a running server.
        (self.folder / "data" / "postmaster.pid").unlink()
        (self.folder / ".s.PGSQL.5432.lock").unlink()

    def psql(self, statements: str, database: str = "postgres") -> str:
        """Run statements; the rows as text, with ``|`` between columns."""
        command = [
            self.binaries / "psql",
            "-h",
            self.folder,
            "-U",
            USER,
            "-d",
            database,
            "-Atq",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        done = subprocess.run([*map(str, command)], input=statements, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), *arguments]
        if os.getuid() == 0:
            user = next(user for user in UNPRIVILEGED if _exists(user))
            command = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups", *command]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _exists(user: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _is_running(process: int) -> bool:
    with suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


def new_server() -> Server:
    """Create and start a cluster; skip the test where PostgreSQL is not installed."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.get_exec_path())]
    binaries = next((place for place in places if all((place / name).is_file() for name in PROGRAMS)), None)
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if os.getuid() == 0 and (shutil.which("setpriv") is None or not any(map(_exists, UNPRIVILEGED))):
        pytest.skip("PostgreSQL does not run as root, and there is no other user to run it")
    # Not pytest's folder: the path of a socket is short, and the other user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    folder.chmod(0o755)
    server = Server(folder, binaries)
    if os.getuid() == 0:
        user = next(user for user in UNPRIVILEGED if _exists(user))
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    setup = ("-A", "trust", "-U", USER, "--no-sync", "--no-instructions", "--locale=C.UTF-8", "-E", "UTF8")
    server._run("initdb", "-D", "data", *setup)
    rules = folder / "data" / "pg_hba.conf"
    rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
    server.start()
    return server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for the whole session."""
    server = new_server()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which it may kill."""
    server = new_server()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def database(postgres: Server) -> Iterator[tuple[Server, str, str]]:
    """An empty database: the server, the database's name and its URL."""
    name = f"d{uuid.uuid4().hex[:8]}"
    postgres.psql(f"CREATE DATABASE {name}")
    yield postgres, name, postgres.url_of(name)
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")
