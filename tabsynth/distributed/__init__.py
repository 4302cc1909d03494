"""Tables larger than memory or one process: fits to a sample of a file's rows, and sampling in deterministic shards."""

from tabsynth.distributed.fitting import fit_sampled
from tabsynth.distributed.manifest import Manifest
from tabsynth.distributed.sampling import sample_to

__all__ = ["Manifest", "fit_sampled", "sample_to"]
