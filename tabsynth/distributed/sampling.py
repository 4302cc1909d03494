"""Sample into a folder of Parquet shards, in one process, in several processes or on a Ray cluster."""

from __future__ import annotations

from pathlib import Path

from tabsynth.common.progress import progress_bar
from tabsynth.common.validation import check_positive_integers, validate_seed
from tabsynth.distributed.executors import EXECUTORS
from tabsynth.distributed.manifest import Manifest, open_manifest
from tabsynth.distributed.shards import Job, ShardPlan
from tabsynth.errors import InputError
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.options import check_keys_in_chunks
from tabsynth.synthesizers.registry import load

DEFAULT_SHARD_ROWS = 250_000
"""Rows of a shard: its frame and its tokens are in memory at once."""


def sample_to(
    folder: str | Path,
    model: Synthesizer | str | Path,
    n: int,
    *,
    seed: int,
    shard_rows: int = DEFAULT_SHARD_ROWS,
    executor: str = "serial",
    workers: int = 1,
    progress: bool | None = None,
) -> Manifest:
    """Sample into a folder of Parquet files, ``part-000000.parquet`` and so on.

    Shard i is sampled with a seed derived from ``(seed, i)``, so the files are the same bytes for every executor and
    any number of workers. A run that was interrupted goes on when it is repeated: only the shards that are missing are
    drawn. ``_manifest.json`` states rows and SHA-256 of each file.

    Args:
        folder: The output folder, created if it does not exist.
        model: A fitted synthesizer, or its file.
        n: Number of rows.
        seed: Seed of the sample.
        shard_rows: Rows of a file; the last may have fewer. They are in memory at once.
        executor: ``serial``, ``processes`` or ``ray`` (the extra ``ray``; the cluster is that of ``RAY_ADDRESS``, else
            a local one).
        workers: Number of processes.
        progress: Whether to show a progress bar; by default one on a terminal, for work of over two seconds.

    Raises:
        InputError: An argument is invalid, or a declared key would repeat between shards.
        SourceError: The folder holds something else, or cannot be written.
    """
    check_positive_integers(n=n, shard_rows=shard_rows, workers=workers)
    if executor not in EXECUTORS:
        raise InputError(f"there is no executor {executor!r}; choose one of {', '.join(EXECUTORS)}")
    fitted = model if isinstance(model, Synthesizer) else load(model)
    file = fitted.to_file()
    check_keys_in_chunks(fitted.schema_, n, shard_rows)
    plan, path = ShardPlan.of(file, n, validate_seed(seed), shard_rows), Path(folder)
    manifest = open_manifest(path, plan)
    if not manifest.complete:
        job = Job.of(file, plan, path)
        done = sum(shard.rows for shard in manifest.shards)
        with progress_bar(n, "sampling", "row", progress, done) as bar:
            for shard in EXECUTORS[executor](job, manifest.missing, workers):
                manifest = manifest.with_shard(shard)
                manifest.write(path)
                bar.update(shard.rows)
    manifest.write(path)
    return manifest
