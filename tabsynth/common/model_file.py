"""The model file: a zip of ``config.json``, ``weights.safetensors`` and a manifest with their hashes; never pickle.

Checkpoints have the same form. ``load`` checks the version, names, sizes and hashes before it parses anything.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from tabsynth.common.atomic_files import replace_atomically
from tabsynth.common.input_files import check_regular_file, parse_json
from tabsynth.errors import ModelFileError, SourceError

VERSION = 1
FORMAT = "tabsynth-model"
MAX_MEMBER_BYTES = {"manifest.json": 1 << 20, "config.json": 1 << 28, "weights.safetensors": 1 << 34}
"""Members of a model file."""


@dataclass(frozen=True)
class ModelFile:
    """Contents of a model file.

    Attributes:
        kind: Kind of the synthesizer (or checkpoint) that wrote it.
        config: Plain data.
        arrays: Named arrays.
    """

    kind: str
    config: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]


def save(path: str | Path, model: ModelFile) -> None:
    """Write a model file atomically.

    Raises:
        SourceError: The folder does not exist or cannot be written.
    """
    members = {
        "config.json": json.dumps(model.config, ensure_ascii=False).encode(),
        "weights.safetensors": save_arrays({name: np.ascontiguousarray(a) for name, a in model.arrays.items()}),
    }
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "kind": model.kind,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    members = {"manifest.json": json.dumps(manifest, indent=2).encode(), **members}
    with (
        replace_atomically(path, private=True) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # a fixed date: equal models are equal files


def model_hash(model: ModelFile) -> str:
    """Return the SHA-256 of the content of a model file, the same before it is written and after it is read."""
    digest = hashlib.sha256(json.dumps([model.kind, model.config], sort_keys=True, ensure_ascii=False).encode())
    for name in sorted(model.arrays):
        array = np.ascontiguousarray(model.arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load(path: str | Path) -> ModelFile:
    """Read a model file.

    Raises:
        SourceError: There is no such file.
        ModelFileError: Not a model file, damaged, edited, too large, or of a later version.
    """
    check_regular_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if sorted(archive.namelist()) != sorted(MAX_MEMBER_BYTES):
                raise ModelFileError(f"{str(path)!r} is not a tabsynth model file: it holds {archive.namelist()[:5]}")
            for info in archive.infolist():
                if info.file_size > MAX_MEMBER_BYTES[info.filename]:
                    raise ModelFileError(f"{str(path)!r}: {info.filename} is larger than a model's may be")
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                    raise ModelFileError(f"{str(path)!r}: {info.filename} is compressed or encrypted, unlike a model's")
            members = {name: archive.read(name) for name in MAX_MEMBER_BYTES}
        manifest = parse_json(members["manifest.json"])
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ModelFileError(f"{str(path)!r} is not a tabsynth model file")
        version, hashes = manifest.get("version"), manifest.get("sha256")
        if type(version) is not int or version < 1:
            raise ModelFileError(f"{str(path)!r}: version {version!r} in the manifest is not a positive integer")
        if version > VERSION:
            raise ModelFileError(
                f"{str(path)!r} has version {version}, later than {VERSION}: upgrade tabsynth to read it"
            )
        if not isinstance(hashes, dict) or set(hashes) != set(MAX_MEMBER_BYTES) - {"manifest.json"}:
            raise ModelFileError(f"{str(path)!r}: the manifest does not have the hashes of all members")
        for name, expected in hashes.items():
            if hashlib.sha256(members[name]).hexdigest() != expected:
                raise ModelFileError(f"{str(path)!r}: {name} was changed after it was written; fit and save again")
        config = parse_json(members["config.json"])
        return ModelFile(str(manifest["kind"]), config, dict(load_arrays(members["weights.safetensors"])))
    except SourceError as error:
        raise ModelFileError(str(error)) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        SafetensorError,
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise ModelFileError(f"{str(path)!r} is damaged or not a tabsynth model file: {error}") from error
