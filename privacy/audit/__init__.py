"""Audits: what a synthetic table discloses, and whether a private fit keeps its epsilon."""

from __future__ import annotations

from tabsynth.privacy.audit.audit import audit
from tabsynth.privacy.audit.canary import canaries

__all__ = ["audit", "canaries"]
