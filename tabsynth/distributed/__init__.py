"""Sampling in deterministic shards, on one process, several processes or Ray."""

from tabsynth.distributed.manifest import Manifest
from tabsynth.distributed.sampling import sample_to

__all__ = ["Manifest", "sample_to"]
