"""Audits: attacks on a synthetic table, and tests of the epsilon of a private fit."""

from __future__ import annotations

from tabsynth.privacy.audit.audit import audit
from tabsynth.privacy.audit.canary import canaries

__all__ = ["audit", "canaries"]
