"""Run a YAML pipeline: read, split, fit, sample, evaluate."""

from __future__ import annotations

from tabsynth.pipeline.run import Result, run

__all__ = ["Result", "run"]
