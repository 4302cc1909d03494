"""Read a bundle from a folder or a zip without following links or decompressing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from tabsynth.common.input_files import check_regular_file
from tabsynth.errors import InputError, SourceError
from tabsynth.release.archive import BLOCK_BYTES, Member, read_blocks, read_members
from tabsynth.release.manifest import MAX_FILES, is_safe_name


class BundleFiles(Protocol):
    """The files of a bundle."""

    faults: list[str]
    """Members that no bundle may contain, by file: links, devices, unsafe names."""

    @property
    def names(self) -> list[str]:
        """Names of the regular files."""

    def size(self, name: str) -> int:
        """Return the bytes of a file."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """Return the content of a file."""


class FolderFiles:
    """A bundle in a folder."""

    def __init__(self, folder: Path) -> None:
        self.faults: list[str] = []
        self._sizes: dict[str, int] = {}
        self._folder = folder
        self._scan("")

    @property
    def names(self) -> list[str]:
        """Names of the regular files."""
        return sorted(self._sizes)

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return self._sizes[name]

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file."""
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as file:
                while block := file.read(BLOCK_BYTES):
                    yield block
        except OSError as error:
            raise SourceError(f"cannot read {name!r}: {error.strerror or error}") from error

    def _scan(self, prefix: str) -> None:
        with os.scandir(self._folder / prefix) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = f"{prefix}{entry.name}"
                mode = entry.stat(follow_symlinks=False).st_mode
                if len(self._sizes) + len(self.faults) > MAX_FILES:
                    raise InputError(f"more than {MAX_FILES:,} files: not a release")
                if not is_safe_name(name):
                    self.faults.append(f"{name[:200]!r}: a release has no file of such a name")
                elif stat.S_ISDIR(mode):
                    self._scan(f"{name}/")
                elif stat.S_ISREG(mode):
                    self._sizes[name] = entry.stat(follow_symlinks=False).st_size
                else:
                    self.faults.append(f"{name}: is a link or no regular file")


class ZipFiles:
    """A bundle in a zip file."""

    def __init__(self, file: IO[bytes]) -> None:
        self.faults: list[str] = []
        self._file = file
        self._members: dict[str, Member] = read_members(file)

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return sorted(self._members)

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return self._members[name].size

    def blocks(self, name: str) -> Iterator[bytes]:
        """Return the content of a file."""
        return read_blocks(self._file, self._members[name])


@contextmanager
def open_bundle(path: str | Path) -> Iterator[BundleFiles]:
    """Open a bundle.

    Raises:
        SourceError: There is no such file or folder, or it cannot be read.
        InputError: It is neither a folder nor a zip of a release.
    """
    source = Path(path)
    try:
        if source.is_dir():
            yield FolderFiles(source)
            return
        check_regular_file(source, "release")
        with source.open("rb") as file:
            yield ZipFiles(file)
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def read_small(files: BundleFiles, name: str, limit: int) -> bytes:
    """Read a small file.

    Raises:
        InputError: It is larger than the limit.
    """
    if files.size(name) > limit:
        raise InputError(f"{name} has {files.size(name):,} bytes, more than such a file may have")
    return b"".join(files.blocks(name))
