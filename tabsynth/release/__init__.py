"""Release bundles: synthetic data with its evidence, a manifest and a signature, and their verification."""

from __future__ import annotations

from tabsynth.release.about import About
from tabsynth.release.build import Release, build
from tabsynth.release.gates import GateError, GateResult
from tabsynth.release.keys import create_keys
from tabsynth.release.verify import Check, Verification, verify

__all__ = ["About", "Check", "GateError", "GateResult", "Release", "Verification", "build", "create_keys", "verify"]
