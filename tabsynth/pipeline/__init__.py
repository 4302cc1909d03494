"""Run a YAML pipeline: read or mix, split, fit, sample, evaluate, audit, release."""

from __future__ import annotations

from tabsynth.pipeline.run import Result, plan, run

__all__ = ["Result", "plan", "run"]
