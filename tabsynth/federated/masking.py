"""Masks of a secure sum: X25519 key pairs, seeds derived from them, streams of whole numbers, and sealed messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tabsynth.errors import PrivacyError, missing_package

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

Words = npt.NDArray[np.uint64]

NONCE_BYTES = 12


def require_cryptography() -> None:
    """Raise MissingDependencyError unless the package cryptography is installed."""
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise missing_package("a federated fit", "cryptography", "federated") from error


def new_key() -> X25519PrivateKey:
    """Return a private key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.generate()


def public_bytes(key: X25519PrivateKey) -> bytes:
    """Return the public key of a private one."""
    return key.public_key().public_bytes_raw()


def shared_seed(own: X25519PrivateKey, other: bytes, purpose: str) -> bytes:
    """Return a seed of 32 bytes that two sites derive from each other's public keys (HKDF with SHA-256).

    Raises:
        PrivacyError: The other key is not valid.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    try:
        secret = own.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError as error:
        raise PrivacyError("the public key of another site is not valid") from error
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret)


def mask_stream(seed: bytes, size: int) -> Words:
    """Return the pseudo-random words modulo 2^64 of a seed (ChaCha20), shape (size,); a seed is used for one stream."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    encryptor: Any = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * size)), dtype="<u8").astype(np.uint64)


def seal(seed: bytes, text: bytes, label: str) -> bytes:
    """Encrypt and authenticate a message (AES-256-GCM)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(seed).encrypt(nonce, text, label.encode())


def unseal(seed: bytes, sealed: bytes, label: str) -> bytes:
    """Decrypt the output of ``seal``.

    Raises:
        PrivacyError: The message was changed, or is for another site or round.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(seed).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], label.encode())
    except (InvalidTag, ValueError) as error:
        raise PrivacyError("a sealed share was changed in transit; the round is aborted") from error
