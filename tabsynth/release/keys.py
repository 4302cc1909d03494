"""Ed25519 keys: create, read, sign and verify (extra ``release``)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.common.input_files import read_text
from tabsynth.errors import InputError, SourceError, missing_package

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def create_keys(private: str | Path, public: str | Path, *, password: str | None = None) -> str:
    """Write a new key pair: the private key with permissions 0600, the public key for the recipients.

    Args:
        private: File of the private key (PEM); it must not exist.
        public: File of the public key (PEM); it must not exist.
        password: Encrypts the private key, if given.

    Returns:
        The fingerprint of the public key, which recipients compare over another channel.

    Raises:
        SourceError: A file exists already, or cannot be written.
    """
    _import_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    if os.path.realpath(private) == os.path.realpath(public):
        raise SourceError(f"the private and the public key would be the same file {str(private)!r}; choose two names")
    for path in (private, public):
        if os.path.lexists(path):
            raise SourceError(f"{str(path)!r} exists; a key is never replaced: remove it, or choose another name")
    key = Ed25519PrivateKey.generate()
    protection = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
    _create(private, secret, 0o600)
    _create(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return fingerprint(key.public_key())


def read_private_key(path: str | Path, password: str | None = None) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        SourceError: The file cannot be read, or other users may read it.
        InputError: Not an Ed25519 private key, or a wrong password.
    """
    _import_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = read_text(path, "private key")
    if os.name == "posix" and Path(path).stat().st_mode & 0o077:
        raise SourceError(f"other users may read the private key {str(path)!r}; run chmod 600 on it")
    try:
        key = load_pem_private_key(text.encode(), None if password is None else password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's messages may quote the content.
        raise InputError(
            f"{str(path)!r} cannot be read as a private key: not a PEM file, or the password is missing or wrong"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{str(path)!r} is not an Ed25519 key; create one with `tabsynth keys`")
    return key


def read_public_key(path: str | Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        SourceError: The file cannot be read.
        InputError: Not an Ed25519 public key.
    """
    _import_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = read_text(path, "public key")
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{str(path)!r} cannot be read as a public key; give the PEM file of the publisher") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(
            f"{str(path)!r} is not an Ed25519 public key; name the file that `tabsynth keys --public` wrote"
        )
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key's 32 bytes, as hexadecimal text."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def is_signed_by(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether a signature of a message is by the key."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _create(path: str | Path, data: bytes, mode: int) -> None:
    """Create a file that does not exist, with its permissions from the first moment."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SourceError(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def _import_cryptography() -> Any:
    try:
        import cryptography
    except ImportError as error:
        raise missing_package("signing and verifying a release", "cryptography", "release") from error
    return cryptography
