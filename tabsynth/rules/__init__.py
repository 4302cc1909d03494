"""Test data from a schema and rules alone."""

from __future__ import annotations

from tabsynth.rules.generate import generate

__all__ = ["generate"]
