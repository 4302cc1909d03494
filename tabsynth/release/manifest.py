"""The manifest of a bundle, with size and SHA-256 of every file, and its detached signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tabsynth.common.input_files import parse_json
from tabsynth.errors import InputError
from tabsynth.release.keys import fingerprint, is_signed_by

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FORMAT, SIGNATURE_FORMAT, VERSION = "tabsynth-release", "tabsynth-signature", 1
MAX_MANIFEST_BYTES = 1 << 24
MAX_FILES = 10_000
DOMAIN = b"tabsynth-release-1\n"
"""Prefix of every signed message, so that a signature is valid for a release only."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}){0,4}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class FileEntry:
    """Size and SHA-256 of one file."""

    size: int
    sha256: str


def is_safe_name(name: str) -> bool:
    """Return whether a file may have this name in a bundle: relative, inside it, no sign with a meaning to a shell."""
    return _NAME.fullmatch(name) is not None


def canonical_json(data: Any) -> bytes:
    """Return the JSON with sorted keys, one form for equal data."""
    return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_manifest(files: Mapping[str, FileEntry], *, name: str, version: str, date: str) -> bytes:
    """Return the manifest's bytes."""
    entries = {path: {"size": entry.size, "sha256": entry.sha256} for path, entry in files.items()}
    return canonical_json(
        {"format": FORMAT, "version": VERSION, "name": name, "release": version, "date": date, "files": entries}
    )


def read_manifest(data: bytes) -> tuple[dict[str, Any], dict[str, FileEntry]]:
    """Parse a manifest.

    Raises:
        InputError: Not a manifest, or of a later version.
    """
    try:
        found = parse_json(data)
    except ValueError as error:
        raise InputError(f"{MANIFEST} is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f'{MANIFEST} is not that of a release: "format" should be "{FORMAT}"')
    if type(found.get("version")) is not int or not 1 <= found["version"] <= VERSION:
        raise InputError(f"{MANIFEST} has version {found.get('version')!r}; this tabsynth reads up to {VERSION}")
    listed = found.get("files")
    if not isinstance(listed, dict) or not 0 < len(listed) <= MAX_FILES:
        raise InputError(f"{MANIFEST} does not list the bundle's files")
    entries = {}
    for name, entry in listed.items():
        size, digest = (entry.get("size"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not is_safe_name(name) or name in (MANIFEST, SIGNATURE):
            raise InputError(f"{MANIFEST} lists the name {name!r}, which a bundle cannot have")
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise InputError(f"{MANIFEST} has no size and SHA-256 for {name!r}")
        entries[name] = FileEntry(size, digest)
    return found, entries


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the signature file of a manifest."""
    digest = hashlib.sha256(manifest).hexdigest()
    signature = key.sign(_message(digest))
    return _signature_file(digest, fingerprint(key.public_key()), signature)


def check_signature(manifest: bytes, data: bytes, key: Ed25519PublicKey) -> str:
    """Return why a signature is invalid for a manifest, naming the changed file; empty if it is valid."""
    digest = hashlib.sha256(manifest).hexdigest()
    try:
        found = parse_json(data)
        stated, signer = str(found["manifest_sha256"]), str(found["key"])
        signature = base64.b64decode(found["signature"], validate=True)
    except (ValueError, TypeError, KeyError, binascii.Error):
        return f"{SIGNATURE}: was changed, or is not a signature file"
    if is_signed_by(key, signature, _message(digest)):
        # One form only, so that no byte of the file may change.
        if data != _signature_file(digest, fingerprint(key), signature):
            return f"{SIGNATURE}: was changed"
        return ""
    if _SHA256.fullmatch(stated) and is_signed_by(key, signature, _message(stated)):
        return f"{MANIFEST}: was changed after it was signed"
    if signer != fingerprint(key):
        return f"{SIGNATURE}: signed with another key, of fingerprint {signer[:64]!r}, or changed"
    return f"{SIGNATURE}: was changed, or the signature is not this key's"


def _message(digest: str) -> bytes:
    return DOMAIN + digest.encode()


def _signature_file(digest: str, signer: str, signature: bytes) -> bytes:
    return canonical_json(
        {
            "format": SIGNATURE_FORMAT,
            "version": VERSION,
            "algorithm": "ed25519",
            "key": signer,
            "manifest_sha256": digest,
            "signature": base64.b64encode(signature).decode(),
        }
    )
