"""Tables larger than memory or one process: fits to files, and sampling in deterministic shards."""

from tabsynth.distributed.fitting import fit_sampled
from tabsynth.distributed.manifest import Manifest
from tabsynth.distributed.out_of_core.fit import fit_out_of_core
from tabsynth.distributed.sampling import sample_to

__all__ = ["Manifest", "fit_out_of_core", "fit_sampled", "sample_to"]
