"""Transport over Unix sockets to sites in separate processes, directly or through a relay.

A message is one byte string in each direction, framed by ``multiprocessing.connection``; nothing is pickled.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path

from tabsynth.errors import ArgumentError
from tabsynth.federated.site import Site
from tabsynth.federated.transport import SiteLostError, decode_message

MAX_MESSAGE_BYTES = 1 << 30
"""Longer messages are refused."""


class SocketTransport:
    """Sites that are reached at Unix sockets, such as those that ``serve_site`` opens.

    Args:
        paths: The socket of each site.
        timeout: Seconds to wait for an answer before a site counts as lost.

    Raises:
        ArgumentError: The time is not above 0.
    """

    def __init__(self, paths: Mapping[str, str | Path], *, timeout: float = 600.0) -> None:
        if not timeout > 0:
            raise ArgumentError(f"timeout must be above 0 seconds, not {timeout!r}")
        self.paths = {name: str(path) for name, path in paths.items()}
        self.timeout = timeout

    def send(self, site: str, message: bytes) -> bytes:
        """Return the answer of a site.

        Raises:
            SiteLostError: It cannot be reached, or does not answer in time.
        """
        try:
            with Client(self.paths[site], "AF_UNIX") as connection:
                connection.send_bytes(message)
                if not connection.poll(self.timeout):
                    raise SiteLostError(f"site {site!r} did not answer within {self.timeout:g} s")
                return connection.recv_bytes(MAX_MESSAGE_BYTES)
        except (OSError, EOFError) as error:
            raise SiteLostError(
                f"site {site!r} cannot be reached at {self.paths[site]}; start serve_site there"
            ) from error


def serve_site(site: Site, path: str | Path) -> None:
    """Answer the coordinator's messages at a Unix socket until the fit ends; the socket is then removed.

    Only this user may connect. A connection carries one message and its answer.

    Args:
        site: The site, which is closed at the end in any case.
        path: The socket to create.

    Raises:
        ArgumentError: There is a file at the path, or it is too long for a socket.
    """
    listener = _listen(path)
    try:
        while True:
            # A client that goes away in the middle is the coordinator's matter, not this site's.
            with contextlib.suppress(OSError, EOFError), _accept(listener) as connection:
                if _answer(site, connection):
                    return
    finally:
        listener.close()
        Path(path).unlink(missing_ok=True)
        site.close()


def _listen(path: str | Path) -> socket.socket:
    """Open a socket that only this user may connect to, without a change of the process's umask."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        # On Linux the file is created with these permissions; elsewhere it has them before anyone can connect.
        with contextlib.suppress(OSError):
            os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(path))
        Path(path).chmod(0o600)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ArgumentError(f"no socket can be created at {str(path)!r}: {error.strerror or error}") from error
    return listener


def _accept(listener: socket.socket) -> Connection:
    """Wait for a client."""
    return Connection(listener.accept()[0].detach())


def _answer(site: Site, connection: Connection) -> bool:
    """Answer one message; return whether it ended the fit."""
    answer = site.handle(connection.recv_bytes(MAX_MESSAGE_BYTES))
    connection.send_bytes(answer)
    return "charges" in decode_message(answer)
