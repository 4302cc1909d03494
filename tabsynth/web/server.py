"""Serve the page on this machine until interrupted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import uvicorn

from tabsynth.errors import SourceError
from tabsynth.web.app import create_app
from tabsynth.web.security import Access

HOST = "127.0.0.1"
"""The loopback address: no other machine reaches it."""


class _Server(uvicorn.Server):
    """A server that reports its port once it listens."""

    def __init__(self, config: uvicorn.Config, on_port: Callable[[int], None]) -> None:
        super().__init__(config)
        self._on_port = on_port

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            self._on_port(self.servers[0].sockets[0].getsockname()[1])


def serve(folder: str | Path, port: int, say: Callable[[str], None]) -> None:
    """Serve the projects of a folder.

    Args:
        folder: The folder; created if missing.
        port: The port; 0 for any free one.
        say: Called with each line for the terminal: the link, and a new one whenever a link was used.

    Raises:
        SourceError: The folder cannot be created or written, or the port is taken.
    """
    root = Path(folder).resolve()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"cannot create the folder {str(root)!r}: {error.strerror or error}") from error
    if not os.access(root, os.W_OK):
        raise SourceError(f"the folder {str(root)!r} is not writable; choose another one")
    bound: list[int] = []

    def link(token: str) -> str:
        return f"http://{HOST}:{bound[0]}/?token={token}"

    def on_token(token: str) -> None:
        if bound:
            say(f"for another browser: {link(token)}")
        else:
            first.append(token)

    def on_port(number: int) -> None:
        bound.append(number)
        say(f"projects are kept in {root}")
        say(f"open {link(first[-1])}")
        say("press Ctrl+C to stop; work that runs goes on")

    first: list[str] = []
    app = create_app(root, Access(on_token))
    config = uvicorn.Config(
        app,
        HOST,
        port,
        log_config=None,  # uvicorn's own would close the handlers of other libraries
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, on_port)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    except SystemExit as error:
        raise SourceError(f"port {port} of {HOST} cannot be opened; choose another with --port") from error
