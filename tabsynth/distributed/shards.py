"""Shards of a sample: their rows, and sampling and writing of one shard.

A shard is a chunk of ``sample_chunks``: its rows depend on the model, the seed and its number alone, so any worker may
write it, in any order, as often as it takes.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tabsynth import __version__
from tabsynth.common.atomic_files import replace_atomically
from tabsynth.common.model_file import ModelFile, model_hash
from tabsynth.common.threads import limited_threads
from tabsynth.data.provenance import file_hash
from tabsynth.data.read_write import to_arrow
from tabsynth.errors import DataError
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.registry import synthesizer_class

N_PROBE_ROWS = 1_000
"""Number of rows that are sampled to determine the column types, which all shards share."""


@dataclass(frozen=True)
class ShardPlan:
    """Parameters that determine the content of the shards.

    Attributes:
        model: SHA-256 of the model's content.
        rows: Rows of all shards together.
        seed: Seed of the sample.
        shard_rows: Rows of a shard; the last may be shorter.
        versions: Versions of the packages that decide the bytes of a shard.
    """

    model: str
    rows: int
    seed: int
    shard_rows: int
    versions: dict[str, str]

    @classmethod
    def of(cls, model: ModelFile, rows: int, seed: int, shard_rows: int) -> ShardPlan:
        """Return the plan of a run with the versions installed here."""
        versions = {name: version(name) for name in ("numpy", "pandas", "pyarrow", "torch")}
        versions = {"tabsynth": __version__, "python": platform.python_version(), **versions}
        return cls(model_hash(model), rows, seed, shard_rows, versions)

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.rows // self.shard_rows)

    def shard_size(self, number: int) -> int:
        """Return the rows of one shard."""
        return min(self.shard_rows, self.rows - number * self.shard_rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Shard:
    """A written shard.

    Attributes:
        number: Its number, from 0.
        file: Name of its file in the output folder.
        rows: Its rows.
        sha256: Hash of the file.
    """

    number: int
    file: str
    rows: int
    sha256: str


@dataclass(frozen=True, eq=False)
class Job:
    """Specification of a sharded run for its workers.

    Attributes:
        model: Content of the model's file.
        plan: The plan of the run.
        schema: Serialised Arrow schema of every shard.
        folder: The output folder.
    """

    model: ModelFile
    plan: ShardPlan
    schema: bytes
    folder: str

    @classmethod
    def of(cls, model: ModelFile, plan: ShardPlan, folder: Path) -> Job:
        """Return the job of a plan, with the column types of a small sample."""
        with one_thread():
            return cls(model, plan, _common_schema(_rebuild(model), plan), str(folder.resolve()))

    def load_model(self) -> Synthesizer:
        """Return the model, rebuilt from its file: the same in every process."""
        return _rebuild(self.model)


def shard_file(number: int) -> str:
    """Name of a shard's file."""
    return f"part-{number:06d}.parquet"


def write_shard(model: Synthesizer, job: Job, number: int) -> Shard:
    """Draw a shard and write it atomically.

    Raises:
        DataError: A column's values have another type than in the other shards.
    """
    plan, target = job.plan, Path(job.folder) / shard_file(number)
    schema = pa.ipc.read_schema(pa.py_buffer(job.schema))
    table = to_arrow(model.sample_chunk(number, plan.rows, chunk=plan.shard_rows, seed=plan.seed))
    try:
        table = table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(f"shard {number} differs in its types from the others: {error}") from error
    with replace_atomically(target) as temporary:
        pyarrow.parquet.write_table(table, temporary)
        digest = file_hash(temporary)
    return Shard(number, target.name, table.num_rows, digest)


def _rebuild(model: ModelFile) -> Synthesizer:
    return synthesizer_class(model.kind).from_file(model)


def _common_schema(model: Synthesizer, plan: ShardPlan) -> bytes:
    """Return the Arrow schema of every shard, serialised, from a small sample.

    A column that is all missing there becomes text; codes of categories are 32 bits wide, however many a shard has.
    """
    found = to_arrow(model.sample(min(plan.rows, N_PROBE_ROWS), seed=plan.seed, progress=False)).schema

    def widened(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_dictionary(kind):
            return pa.dictionary(pa.int32(), kind.value_type, ordered=kind.ordered)
        return pa.string() if pa.types.is_null(kind) else kind

    fields = [pa.field(field.name, widened(field.type)) for field in found]
    return bytes(pa.schema(fields, metadata=found.metadata).serialize())


@contextmanager
def one_thread() -> Iterator[None]:
    """Run numeric code in one thread: the bits of a matrix product depend on the number of threads."""
    _torch_limit.enter()
    try:
        with limited_threads():
            yield
    finally:
        _torch_limit.leave()


class _TorchLimit:
    """One thread for torch in each thread that asks for it; torch sets this thread's number and that of new threads."""

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, 1

    def enter(self) -> None:
        import torch

        with self._lock:
            if not self._users:  # else a new thread would take the limit for the number that it had before
                self._before = torch.get_num_threads()
            self._users += 1
            torch.set_num_threads(1)

    def leave(self) -> None:
        import torch

        with self._lock:
            self._users -= 1
            torch.set_num_threads(self._before)


_torch_limit = _TorchLimit()
