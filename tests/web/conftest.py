"""A client that speaks to the application as a server would, and a browser of its own for each page test."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")

from starlette.applications import Starlette

from tabsynth.web.app import create_app
from tabsynth.web.security import Access

HOST = "127.0.0.1:8765"


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


@dataclass
class Client:
    """Requests with the headers that a browser sends; each can be replaced."""

    app: Starlette
    cookie: str = ""
    tokens: list[str] = field(default_factory=list)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, chunk: int = 2**16
    ) -> Answer:
        sent = {"host": HOST, "cookie": self.cookie, **(headers or {})}
        path, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8765),
        }
        parts = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not parts:
                await asyncio.sleep(3600)
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            messages.append(message)

        asyncio.run(self.app(scope, receive, send))
        start = next(message for message in messages if message["type"] == "http.response.start")
        found = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return Answer(start["status"], found, b"".join(message.get("body", b"") for message in messages))

    def open(self) -> None:
        """Exchange the one-time token for a cookie."""
        answer = self.request("GET", f"/?token={self.tokens[-1]}")
        self.cookie = answer.header("set-cookie").partition(";")[0]

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', self.get("/").text)
        assert found
        return found[1]

    def post(self, address: str, **fields: str) -> Answer:
        body = urlencode({"csrf": self.csrf(), **fields}).encode()
        return self.request(
            "POST", address, body, {"content-type": "application/x-www-form-urlencoded", **same_site(body)}
        )

    def upload(self, name: str, content: bytes) -> Answer:
        mark = secrets.token_hex(8)
        body = (
            (
                f'--{mark}\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{self.csrf()}\r\n'
                f'--{mark}\r\nContent-Disposition: form-data; name="table"; filename="{name}"\r\n\r\n'
            ).encode()
            + content
            + f"\r\n--{mark}--\r\n".encode()
        )
        return self.request(
            "POST", "/new", body, {"content-type": f"multipart/form-data; boundary={mark}", **same_site(body)}
        )


def same_site(body: bytes) -> dict[str, str]:
    return {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "content-length": str(len(body))}


@pytest.fixture
def make_client(tmp_path: Path) -> Callable[..., Client]:
    def make(**options: Any) -> Client:
        tokens: list[str] = []
        return Client(create_app(tmp_path, Access(tokens.append), **options), tokens=tokens)

    return make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    opened = make_client()
    opened.open()
    return opened


@pytest.fixture
def patients() -> bytes:
    """A table with hostile names and values, a rare value and an open question."""
    rows = 120
    frame = pd.DataFrame(
        {
            "<script>alert(1)</script>": [f"<b>{'xyz'[i % 3]}</b>" for i in range(rows)],
            "age": [20 + i % 60 for i in range(rows)],
            "ward": [i % 4 for i in range(rows)],
            "illness": ["flu"] * 60 + ["cold"] * 58 + ["kuru", "rabies"],
            "pay": [1000.5 + 13.25 * (i % 97) for i in range(rows - 1)] + [987654.25],
        }
    )
    return frame.to_csv(index=False).encode()
