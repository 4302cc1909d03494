"""Verify a release offline with the publisher's public key; list the checks and the claims that cannot be checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tabsynth.errors import InputError, SourceError, escape_controls
from tabsynth.release.encryption import decrypted
from tabsynth.release.keys import fingerprint, read_public_key
from tabsynth.release.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    FileEntry,
    check_signature,
    read_manifest,
)
from tabsynth.release.reader import BundleFiles, open_bundle, read_small
from tabsynth.release.recheck import recheck_documents

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Status = Literal["ok", "failed", "note", "cannot"]

CANNOT_CHECK = (
    "that the key belongs to the publisher: compare its fingerprint with one obtained another way",
    "that the scores and the audit are right: that needs the real table; the signature says who vouches for them",
    "that the model spent no more privacy than its ledger says, and that its noise was random",
    "whether other releases were made from the same real table: their privacy losses add up",
    "that the release is private: a signature proves origin and integrity, not privacy",
)


@dataclass(frozen=True)
class Check:
    """One line of a verification.

    Attributes:
        status: ``ok``, ``failed``, ``note`` (to be read by a person) or ``cannot`` (cannot be checked).
        text: The check and its result.
        file: The file that it is about, if one.
    """

    status: Status
    text: str
    file: str = ""


@dataclass(frozen=True)
class Verification:
    """Result of a verification.

    Attributes:
        checks: The checks in order, and what cannot be checked.
        name: The release's name, version and date; empty unless the manifest is authentic.
    """

    checks: list[Check]
    name: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """Descriptions of the failed checks."""
        return [check.text for check in self.checks if check.status == "failed"]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data."""
        checks = [{"status": check.status, "file": check.file, "text": check.text} for check in self.checks]
        return {"ok": self.ok, **self.name, "checks": checks}

    def __str__(self) -> str:
        signs = {"ok": "ok      ", "failed": "FAILED  ", "note": "note    ", "cannot": "not checked: "}
        lines = [signs[check.status] + check.text for check in self.checks]
        lines += ["", "The release is verified." if self.ok else "The release is NOT verified."]
        return escape_controls("\n".join(lines))


def verify(bundle: str | Path, key: str | Path, *, identity: str | Path | None = None) -> Verification:
    """Verify a release: origin, completeness, integrity and consistency. Nothing is extracted or expanded.

    Args:
        bundle: The folder, zip or encrypted zip (``.age``).
        key: The publisher's public key, a PEM file obtained another way than the bundle.
        identity: File of the age identity that decrypts an encrypted bundle.

    Raises:
        SourceError: The bundle or a key cannot be read.
        InputError: A key is not of its kind.
        MissingDependencyError: The extra ``release`` is not installed.
    """
    public = read_public_key(key)
    with decrypted(bundle, identity) as path:
        try:
            with open_bundle(path) as files:
                return _verify(files, public)
        except SourceError:
            raise
        except InputError as error:
            text = f"{Path(bundle).name}: is not a release in this form: it {error}"
            return Verification([Check("failed", text, Path(bundle).name), *_limits()])


def _verify(files: BundleFiles, key: Ed25519PublicKey) -> Verification:
    checks: list[Check] = [Check("failed", fault, fault.partition(": ")[0]) for fault in files.faults]
    if not checks:
        checks.append(Check("ok", "only regular files with safe names, no links"))
    missing = [name for name in (MANIFEST, SIGNATURE) if name not in files.names]
    if missing:
        checks += [Check("failed", f"{name}: is missing", name) for name in missing]
        return Verification([*checks, Check("note", "no other file was checked"), *_limits()])
    manifest = read_small(files, MANIFEST, MAX_MANIFEST_BYTES)
    fault = check_signature(manifest, read_small(files, SIGNATURE, MAX_MANIFEST_BYTES), key)
    if fault:
        checks.append(Check("failed", fault, fault.partition(": ")[0]))
        return Verification(
            [*checks, Check("note", "no other file was checked: the list is not authentic"), *_limits()]
        )
    checks.append(Check("ok", f"{SIGNATURE}: an ed25519 signature of the key with the fingerprint {fingerprint(key)}"))
    facts, entries = read_manifest(manifest)
    checks += _check_files(files, entries)
    name = {"name": str(facts.get("name")), "release": str(facts.get("release")), "date": str(facts.get("date"))}
    if all(check.status == "ok" for check in checks):
        checks += [Check(*line) for line in recheck_documents(files)]
    return Verification([*checks, *_limits()], name)


def _check_files(files: BundleFiles, entries: dict[str, FileEntry]) -> Iterator[Check]:
    known = {*entries, MANIFEST, SIGNATURE}
    for name in entries:
        if name not in files.names:
            yield Check("failed", f"{name}: is missing", name)
            continue
        digest, size = hashlib.sha256(), 0
        if files.size(name) == entries[name].size:
            for block in files.blocks(name):
                digest.update(block)
                size += len(block)
        if (size, digest.hexdigest()) != (entries[name].size, entries[name].sha256):
            yield Check("failed", f"{name}: was changed", name)
        else:
            yield Check("ok", f"{name}: {size:,} bytes, SHA-256 as signed", name)
    for name in files.names:
        if name not in known:
            yield Check("failed", f"{name}: was added, the manifest does not list it", name)


def _limits() -> list[Check]:
    return [Check("cannot", text) for text in CANNOT_CHECK]
