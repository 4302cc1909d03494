"""Record linkage: equal results from every engine, reproducible results, and records that must not be joined."""

from __future__ import annotations

import logging
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import DataError, InputError, MissingDependencyError
from tabsynth.mixing.linkage.link import Links, link
from tabsynth.mixing.linkage.spec import LinkSpec

from ..people import FIELDS, f1, registers

NAMELESS = tuple(name for name in FIELDS if name != "number")


@pytest.fixture(scope="module")
def two() -> dict[str, pd.DataFrame]:
    return registers({"north": 400, "south": 300}, shared=200)


@pytest.mark.parametrize(("engine", "least"), [("splink", 0.98), ("clk", 0.95)])
def test_people_are_found_without_their_number_and_strangers_are_not(
    engine: Any, least: float, two: dict[str, pd.DataFrame]
) -> None:
    found = link(two, {}, LinkSpec(engine, NAMELESS))
    assert f1(two, found.entities) >= least
    assert found.report["cluster_sizes"][2] == pytest.approx(200, abs=20)
    assert found.report["epsilon_factor"] == 2
    assert list(found.pairs.columns) == ["source_a", "row_a", "source_b", "row_b", "probability"]
    assert found.pairs["probability"].is_monotonic_decreasing
    assert (found.pairs["probability"] >= 0.5).all()


@pytest.mark.slow
def test_three_sources_are_linked_with_one_record_of_each_in_a_person() -> None:
    three = registers({"a": 250, "b": 220, "c": 200}, shared=150, seed=1)
    found = link(three, {}, LinkSpec("splink", FIELDS))
    assert f1(three, found.entities) >= 0.98
    for entity in found.entities.values():
        assert len(np.unique(entity)) == len(entity)
    assert max(found.report["cluster_sizes"]) == 3


@pytest.mark.parametrize("engine", [pytest.param("splink", marks=pytest.mark.slow), "clk"])
def test_the_same_seed_gives_the_same_links(engine: Any, two: dict[str, pd.DataFrame]) -> None:
    first, again = (link(two, {}, LinkSpec(engine, FIELDS), seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(first.pairs, again.pairs)
    for source in two:
        np.testing.assert_array_equal(first.entities[source], again.entities[source])
    assert first.report == again.report


def test_splink_is_silent_offline_and_leaves_nothing(
    two: dict[str, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(work)
    level = logging.getLogger("splink").level
    link(two, {}, LinkSpec("splink", FIELDS))
    assert capfd.readouterr() == ("", "")
    assert not list(work.iterdir())
    assert not list(scratch.iterdir())
    assert logging.getLogger("splink").level == level


def test_without_splink_the_message_names_the_package(
    two: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "splink", None)
    with pytest.raises(MissingDependencyError, match=r"'\.\[mixing\]'"):
        link(two, {}, LinkSpec("splink", FIELDS))


def exactly(one_to_one: bool = True, fields: tuple[str, ...] = ()) -> LinkSpec:
    return LinkSpec("exact", fields, one_to_one=one_to_one)


def linked(left: list[Any], right: list[Any], spec: LinkSpec | None = None) -> Links:
    frames = {"a": pd.DataFrame({"id": left}), "b": pd.DataFrame({"pid": right})}
    return link(frames, {"a": ["id"], "b": ["pid"]}, spec or exactly())


def test_equal_keys_are_joined_whatever_their_type() -> None:
    found = linked([1, 2, 3], ["3", " 2", "9"])
    np.testing.assert_array_equal(found.entities["a"], [0, 1, 2])
    np.testing.assert_array_equal(found.entities["b"], [2, 1, 3])


@pytest.mark.parametrize("nothing", [None, "", "unknown", "N/A", "000000", "999-99-9999", "123456789", float("nan")])
def test_null_and_placeholder_keys_never_join(nothing: Any) -> None:
    found = linked([nothing, nothing, "A17"], [nothing, "A17", nothing])
    assert len(found.pairs) == 1
    assert len(np.unique(np.concatenate(list(found.entities.values())))) == 5
    assert found.report["null_keys"] == {"a": 2, "b": 2}
    for one_to_one in (True, False):
        once = linked([nothing, "A17"], [nothing], exactly(one_to_one))
        assert not len(once.pairs)


def test_heavy_keys_are_flagged() -> None:
    left = [f"A{i}" for i in range(100)] + ["A7"] * 20
    found = linked(left, [f"A{i}" for i in range(50)])
    assert found.report["heavy_keys"][0] == {"source": "a", "rows": 21, "first_row": 7}


def test_rows_of_a_source_that_share_its_key_are_one_record() -> None:
    found = linked(["x", "x", "y", "z"], ["y", "x"])
    np.testing.assert_array_equal(found.entities["a"], [0, 0, 1, 2])
    np.testing.assert_array_equal(found.entities["b"], [1, 0])
    assert found.report["epsilon_factor"] == 3


def test_ambiguous_fields_join_no_record_unless_many_to_one() -> None:
    frames = {"a": pd.DataFrame({"name": ["ann", "ann", "bob"]}), "b": pd.DataFrame({"name": ["ann", "bob"]})}
    found = link(frames, {}, exactly(fields=("name",)))
    assert found.report["ambiguous"] == 3
    np.testing.assert_array_equal(found.entities["b"], [3, 2])
    together = link(frames, {}, exactly(False, ("name",)))
    np.testing.assert_array_equal(together.entities["a"], [0, 0, 1])
    np.testing.assert_array_equal(together.entities["b"], [0, 1])


def test_local_keys_do_not_join_across_sources() -> None:
    found = linked([1, 2, 2], [1, 2, 3], LinkSpec("none"))
    assert not set(found.entities["a"]) & set(found.entities["b"])
    np.testing.assert_array_equal(found.entities["a"], [0, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "fuzzy"}, "engine must be one of splink, exact, clk, none"),
        ({"engine": "clk"}, "needs the fields to compare"),
        ({"threshold": 0.0, "fields": ("a",)}, "threshold must be above 0"),
        ({"review_band": (0.9, 0.5), "fields": ("a",)}, "low then high"),
        ({"fields": ("a", "a")}, "named twice"),
    ],
)
def test_invalid_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LinkSpec(**arguments)


def test_a_missing_field_is_named(two: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(DataError, match="source 'south' has no column 'street' to link by"):
        link({**two, "south": two["south"].drop(columns="street")}, {}, LinkSpec("splink", FIELDS))
    with pytest.raises(DataError, match="field 'born' has no value in source 'north'"):
        link({**two, "north": two["north"].assign(born=None)}, {}, LinkSpec("clk", FIELDS))
    with pytest.raises(InputError, match="source 'b' has no key"):
        link({"a": two["north"], "b": two["south"]}, {"a": ["number"]}, exactly())
    with pytest.raises(DataError, match="distinguishes records"):
        coarse = {source: pd.DataFrame({"x": ["m", "f"] * 500, "y": ["u", "u"] * 500}) for source in "ab"}
        link(coarse, {}, LinkSpec("splink", ("x", "y")))


@pytest.mark.slow
def test_fields_that_go_together_count_once() -> None:
    """Strangers of one town share its postcode too; counted twice, neighbours of one name would become one person."""
    frames = registers({"a": 500, "b": 500}, shared=250, seed=2, slips=0.05)
    for frame in frames.values():
        frame["town"] = frame["postcode"].map(lambda code: None if code is None else f"town of {code[:4]}")
    found = link(frames, {}, LinkSpec("splink", ("given", "family", "postcode", "town", "born")))
    assert [set(group) for group in found.report["together"]] == [{"postcode", "town"}]
    assert f1(frames, found.entities) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "with_number", "least"),
    [("splink", False, 0.993), ("clk", True, 0.990), ("clk", False, 0.985)],
)
def test_febrl(engine: Any, with_number: bool, least: float, shared_data: Path) -> None:
    frames = {s: pd.read_csv(shared_data / f"febrl4{s}.csv.gz", dtype=str) for s in "ab"}
    frames = {s: f.assign(who=f["rec_id"].str.extract(r"rec-(\d+)-")[0]) for s, f in frames.items()}
    fields = [name for name in frames["a"] if name not in ("rec_id", "who") and (with_number or name != "soc_sec_id")]
    found = link(frames, {}, LinkSpec(engine, tuple(fields)))
    assert f1(frames, found.entities) >= least
