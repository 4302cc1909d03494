"""Replace an earlier release by a finished one. If the process is killed, one of the two remains."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tabsynth.common.atomic_files import (
    check_writable,
    put_in_place,
    replace_atomically,
    restore_previous,
    temporary_folder,
)
from tabsynth.errors import InputError, SourceError
from tabsynth.release.archive import write_zip
from tabsynth.release.encryption import SUFFIX, check_recipients, encrypt
from tabsynth.release.manifest import FORMAT, MANIFEST


def check_output(target: Path, recipients: Sequence[str]) -> None:
    """Raise before any work if an output could not be written, or is something else than a release.

    Raises:
        SourceError: The folder cannot be written, or holds something else.
        InputError: An invalid recipient, or a suffix that does not go with recipients.
    """
    check_recipients(recipients)
    if bool(recipients) != (target.suffix == SUFFIX):
        raise InputError(
            f"an encrypted release has recipients, and its name ends in .zip{SUFFIX}; {str(target)!r} has "
            f"{len(recipients)} recipients"
        )
    if _is_file(target):
        check_writable(target)
        return
    if not target.parent.is_dir():
        raise SourceError(f"cannot write {str(target)!r}: the folder {str(target.parent)!r} does not exist")
    if os.path.lexists(target) and not is_release(target):
        raise SourceError(f"{str(target)!r} exists and is not a release; choose another folder, or remove it")


def is_release(folder: Path) -> bool:
    """Return whether a folder contains a release, or is empty."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return bool(json.loads((folder / MANIFEST).read_bytes())["format"] == FORMAT)
    return not any(folder.iterdir())


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Yield a staging folder beside the target; it and those of killed processes are removed afterwards."""
    restore_previous(target)
    with temporary_folder(f".{target.name[:32]}.release-", target) as aside:
        yield aside / "release"


def publish(folder: Path, target: Path, recipients: Sequence[str]) -> None:
    """Move a finished release into place.

    Raises:
        SourceError: The target cannot be written; an earlier release is still there.
    """
    if _is_file(target):
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        with replace_atomically(target) as temporary:
            if not recipients:
                write_zip(files, temporary)
            else:
                write_zip(files, folder.parent / "release.zip")
                encrypt(folder.parent / "release.zip", temporary, recipients)
        return
    try:
        folder.chmod(0o755)
        put_in_place(folder, target)
    except OSError as error:
        raise SourceError(f"cannot write {str(target)!r}: {error.strerror or error}") from error


def _is_file(target: Path) -> bool:
    return target.suffix in (".zip", SUFFIX)
