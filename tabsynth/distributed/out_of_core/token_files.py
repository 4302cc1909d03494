"""Write the tokens of all rows to files in random order, and count them."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Floats
from tabsynth.distributed.out_of_core.confirmation import Confirmation
from tabsynth.distributed.out_of_core.source import Source
from tabsynth.errors import SourceError
from tabsynth.synthesizers.warm_start.codec import beyond
from tabsynth.training.batches import TokenShards
from tabsynth.training.validation_split import n_validation_rows

MAX_FILES = 256
"""Maximum open files; large tables have larger files."""


@dataclass(frozen=True, eq=False)
class Tokenised:
    """All rows as tokens.

    Attributes:
        shards: The files, with the rows that validate.
        slot_counts: Rows of each token of each slot.
        column_counts: Rows of each token of each column.
        tails: The numbers below and above the bins of each column of numbers.
    """

    shards: TokenShards
    slot_counts: list[npt.NDArray[np.int64]]
    column_counts: dict[str, npt.NDArray[np.int64]]
    tails: dict[str, dict[str, Floats]]


def write_tokens(
    source: Source, codec: Codec, confirmation: Confirmation, folder: Path, file_rows: int, seed: int
) -> Tokenised:
    """Write the tokens of all rows to files of about ``file_rows`` rows; each row goes to one of them at random.

    Args:
        source: The rows.
        codec: Their vocabulary.
        confirmation: The relations of the sample, which all rows check.
        folder: An empty folder.
        file_rows: Rows of a file, which are in memory at once.
        seed: Seed of the assignment and of the rows that validate.

    Raises:
        SourceError: The folder has too little room.
        DataError: A row does not fit the schema.
    """
    rng = np.random.default_rng([seed, 1])
    width = len(codec.slots)
    kind: np.dtype[np.unsignedinteger] = np.dtype(np.uint8 if max(codec.sizes) <= 256 else np.uint16)
    _check_room(folder, source.rows * width * kind.itemsize)
    n_held = n_validation_rows(source.rows)
    held = np.sort(rng.choice(source.rows, n_held, replace=False))
    n_files = min(max(-(-(source.rows - n_held) // file_rows), 1), MAX_FILES)
    paths = [folder / f"tokens-{number:03d}" for number in range(n_files)]
    sizes = np.zeros(n_files, np.int64)
    slot_counts = [np.zeros(size, np.int64) for size in codec.sizes]
    column_counts = {name: np.zeros(coder.size, np.int64) for name, coder in codec.coders.items()}
    tails: dict[str, dict[str, list[Floats]]] = {name: {"below": [], "above": []} for name in codec.numeric_coders}
    validation: list[npt.NDArray[np.int32]] = []
    start = 0
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for table in source.tables():
            tokens = codec.encode(table.frame)
            confirmation.check(codec, table.frame)
            for slot, counts in enumerate(slot_counts):
                counts += np.bincount(tokens[:, slot], minlength=len(counts))
            for name, counts in column_counts.items():
                counts += np.bincount(codec.column_tokens(tokens, name), minlength=len(counts))
            for name, coder in codec.numeric_coders.items():
                for end, numbers in beyond(coder, codec.numeric_values(name, table.frame[name])).items():
                    tails[name][end].append(numbers)
            kept = np.ones(len(tokens), bool)
            kept[held[np.searchsorted(held, start) : np.searchsorted(held, start + len(tokens))] - start] = False
            validation.append(tokens[~kept])
            own = tokens[kept].astype(kind)
            place = rng.integers(n_files, size=len(own))
            for number in np.unique(place).tolist():
                rows = own[place == number] if n_files > 1 else own
                files[number].write(rows.tobytes())
                sizes[number] += len(rows)
            start += len(tokens)
    full = [number for number in range(n_files) if sizes[number]]
    shards = TokenShards(
        tuple(paths[number] for number in full),
        tuple(sizes[full].tolist()),
        rng.permutation(np.concatenate(validation)),
        width,
        kind,
    )
    joined = {name: {end: np.concatenate(parts) for end, parts in ends.items()} for name, ends in tails.items()}
    return Tokenised(shards, slot_counts, column_counts, joined)


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise SourceError(
            f"the tokens of all rows need {wanted / 1e9:.1f} GB, but the temporary folder {str(folder.parent)!r} has "
            f"{free / 1e9:.1f} GB free; set the environment variable TMPDIR to a folder with more room"
        )
