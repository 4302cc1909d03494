"""Declared keys are unique in every way of drawing rows, or the way is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.distributed import sample_to
from tabsynth.errors import InputError
from tabsynth.pipeline import outputs
from tabsynth.schema import Schema
from tabsynth.synthesizers.registry import create

KEY = ["room", "bed"]


@pytest.fixture(scope="module")
def rooms() -> Any:
    rng = np.random.default_rng(0)
    at = rng.permutation(2500)[:400]
    frame = pd.DataFrame({"room": at // 50, "bed": at % 50, "ward": rng.choice(["a", "b", "c"], 400)})
    plain = {**Schema.infer(frame).to_dict(), "constraints": [{"kind": "unique", "of": KEY}]}
    plain["columns"]["ward"]["role"] = "source"
    return create("marginal", components=2).fit(frame, schema=Schema.from_dict(plain), seed=0)


def test_they_are_unique_in_all_sources_of_a_mixture(rooms: Any) -> None:
    rows = rooms.sample(1500, mixture={"a": 0.5, "b": 0.3, "c": 0.2}, seed=0)
    assert not rows.duplicated(KEY).any()
    assert rows["ward"].value_counts().to_dict() == {"a": 750, "b": 450, "c": 300}


def test_fixed_keys_displace_sampled_ones_of_earlier_rows(rooms: Any) -> None:
    fixed = pd.DataFrame({"room": np.repeat(np.arange(10), 50), "bed": np.tile(np.arange(50), 10)})
    given = pd.concat([fixed.assign(bed=None).head(450), fixed.tail(490)], ignore_index=True).astype("Int64")
    given.loc[:449, "room"] = pd.NA
    rows = rooms.sample(given=given, seed=0)
    assert not rows.duplicated(KEY).any()
    assert (rows["bed"].tail(490).to_numpy() == fixed["bed"].tail(490).to_numpy()).all()


def test_filled_keys_are_unique(rooms: Any) -> None:
    rows = rooms.sample(400, seed=0)
    filled = rooms.impute(rows.assign(bed=rows["bed"].where(rows["bed"] > 20)), seed=0)
    assert not filled.duplicated(KEY).any()
    pd.testing.assert_series_equal(filled["room"], rows["room"])


def test_chunks_which_would_repeat_keys_are_refused(rooms: Any, tmp_path: Path) -> None:
    for draw in (
        lambda: next(rooms.sample_chunks(200, chunk=100, seed=0)),
        lambda: sample_to(tmp_path / "shards", rooms, 200, shard_rows=100, seed=0),
    ):
        with pytest.raises(InputError, match=r"the key \(room, bed\) would repeat"):
            draw()
    assert not (tmp_path / "shards").exists()
    assert len(next(rooms.sample_chunks(200, chunk=200, seed=0))) == 200


def test_a_long_file_repeats_no_key(rooms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "CHUNK_ROWS", 100)
    outputs.write_sample(rooms, tmp_path / "rows.csv", 1200, seed=0)
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert len(rows) == 1200
    assert not rows.duplicated(KEY).any()
