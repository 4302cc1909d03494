"""Step 5: sign a release of the new table, and verify it as recipients do."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabsynth.errors import InputError
from tabsynth.release import GateError, build, create_keys, verify
from tabsynth.web.project import LEDGER, RELEASE, Project, read_state, write_state
from tabsynth.web.steps.protection import Protection
from tabsynth.web.steps.training import MODEL, SYNTHETIC

PRIVATE_KEY, PUBLIC_KEY = "release-key.pem", "release-key.pub.pem"
"""The publisher's keys, shared by all projects of a folder."""

VERIFICATION = "release.json"
WAIVER_DAYS = 365

SIGNS = {"ok": "✓", "failed": "!", "note": "·", "cannot": "?"}


class MissedGatesError(InputError):
    """A release was refused; each gate that it misses can be waived by name.

    Attributes:
        missed: The gates, each with the reason.
    """

    def __init__(self, missed: Sequence[tuple[str, str]]) -> None:
        super().__init__("the release misses a gate; read why, then waive it under your name or change the table")
        self.missed = tuple(missed)


def sign_release(root: Path, project: Project, publisher: str, reason: str, waived: Sequence[str]) -> None:
    """Build, sign and verify a release.

    Args:
        root: The folder of all projects, which has the keys.
        project: The project.
        publisher: Who is responsible for it.
        reason: Why missed gates are waived.
        waived: The gates that are waived.

    Raises:
        MissedGatesError: A gate is missed and not waived; an earlier release is still there.
        InputError: The publisher or a reason is missing.
    """
    if not publisher:
        raise InputError("the name of the person who is responsible for the release is missing; enter it")
    if waived and not reason:
        raise InputError("give a reason for the waiver; it is signed with the release")
    private, public = root / PRIVATE_KEY, root / PUBLIC_KEY
    if not private.exists():
        create_keys(private, public)
    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=WAIVER_DAYS)
    waivers = [{"gate": gate, "who": publisher, "why": reason, "until": until} for gate in waived]
    title = str(project.state.get("title", project.slug))
    try:
        release = build(
            project.path(RELEASE),
            project.output(SYNTHETIC),
            about={"name": project.slug, "title": title, "publisher": publisher},
            key=private,
            model=project.output(MODEL),
            evaluation=project.output("report.json"),
            audit=project.output("audit.json"),
            ledger=project.path(LEDGER) if Protection.of(project).private else None,
            waivers=waivers,
        )
    except GateError as error:
        missed = [line.partition(": ") for line in error.unmet]
        # The fault of a score begins with its name, which the gate has already.
        named = [(gate, fault.removeprefix(f"{gate.rpartition('.')[2]}: ")) for gate, _, fault in missed]
        raise MissedGatesError(named) from error
    project.update(publisher=publisher)
    write_state(project.path(VERIFICATION), {**_verified(root, project), "key": release.key})


def verify_release(root: Path, project: Project) -> None:
    """Verify the release once more."""
    kept = read_state(project.path(VERIFICATION))
    write_state(project.path(VERIFICATION), {**kept, **_verified(root, project)})


def _verified(root: Path, project: Project) -> dict[str, Any]:
    result = verify(project.path(RELEASE), root / PUBLIC_KEY)
    checks = [{"sign": SIGNS[check.status], "status": check.status, "text": check.text} for check in result.checks]
    return {"ok": result.ok, "checks": checks, "checked": datetime.datetime.now(datetime.UTC).isoformat("T", "minutes")}


def release_facts(project: Project) -> dict[str, Any]:
    """Return the release's verification; empty without a release."""
    return read_state(project.path(VERIFICATION)) if project.has(RELEASE) else {}
