"""Model files are read completely or refused, and never executed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.errors import ModelFileError, SourceError

MODEL = ModelFile(
    "masked", {"a": [1, "é", None]}, {"w": np.arange(6.0).reshape(2, 3), "flags": np.array([True, False])}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(tmp_path / "m.tabsynth", MODEL)
    return tmp_path / "m.tabsynth"


def rewrite(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in (members | {name: data}).items():
            archive.writestr(member, content)


def test_what_is_saved_is_read(path: Path) -> None:
    back = load(path)
    assert (back.kind, back.config) == (MODEL.kind, MODEL.config)
    assert all((back.arrays[name] == MODEL.arrays[name]).all() for name in MODEL.arrays)
    assert back.arrays["flags"].dtype == bool


def test_equal_models_are_equal_files(path: Path, tmp_path: Path) -> None:
    save(tmp_path / "again.tabsynth", MODEL)
    assert (tmp_path / "again.tabsynth").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(path: Path, part: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(ModelFileError, match=r"m\.tabsynth"):
        load(path)


def test_every_flipped_byte_of_the_content_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        end = max(info.header_offset for info in archive.infolist())
    for at in range(40, end, max(end // 60, 1)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            back = load(path)
        except ModelFileError:
            continue
        assert back.config == MODEL.config  # a byte that nothing reads, such as a date
        assert all((back.arrays[name] == MODEL.arrays[name]).all() for name in MODEL.arrays)


def test_an_edited_config_is_refused(path: Path) -> None:
    rewrite(path, "config.json", b'{"a": [2]}')
    with pytest.raises(ModelFileError, match=r"config\.json was changed"):
        load(path)


def test_a_later_version_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    rewrite(path, "manifest.json", json.dumps(manifest | {"version": 99}).encode())
    with pytest.raises(ModelFileError, match="upgrade tabsynth"):
        load(path)


def test_foreign_members_and_files_are_refused(path: Path, tmp_path: Path) -> None:
    rewrite(path, "evil.pkl", b"")
    with pytest.raises(ModelFileError, match="not a tabsynth model file"):
        load(path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ModelFileError, match="damaged or not a tabsynth"):
        load(tmp_path / "text")
    with pytest.raises(SourceError, match="there is no such file"):
        load(tmp_path / "nowhere")


def test_a_failed_save_leaves_the_old_file(path: Path) -> None:
    with pytest.raises(TypeError):
        save(path, ModelFile("masked", {"a": object()}, {}))
    assert load(path).config == MODEL.config
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_no_folder_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        save(tmp_path / "no" / "m.tabsynth", MODEL)
