"""The progress bar on a terminal, also on one that reports no size."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios

import pytest

from tabsynth.common.progress import progress_bar


@pytest.mark.parametrize("size", [(0, 0), (24, 100)])
def test_a_bar_is_shown_on_a_terminal_of_any_size(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar(10, "fit", "step", None) as bar:
            bar.delay = 0.0  # a bar of a short fit is hidden
            bar.update(3)
            bar.refresh()
            os.set_blocking(reader, False)
            assert "fit:  30%" in os.read(reader, 4096).decode()
    os.close(reader)


def test_no_bar_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(10, "fit", "step", None) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""
