"""Atomic writes: to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tabsynth.errors import SourceError


@contextmanager
def replace_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; on success it is renamed to ``path``, on failure removed.

    Where ``path`` is a symbolic link, the file behind it is replaced and the link stays.

    Raises:
        SourceError: The folder is missing or not writable, or the path is a folder.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    # The whole name and a suffix could be too long for a file name.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:32]}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with suppress(OSError):
            temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise SourceError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_writable(path: str | Path) -> None:
    """Raise early, before any long work, when ``path`` could not be written later.

    Raises:
        SourceError: The folder is missing or not writable, or the path is a folder.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise SourceError(f"cannot write {str(path)!r}: it is a folder; give a file name")
        if not target.parent.is_dir():
            raise SourceError(f"cannot write {str(path)!r}: the folder {str(target.parent)!r} does not exist")
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise SourceError(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to ``path`` at once."""
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes to ``path`` at once."""
    with replace_atomically(path) as temporary:
        temporary.write_bytes(data)


def _umask() -> int:
    """The process's umask, which ``mkstemp`` ignores."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
