"""The model file: a zip of ``config.json``, ``weights.safetensors`` and a manifest with their hashes; never pickle.

Checkpoints have the same form. ``load`` checks the version, names, sizes and hashes before it parses anything.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from tabsynth.common.atomic_files import replace_atomically
from tabsynth.errors import ModelFileError

VERSION = 1
FORMAT = "tabsynth-model"
MAX_MEMBER_BYTES = {"manifest.json": 1 << 20, "config.json": 1 << 28, "weights.safetensors": 1 << 34}
"""Members of a model file."""


@dataclass(frozen=True)
class ModelFile:
    """Contents of a model file.

    Attributes:
        kind: Which synthesizer (or checkpoint) wrote it.
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
    with replace_atomically(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # a fixed date: equal models are equal files


def load(path: str | Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelFileError: Not there, not a model file, damaged, edited, too large, or of a later version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sorted(archive.namelist()) != sorted(MAX_MEMBER_BYTES):
                raise ModelFileError(f"{str(path)!r} is not a tabsynth model file: it holds {archive.namelist()[:5]}")
            for info in archive.infolist():
                if info.file_size > MAX_MEMBER_BYTES[info.filename]:
                    raise ModelFileError(f"{str(path)!r}: {info.filename} is larger than a model's may be")
            members = {name: archive.read(name) for name in MAX_MEMBER_BYTES}
        manifest = json.loads(members["manifest.json"])
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ModelFileError(f"{str(path)!r} is not a tabsynth model file")
        if not isinstance(manifest.get("version"), int) or manifest["version"] > VERSION:
            raise ModelFileError(
                f"{str(path)!r} has version {manifest.get('version')!r}, later than {VERSION}: "
                "upgrade tabsynth to read it"
            )
        for name, expected in manifest["sha256"].items():
            if hashlib.sha256(members[name]).hexdigest() != expected:
                raise ModelFileError(f"{str(path)!r}: {name} was changed after it was written; fit and save again")
        config = json.loads(members["config.json"])
        return ModelFile(str(manifest["kind"]), config, dict(load_arrays(members["weights.safetensors"])))
    except OSError as error:
        raise ModelFileError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile,
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        NotImplementedError,
    ) as error:
        raise ModelFileError(f"{str(path)!r} is damaged or not a tabsynth model file: {error}") from error
