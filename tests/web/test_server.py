"""The command ``serve``: folder and port are checked, and the link is printed."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tabsynth.cli import main


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["serve", "--folder", str(tmp_path / "file"), "--port", "0"]) == 2
    assert "cannot create the folder" in capsys.readouterr().err


def test_a_taken_port_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--folder", str(tmp_path), "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1 cannot be opened" in capsys.readouterr().err


@pytest.mark.slow
def test_the_link_opens_the_page_until_the_server_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tabsynth", "serve", "--quiet", "--folder", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        link = next(found[1] for line in lines if (found := re.search(r"open (http://127\.0\.0\.1:\d+/\S+)", line)))
        with urllib.request.urlopen(link) as answer:
            cookie = answer.headers["set-cookie"].partition(";")[0]
        address = link.partition("?")[0]
        with urllib.request.urlopen(urllib.request.Request(address, headers={"cookie": cookie})) as answer:
            assert b"Choose a file" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address)
        server.send_signal(signal.SIGINT)
        assert server.wait(900) == 0
        assert "Traceback" not in server.stderr.read()
