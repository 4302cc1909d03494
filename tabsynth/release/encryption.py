"""Encryption of a zip to recipients with age (extra ``release``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import temporary_folder
from tabsynth.common.input_files import check_regular_file, read_text
from tabsynth.errors import InputError, SourceError, missing_package

SUFFIX = ".age"


def check_recipients(recipients: Sequence[str]) -> None:
    """Raise InputError unless every recipient is a public key of age (``age1...``) or of SSH."""
    for recipient in recipients:
        _parse_recipient(recipient)


def encrypt(source: Path, target: Path, recipients: Sequence[str]) -> None:
    """Encrypt a file; each recipient alone can decrypt it.

    Raises:
        InputError: A recipient is no public key.
    """
    pyrage = _import_pyrage()
    try:
        pyrage.encrypt_file(str(source), str(target), [_parse_recipient(text) for text in recipients])
    except (pyrage.EncryptError, OSError) as error:
        raise SourceError(f"cannot encrypt the release: {error}") from error


@contextmanager
def decrypted(path: str | Path, identity: str | Path | None) -> Iterator[Path]:
    """Yield a bundle as it is, or an encrypted one decrypted to a temporary file that is removed afterwards.

    Raises:
        InputError: An identity is missing, of another kind, or not a recipient's.
        SourceError: A file cannot be read.
    """
    if Path(path).suffix != SUFFIX:
        yield Path(path)
        return
    if identity is None:
        raise InputError(f"{str(path)!r} is encrypted; give the identity of a recipient (--identity)")
    check_regular_file(path, "release")
    keys = _read_identities(identity)
    pyrage = _import_pyrage()
    with temporary_folder("tabsynth-") as folder:  # of mode 0700
        target = folder / Path(path).stem
        try:
            pyrage.decrypt_file(str(path), str(target), keys)
        except (pyrage.DecryptError, OSError, ValueError) as error:
            raise InputError(
                f"{str(path)!r} cannot be decrypted: it was changed, or the identity is not a recipient's ({error})"
            ) from error
        yield target


def _parse_recipient(text: str) -> Any:
    pyrage = _import_pyrage()
    kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise InputError(
            f"the recipient {text!r} is not a public key of age (age1...) or SSH (ssh-ed25519 ...): {error}"
        ) from error


def _read_identities(path: str | Path) -> list[Any]:
    pyrage = _import_pyrage()
    text = read_text(path, "identity")
    try:
        if "PRIVATE KEY" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        keys = [pyrage.x25519.Identity.from_str(line) for line in lines]
    except pyrage.IdentityError:
        keys = []  # the message may quote the key
    if not keys:
        raise InputError(f"{str(path)!r} contains no identity of age (AGE-SECRET-KEY-...) or SSH")
    return keys


def _import_pyrage() -> Any:
    try:
        import pyrage
    except ImportError as error:
        raise missing_package("encrypting or decrypting a release", "pyrage", "release") from error
    return pyrage
