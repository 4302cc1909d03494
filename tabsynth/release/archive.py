"""Canonical zip files: no compression, no dates, no links; names and contents determine every byte.

A reader that knows the form checks each byte outside the contents, and never expands anything.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tabsynth.errors import InputError, SourceError
from tabsynth.release.manifest import MAX_FILES, is_safe_name

MAX_ZIP_BYTES = (1 << 32) - (1 << 24)
"""Maximum size without ZIP64 headers; a folder has no limit."""

BLOCK_BYTES = 1 << 20
LOCAL, CENTRAL, END = "<4s5H3I2H", "<4s6H3I5H2I", "<4s4H2IH"
MIDNIGHT_1980 = 0x0021
"""1 January 1980 in the date field of MS-DOS."""
UTF8_FLAG = 0x0800


@dataclass(frozen=True)
class Member:
    """One file of a zip."""

    name: str
    crc: int
    size: int
    offset: int

    @property
    def local_header(self) -> bytes:
        """The header before the content."""
        name = self.name.encode()
        fields = (20, UTF8_FLAG, 0, 0, MIDNIGHT_1980, self.crc, self.size, self.size, len(name), 0)
        return struct.pack(LOCAL, b"PK\3\4", *fields) + name

    @property
    def central_header(self) -> bytes:
        """The entry of the directory at the end; permissions 0644."""
        name = self.name.encode()
        fields = (0x0314, 20, UTF8_FLAG, 0, 0, MIDNIGHT_1980, self.crc, self.size, self.size, len(name), 0, 0, 0, 0)
        return struct.pack(CENTRAL, b"PK\1\2", *fields, 0o100644 << 16, self.offset) + name

    @property
    def content_offset(self) -> int:
        """Offset of the content."""
        return self.offset + len(self.local_header)


def write_zip(files: Mapping[str, Path], target: Path) -> None:
    """Write files into a zip, in the order of their names.

    Raises:
        InputError: Together they are too large.
    """
    with target.open("wb") as out:
        members = []
        for name in sorted(files):
            crc, size = _checksum(files[name])
            if out.tell() + size > MAX_ZIP_BYTES:
                raise InputError("the release is larger than 4 GB, too large for a zip; give a folder as output")
            member = Member(name, crc, size, out.tell())
            out.write(member.local_header)
            with files[name].open("rb") as content:
                for block in _blocks(content):
                    out.write(block)
            members.append(member)
        out.write(_directory(members, out.tell()))


def read_members(file: IO[bytes]) -> dict[str, Member]:
    """Return the members of a zip of this form, by name.

    Raises:
        InputError: The file is of another form, or a byte outside the contents was changed.
    """
    total = file.seek(0, 2)
    end = struct.calcsize(END)
    _require(end <= total <= MAX_ZIP_BYTES + (1 << 24), "is too short or too long")
    file.seek(total - end)
    signature, disk, first, here, count, length, start, comment = struct.unpack(END, file.read(end))
    _require(signature == b"PK\5\6" and (disk, first, comment) == (0, 0, 0), "does not end as a zip does")
    _require(0 < here == count <= MAX_FILES and start + length + end == total, "has a directory of another length")
    file.seek(start)
    directory = file.read(length)
    members = list(_parse_directory(directory, count))
    _require(_directory(members, start) == directory + _end(count, length, start), "has a changed directory")
    at, seen = 0, set()
    for member in members:
        _require(member.offset == at, f"has a gap or an overlap before {member.name!r}")
        file.seek(at)
        header = member.local_header
        _require(file.read(len(header)) == header, f"has a changed header of {member.name!r}")
        _require(member.name not in seen, f"holds {member.name!r} twice")
        seen.add(member.name)
        at = member.content_offset + member.size
    _require(at == start, "has bytes that belong to no file")
    return {member.name: member for member in members}


def read_blocks(file: IO[bytes], member: Member) -> Iterator[bytes]:
    """Yield the content of a member, block by block."""
    file.seek(member.content_offset)
    left = member.size
    while left:
        block = file.read(min(BLOCK_BYTES, left))
        if not block:
            raise SourceError(f"{member.name!r} ends too early")
        left -= len(block)
        yield block


def _parse_directory(directory: bytes, count: int) -> Iterator[Member]:
    at, step = 0, struct.calcsize(CENTRAL)
    for _ in range(count):
        _require(at + step <= len(directory), "has a directory that is cut short")
        fields = struct.unpack(CENTRAL, directory[at : at + step])
        crc, size, width, offset = fields[7], fields[8], fields[10], fields[16]
        try:
            name = directory[at + step : at + step + width].decode("ascii")
        except UnicodeDecodeError:
            name = ""
        _require(is_safe_name(name), f"holds a file named {name[:80]!r}, which a release cannot have")
        yield Member(name, crc, size, offset)
        at += step + width
    _require(at == len(directory), "has bytes after its directory")


def _directory(members: list[Member], start: int) -> bytes:
    entries = b"".join(member.central_header for member in members)
    return entries + _end(len(members), len(entries), start)


def _end(count: int, length: int, start: int) -> bytes:
    return struct.pack(END, b"PK\5\6", 0, 0, count, count, length, start, 0)


def _checksum(path: Path) -> tuple[int, int]:
    crc = size = 0
    with path.open("rb") as file:
        for block in _blocks(file):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return crc, size


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _require(condition: bool, fault: str) -> None:
    if not condition:
        raise InputError(fault)
