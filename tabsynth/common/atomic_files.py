"""Atomic and durable writes: to a temporary name in the same folder, synchronised to the disk, then renamed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from tabsynth.errors import SourceError

MIN_STALE_SECONDS = 60
"""Younger temporaries may belong to a process that has not locked them yet."""


@contextmanager
def replace_atomically(path: str | Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path; on success it is renamed to ``path``, on failure removed.

    The content is on the disk before the new name is, so after a crash the path names the old content or the new one.
    Where ``path`` is a symbolic link, the file behind it is replaced and the link stays.

    Args:
        path: The file.
        private: Whether a new file is for its owner only (0600); one that exists keeps its permissions.

    Raises:
        SourceError: The folder is missing or not writable, or the path is a folder, a pipe or a device.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    # The whole name and a suffix could be too long for a file name.
    prefix = f".{target.name[:32]}."
    _remove_stale(target.parent, prefix)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".tmp")
    except OSError as error:  # the folder has vanished since it was checked
        raise SourceError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    locked = _lock(handle)  # until the end, so that other processes do not take it for stale
    if not locked:
        os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with suppress(OSError):
            temporary.chmod(_private_mode(target) if private else _default_mode(temporary))
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    except OSError as error:
        raise SourceError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        if locked:
            os.close(handle)
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def temporary_folder(prefix: str, target: Path | None = None) -> Iterator[Path]:
    """Yield a folder that only its owner can read, removed at the end together with those that killed processes left.

    Args:
        prefix: The start of its name.
        target: The output that is made from it: the folder is beside it, and errors name the output instead. By
            default the folder is that of the system for temporary files.

    Raises:
        SourceError: It cannot be written, as on a full disk.
    """
    parent = Path(tempfile.gettempdir()) if target is None else target.parent
    shown = f"{str(parent)!r} (the folder for temporary files: TMPDIR)" if target is None else repr(str(target))
    _remove_stale(parent, prefix)
    try:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=".tmp"))
    except OSError as error:
        raise SourceError(f"cannot write {shown}: {error.strerror or error}") from error
    handle = _open_to_lock(folder)
    if handle is not None:
        _lock(handle)
    try:
        yield folder
    except SourceError as error:
        if str(folder) not in str(error):
            raise
        raise SourceError(str(error).replace(str(folder), str(parent if target is None else target))) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SourceError(f"cannot write {shown}: {error.strerror or error}") from error
    finally:
        if handle is not None:
            os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk.

    Raises:
        OSError: The disk did not take a file's content.
    """
    is_folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if is_folder:  # Windows opens no folders, and keeps their names by itself
            return
        raise
    try:
        with suppress(OSError) if is_folder else nullcontext():  # some file systems do not synchronise folders
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until everything in a folder is on the disk.

    Raises:
        OSError: The disk did not take a file's content.
    """
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            sync(path)


def put_in_place(new: Path, target: Path) -> None:
    """Move a file or a folder to ``target``, once its content is on the disk.

    An earlier folder is moved aside first; ``restore_previous`` brings it back after a kill between the two renames.

    Raises:
        OSError: ``target`` cannot be written; an earlier folder is still there.
    """
    if new.is_dir():
        sync_tree(new)
    earlier, replaced = _previous_name(target), target.is_dir()
    if replaced:
        shutil.rmtree(earlier, ignore_errors=True)
        target.replace(earlier)
    try:
        new.replace(target)
    except OSError:
        if replaced:
            earlier.replace(target)
        raise
    sync(target.parent)
    shutil.rmtree(earlier, ignore_errors=True)


def restore_previous(target: Path) -> None:
    """Bring back a folder whose replacement was killed between the two renames of ``put_in_place``.

    If it was killed after them, the earlier folder is removed.
    """
    earlier = _previous_name(target)
    if earlier.is_dir() and not target.exists():
        earlier.replace(target)
    shutil.rmtree(earlier, ignore_errors=True)


def _previous_name(target: Path) -> Path:
    return target.parent / f".{target.name[:200]}.previous"


def check_writable(path: str | Path) -> None:
    """Raise early, before any long work, when ``path`` could not be written later.

    Raises:
        SourceError: The folder is missing or not writable, or the path is a folder, a pipe or a device.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise SourceError(f"cannot write {str(path)!r}: it is a folder; give a file name")
        if not target.parent.is_dir():
            raise SourceError(f"cannot write {str(path)!r}: the folder {str(target.parent)!r} does not exist")
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(Path(path).stat().st_mode):
                raise SourceError(f"cannot write {str(path)!r}: it is a pipe or a device; give a file name")
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"cannot write {str(path)!r}: {getattr(error, 'strerror', None) or error}") from error


def check_outputs(outputs: Iterable[str | Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Raise SourceError if an output is the same file as an input or another output, also under another name."""
    known = [path for path in inputs if path and not _is_no_file(str(path))]
    written: list[str | Path] = []
    for output in outputs:
        if not output or str(output) == "-" or _is_no_file(str(output)):
            continue
        same = next((path for path in known if _is_same_file(output, path)), None)
        if same is not None:
            raise SourceError(f"the output {str(output)!r} is the input {str(same)!r}; give another file name")
        if any(_is_same_file(output, path) for path in written):
            raise SourceError(f"two outputs are the file {str(output)!r}; give each its own")
        written.append(output)


def write_text(path: str | Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text to ``path`` at once; ``private`` as in ``replace_atomically``."""
    with replace_atomically(path, private=private) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes to ``path`` at once."""
    with replace_atomically(path) as temporary:
        temporary.write_bytes(data)


def _is_no_file(name: str) -> bool:
    """Return a table that ships with a package, or a database."""
    return name.startswith(("sklearn:", "${")) or "://" in name


def _is_same_file(first: str | Path, second: str | Path) -> bool:
    with suppress(OSError, ValueError):
        return Path(first).samefile(second)
    return os.path.realpath(first) == os.path.realpath(second)


def _remove_stale(parent: Path, prefix: str) -> None:
    """Remove temporary files and folders of killed processes: old ones of this user without a lock."""
    form = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}\.(tmp|mode)")
    with suppress(OSError):
        for path in [path for path in parent.iterdir() if form.fullmatch(path.name)]:
            with suppress(OSError):
                found = path.lstat()
                is_folder = stat.S_ISDIR(found.st_mode)
                if time.time() - found.st_mtime < MIN_STALE_SECONDS or not (is_folder or stat.S_ISREG(found.st_mode)):
                    continue
                if hasattr(os, "getuid") and found.st_uid != os.getuid():
                    continue
                handle = _open_to_lock(path)
                if handle is None:
                    continue
                try:
                    if _lock(handle):
                        shutil.rmtree(path) if is_folder else path.unlink()
                finally:
                    os.close(handle)


def _open_to_lock(path: Path) -> int | None:
    """Open a temporary file or folder, whose lock shows that it is in use; None where folders cannot be opened."""
    try:
        return os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        return None


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed; False if it is locked, or the platform has no locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _private_mode(target: Path) -> int:
    """Return the permissions of a file for its owner, or those that it has."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return 0o600


def _default_mode(temporary: Path) -> int:
    """Return the permissions of a new file in this folder: the umask cannot be read without a change of it."""
    probe = temporary.with_suffix(".mode")
    handle = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        probe.unlink()
