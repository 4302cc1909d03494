"""The manifest of a sharded sample: its plan, and the rows and SHA-256 hash of every finished shard."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet

from tabsynth.common.atomic_files import write_text
from tabsynth.common.input_files import parse_json
from tabsynth.data.provenance import file_hash
from tabsynth.distributed.shards import Shard, ShardPlan, shard_file
from tabsynth.errors import SourceError

MANIFEST = "_manifest.json"
"""Name of the manifest; readers of Parquet folders skip names that begin with an underscore."""

VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """A sharded sample.

    Attributes:
        plan: The parameters that determine its content.
        shards: The finished shards in order.
    """

    plan: ShardPlan
    shards: tuple[Shard, ...] = ()

    @property
    def complete(self) -> bool:
        """True if every shard is finished."""
        return len(self.shards) == self.plan.n_shards

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are not finished."""
        done = {shard.number for shard in self.shards}
        return [number for number in range(self.plan.n_shards) if number not in done]

    def with_shard(self, shard: Shard) -> Manifest:
        """Return the manifest with one more shard."""
        return Manifest(self.plan, tuple(sorted((*self.shards, shard), key=lambda own: own.number)))

    def write(self, folder: Path) -> None:
        """Write the manifest into the folder of the shards."""
        data = {
            "format": "tabsynth-shards",
            "version": VERSION,
            "plan": self.plan.to_dict(),
            "complete": self.complete,
            "rows": sum(shard.rows for shard in self.shards),
            "shards": [asdict(shard) for shard in self.shards],
        }
        write_text(folder / MANIFEST, json.dumps(data, indent=2) + "\n")


def open_manifest(folder: Path, plan: ShardPlan) -> Manifest:
    """Return the state of a run: the complete shards in the folder. A missing or empty folder starts a new run.

    A file that its plan's run has put in place is whole, for files are renamed when they are finished; one whose hash
    differs from the recorded one was damaged later, and its shard counts as missing.

    Raises:
        SourceError: The folder belongs to another run, or has other files.
    """
    try:
        folder.mkdir(exist_ok=True)
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise SourceError(f"cannot write to the folder {str(folder)!r}: {error.strerror or error}") from error
    if MANIFEST not in names:
        if names:
            raise SourceError(
                f"the folder {str(folder)!r} is not empty and has no manifest of a sample; choose a new folder"
            )
        manifest = Manifest(plan)
        manifest.write(folder)
        return manifest
    recorded = _read_recorded(folder, plan)
    whole = [_whole_shard(folder, plan, number) for number in range(plan.n_shards) if shard_file(number) in names]
    kept = (shard for shard in whole if shard and recorded.get(shard.number, shard.sha256) == shard.sha256)
    return Manifest(plan, tuple(kept))


def _read_recorded(folder: Path, plan: ShardPlan) -> dict[int, str]:
    """Return the recorded hashes by shard, after a check that the manifest is of this plan."""
    path = folder / MANIFEST
    try:
        data: Any = parse_json(path.read_bytes())
        known, shards = data["plan"], data["shards"]
        recorded = {int(shard["number"]): str(shard["sha256"]) for shard in shards}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{str(path)!r} is not a manifest of a sample, or is damaged; choose a new folder") from error
    wanted = plan.to_dict()
    differing = [name for name in wanted if known.get(name) != wanted[name]]
    if differing:
        raise SourceError(
            f"the folder {str(folder)!r} contains a sample of another run ({', '.join(differing)} differ); "
            "name a new folder, or repeat the run with the same model, rows, seed, shard size and versions"
        )
    return recorded


def _whole_shard(folder: Path, plan: ShardPlan, number: int) -> Shard | None:
    """Return the shard in a file; None if it is not readable or has another number of rows."""
    path = folder / shard_file(number)
    try:
        rows = pyarrow.parquet.read_metadata(path).num_rows
    except (OSError, ValueError):
        return None
    return Shard(number, path.name, rows, file_hash(path)) if rows == plan.shard_size(number) else None
