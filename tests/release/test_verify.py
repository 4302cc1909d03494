"""Verification: every changed byte is detected and its file named; hostile bundles are refused."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tabsynth.errors import InputError, SourceError
from tabsynth.release import Release, build, create_keys, verify
from tabsynth.release.archive import read_members

from .conftest import ABOUT, WAIVED, Evidence
from .test_build import FILES

EVERY = sorted(FILES | {"manifest.json", "manifest.sig"})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, evidence: Evidence, keys: Path) -> Path:
    """One release as a folder and as a zip."""
    path = tmp_path_factory.mktemp("bundle")
    for name in ("release", "release.zip"):
        build(path / name, evidence.rows, about=ABOUT, key=keys / "private.pem", waivers=WAIVED, **evidence.arguments)
    return path


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(bundle / "release", tmp_path / "release")
    return tmp_path / "release"


def named(bundle: Path, key: Path) -> list[str]:
    """Files of the checks that failed."""
    return [check.file for check in verify(bundle, key).checks if check.status == "failed"]


def test_an_intact_release_verifies(bundle: Path, keys: Path) -> None:
    for name in ("release", "release.zip"):
        found = verify(bundle / name, keys / "public.pem")
        assert found.ok, found.failures
        assert found.to_dict()["name"] == "patients"
        listed = {check.file for check in found.checks if "SHA-256 as signed" in check.text}
        assert listed == FILES
        assert sum(check.status == "cannot" for check in found.checks) == 5
        assert str(found).endswith("The release is verified.")


@pytest.mark.parametrize("name", EVERY)
def test_a_changed_byte_is_found_and_its_file_named(name: str, copy: Path, keys: Path) -> None:
    path = copy / name
    data = bytearray(path.read_bytes())
    for at in (0, len(data) // 2, len(data) - 1):
        path.write_bytes(bytes(data[:at]) + bytes([data[at] ^ 1]) + bytes(data[at + 1 :]))
        assert named(copy, keys / "public.pem") == [name]
    path.write_bytes(bytes(data) + b"\n")
    assert named(copy, keys / "public.pem") == [name]


def test_every_byte_of_the_signature_counts(copy: Path, keys: Path) -> None:
    path = copy / "manifest.sig"
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        assert named(copy, keys / "public.pem") == ["manifest.sig"], at


@pytest.mark.parametrize("name", EVERY)
def test_a_missing_file_is_named(name: str, copy: Path, keys: Path) -> None:
    (copy / name).unlink()
    assert named(copy, keys / "public.pem") == [name]


@pytest.mark.parametrize("name", ["more.txt", "data/more.parquet", ".hidden", "with space.txt", "a\nb", "x/y/z"])
def test_an_added_file_is_named(name: str, copy: Path, keys: Path) -> None:
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).write_text("more")
    (found,) = named(copy, keys / "public.pem")
    assert found in (name, repr(name))


def test_links_are_refused(copy: Path, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_bytes((copy / "data-card.md").read_bytes())
    (copy / "data-card.md").unlink()
    (copy / "data-card.md").symlink_to(tmp_path / "card.md")
    assert named(copy, keys / "public.pem") == ["data-card.md", "data-card.md"]  # a link, and thereby missing
    (copy / "data-card.md").unlink()
    os.mkfifo(copy / "data-card.md")
    assert "data-card.md" in named(copy, keys / "public.pem")


def test_another_key_is_not_accepted(bundle: Path, keys: Path) -> None:
    found = verify(bundle / "release", keys / "other.pub")
    assert not found.ok
    assert "signed with another key" in found.failures[0]


def test_a_private_key_is_no_public_key(bundle: Path, keys: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a public key") as caught:
        verify(bundle / "release", keys / "private.pem")
    assert "BEGIN" not in str(caught.value)


class TestZip:
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def test_no_byte_can_change(self, share: float, bit: int, bundle: Path, keys: Path, tmp_path: Path) -> None:
        data = bytearray((bundle / "release.zip").read_bytes())
        data[int(share * len(data))] ^= 1 << bit
        (tmp_path / "r.zip").write_bytes(data)
        (name,) = named(tmp_path / "r.zip", keys / "public.pem")
        assert name in {*EVERY, "r.zip"}

    def test_every_byte_outside_the_files_counts(self, bundle: Path, keys: Path, tmp_path: Path) -> None:
        data = (bundle / "release.zip").read_bytes()
        with (bundle / "release.zip").open("rb") as file:
            members = sorted(read_members(file).values(), key=lambda member: member.offset)
        last = members[-1].content_offset + members[-1].size
        outside = [at for member in members for at in range(member.offset, member.content_offset)]
        for at in [*outside[:: max(len(outside) // 150, 1)], *range(last, len(data), 7)]:
            (tmp_path / "r.zip").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert named(tmp_path / "r.zip", keys / "public.pem") == ["r.zip"], at

    def test_other_programs_can_read_it(self, bundle: Path) -> None:
        with zipfile.ZipFile(bundle / "release.zip") as archive:
            assert archive.testzip() is None
            assert archive.namelist() == EVERY
            assert archive.read("data-card.md") == (bundle / "release/data-card.md").read_bytes()

    def hostile(self) -> Iterator[tuple[str, Callable[[zipfile.ZipFile], None]]]:
        yield "bomb", lambda z: z.writestr("data/x.csv", b"0" * 50_000_000, zipfile.ZIP_DEFLATED)
        yield "traversal", lambda z: z.writestr("../../etc/passwd", b"root")
        yield "absolute", lambda z: z.writestr("/etc/passwd", b"root")
        yield "windows", lambda z: z.writestr("C:\\windows\\x", b"root")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        yield "link", lambda z: z.writestr(link, "/etc/passwd")

    def test_hostile_archives_are_refused(self, keys: Path, tmp_path: Path) -> None:
        for name, spoil in self.hostile():
            path = tmp_path / f"{name}.zip"
            with zipfile.ZipFile(path, "w") as archive:
                spoil(archive)
            found = verify(path, keys / "public.pem")
            assert [check.file for check in found.checks if check.status == "failed"] == [f"{name}.zip"]
        assert sorted(path.suffix for path in tmp_path.iterdir()) == [".zip"] * 5

    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(data=st.binary(max_size=200), count=st.integers(0, 65535), size=st.integers(0, 2**32 - 1))
    def test_garbage_is_refused(self, data: bytes, count: int, size: int, keys: Path, tmp_path: Path) -> None:
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(data), size, 0)
        for text in (data, data + end):
            (tmp_path / "r.zip").write_bytes(text)
            assert named(tmp_path / "r.zip", keys / "public.pem") == ["r.zip"]


def test_a_huge_manifest_is_refused(copy: Path, keys: Path) -> None:
    with (copy / "manifest.json").open("r+b") as file:
        file.truncate(1 << 34)  # a sparse file
    assert not verify(copy, keys / "public.pem").ok


def test_what_a_signer_must_not_claim(released: Callable[[Path], Release], keys: Path, tmp_path: Path) -> None:
    """Even a bundle that is signed is held against its own statements."""
    import hashlib

    from tabsynth.release.keys import read_private_key
    from tabsynth.release.manifest import FileEntry, canonical_json, read_manifest, sign, write_manifest

    released(tmp_path / "r")
    privacy = {"guarantee": True, "mechanisms": [], "delta": 1e-6, "epsilon": 0.5, "statement": "", "seed": 7}
    (tmp_path / "r/privacy.json").write_bytes(canonical_json(privacy))
    facts, entries = read_manifest((tmp_path / "r/manifest.json").read_bytes())
    data = (tmp_path / "r/privacy.json").read_bytes()
    entries["privacy.json"] = FileEntry(len(data), hashlib.sha256(data).hexdigest())
    manifest = write_manifest(entries, name=facts["name"], version=facts["release"], date=facts["date"])
    (tmp_path / "r/manifest.json").write_bytes(manifest)
    (tmp_path / "r/manifest.sig").write_bytes(sign(manifest, read_private_key(keys / "private.pem")))
    failures = verify(tmp_path / "r", keys / "public.pem").failures
    assert failures[0] == "privacy.json: privacy.json: the key 'seed' may not enter a release"
    assert "epsilon is 0.5, but its 0 mechanisms compose to 0" in failures[1]


class TestEncryption:
    def test_recipients_verify_and_others_cannot_read(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        import pyrage

        mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
        (tmp_path / "mine.txt").write_text(f"# created: today\n{mine}\n")
        (tmp_path / "other.txt").write_text(f"{other}\n")
        path = tmp_path / "r.zip.age"
        to = [str(mine.to_public())]
        key = keys / "private.pem"
        build(path, evidence.rows, about=ABOUT, key=key, waivers=WAIVED, recipients=to, **evidence.arguments)
        assert path.read_bytes().startswith(b"age-encryption.org/v1")
        assert verify(path, keys / "public.pem", identity=tmp_path / "mine.txt").ok
        with pytest.raises(InputError, match="the identity is not a recipient's"):
            verify(path, keys / "public.pem", identity=tmp_path / "other.txt")
        with pytest.raises(InputError, match="is encrypted; give the identity"):
            verify(path, keys / "public.pem")
        (tmp_path / "bad.txt").write_text("AGE-SECRET-KEY-1TOPSECRET\n")
        with pytest.raises(InputError, match="contains no identity") as caught:
            verify(path, keys / "public.pem", identity=tmp_path / "bad.txt")
        assert "TOPSECRET" not in str(caught.value)

    def test_a_name_that_hides_what_it_is(self, evidence: Evidence, keys: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="the recipient 'age1no' is not a public key"):
            build(tmp_path / "r.zip.age", evidence.rows, about=ABOUT, key=keys / "private.pem", recipients=["age1no"])
        with pytest.raises(InputError, match=r"its name ends in \.zip\.age"):
            build(tmp_path / "r.zip.age", evidence.rows, about=ABOUT, key=keys / "private.pem")


class TestKeys:
    def test_private_key_is_for_its_owner_only(self, tmp_path: Path) -> None:
        create_keys(tmp_path / "a.pem", tmp_path / "a.pub", password="secret")
        assert (tmp_path / "a.pem").stat().st_mode & 0o777 == 0o600
        assert b"ENCRYPTED" in (tmp_path / "a.pem").read_bytes()

    def test_no_key_is_replaced(self, tmp_path: Path) -> None:
        create_keys(tmp_path / "a.pem", tmp_path / "a.pub")
        before = (tmp_path / "a.pem").read_bytes()
        with pytest.raises(SourceError, match="a key is never replaced"):
            create_keys(tmp_path / "a.pem", tmp_path / "b.pub")
        assert (tmp_path / "a.pem").read_bytes() == before

    def test_a_wrong_password(self, evidence: Evidence, tmp_path: Path) -> None:
        create_keys(tmp_path / "a.pem", tmp_path / "a.pub", password="secret")
        for password in (None, "wrong"):
            with pytest.raises(InputError, match="the password is missing or wrong"):
                build(
                    tmp_path / "r",
                    evidence.rows,
                    about=ABOUT,
                    key=tmp_path / "a.pem",
                    password=password,
                    **evidence.arguments,
                )


def test_manifest_lists_what_is_there(bundle: Path) -> None:
    manifest = json.loads((bundle / "release/manifest.json").read_text())
    assert set(manifest["files"]) == FILES
    assert manifest["date"] == "2026-11-29"
