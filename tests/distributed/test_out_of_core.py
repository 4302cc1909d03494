"""Fits to tables larger than memory: all rows count, and what a sample suggests is confirmed on all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import tabsynth
from tabsynth.cli import BAD_INPUT, DONE, main
from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.common.progress import Progress
from tabsynth.distributed import fit_out_of_core
from tabsynth.distributed.out_of_core import vocabulary
from tabsynth.distributed.out_of_core.confirmation import Confirmation, search_again
from tabsynth.distributed.out_of_core.source import Source
from tabsynth.distributed.out_of_core.token_files import write_tokens
from tabsynth.errors import DataError, InputError, SchemaError
from tabsynth.relations.enforcement import Relations
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.training.batches import ShuffledShards, TokenShards

ROWS, MEMORY = 6_000, 700


def make_table() -> pd.DataFrame:
    """Numbers, dates, categories of many and of few rows, missing cells, and two sums, one with a single exception."""
    rng = np.random.default_rng(0)
    net, tax = rng.integers(100, 900, ROWS), rng.integers(0, 90, ROWS)
    city = rng.choice(["a", "b", "c", "d"], ROWS, p=[0.5, 0.3, 0.15, 0.05])
    frame = pd.DataFrame(
        {
            "net": net,
            "tax": tax,
            "total": net + tax,
            "copy": net,
            "city": city,
            "country": pd.Series(city).map({"a": "x", "b": "x", "c": "y", "d": "z"}),
            "rare": np.where(np.arange(ROWS) % 600 == 3, "seldom", rng.choice(["one", "two"], ROWS)),
            "grade": pd.array(rng.integers(1, 4, ROWS), dtype="Int64"),
            "yes": rng.random(ROWS) < 0.3,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, ROWS), unit="D"),
            "x": rng.normal(size=ROWS).round(2),
        }
    )
    frame.loc[frame.index % 7 == 0, "grade"] = pd.NA
    frame.loc[frame.index % 9 == 0, "x"] = np.nan
    frame.loc[4_321, "copy"] += 50
    frame.loc[1_234, "country"] = "y" if frame.loc[1_234, "city"] != "c" else "x"
    return frame


SCHEMA = Schema.from_dict(
    {
        "columns": {
            **{name: {"kind": "numeric", "decimals": 0} for name in ("net", "tax", "total", "copy")},
            **{name: {"kind": "categorical"} for name in ("city", "country", "rare")},
            "grade": {"kind": "categorical", "nullable": True},
            "yes": {"kind": "boolean"},
            "day": {"kind": "datetime", "resolution": "D"},
            "x": {"kind": "numeric", "decimals": 2, "nullable": True},
        }
    }
)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_table()


@pytest.fixture(scope="module")
def parts(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as Parquet files of unequal size."""
    folder = tmp_path_factory.mktemp("parts")
    for number, (start, stop) in enumerate([(0, 1_000), (1_000, 4_500), (4_500, ROWS)]):
        frame.iloc[start:stop].to_parquet(folder / f"part-{number}.parquet")
    return folder / "*.parquet"


@pytest.fixture(scope="module")
def fitted(parts: Path) -> MaskedSynthesizer:
    return fit_out_of_core(MaskedSynthesizer(epochs=3), parts, memory_rows=MEMORY, schema=SCHEMA, seed=0)


def test_categories_and_missing_cells_are_counted_on_all_rows(fitted: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    whole = Codec.measure(tabsynth.Table.of(frame, SCHEMA))
    for name, coder in whole.coders.items():
        own = fitted.codec_.coders[name]
        assert own.counts.sum() == ROWS
        assert own.counts[own.missing] == coder.counts[coder.missing]
        if isinstance(coder, ValueCoder):
            assert isinstance(own, ValueCoder)
            assert (own.values, own.public) == (coder.values, coder.public)
            np.testing.assert_array_equal(own.counts, coder.counts)
            np.testing.assert_array_equal(own.allowed_tokens, coder.allowed_tokens)
    assert "seldom" in whole.coders["rare"].values  # ten rows, of which the sample has one or two
    assert (fitted.rows_, fitted.codec_.rows, fitted.source_rows_) == (ROWS, ROWS, None)


def test_a_number_is_as_frequent_in_the_model_as_in_all_rows(fitted: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    coder = fitted.codec_.numeric_coders["x"]
    numbers = frame["x"].dropna().to_numpy()
    share = coder.cumulative_mass(np.quantile(numbers, [0.1, 0.5, 0.9]), inclusive=True) / coder.mass.sum()
    np.testing.assert_allclose(share, [0.1, 0.5, 0.9], atol=0.02)
    assert coder.mass.sum() == pytest.approx(len(numbers))


def test_the_ends_of_numbers_are_those_of_all_rows(fitted: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    whole = Codec.measure(tabsynth.Table.of(frame, SCHEMA)).numeric_coders
    for name in ("net", "x", "day"):
        coder = fitted.codec_.numeric_coders[name]
        width = whole[name].high[-1] - whole[name].low[0]
        assert abs(coder.low[0] - whole[name].low[0]) < 0.02 * width
        assert abs(coder.high[-1] - whole[name].high[-1]) < 0.02 * width
        assert (np.diff(coder.edges) >= 0).all()
        assert (np.diff(coder.token) >= 0).all()
        assert len(coder.counts) == coder.size


def test_a_relation_is_kept_only_if_all_rows_have_it(fitted: MaskedSynthesizer) -> None:
    assert fitted.card()["vocabulary"]["laws"] == ["total = net + tax"]
    rows = fitted.sample(500, seed=1)
    assert (rows["net"] + rows["tax"] == rows["total"]).all()
    names = [fitted.codec_.slots[i].column for i in fitted.active_]
    decides = {(names[one.determinant], names[one.dependent]): one.table for one in fitted.functions_}
    assert ((table := decides[("city", "country")]) < 0).any()  # one city has a row of another country
    assert (table >= 0).sum() == 3


@pytest.mark.parametrize("new", [False, True])
def test_rows_are_read_again_only_for_new_relations(
    parts: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    table = tabsynth.Table.of(frame[:700], SCHEMA)
    codec = Codec.measure(table)
    (total,) = Relations.discover(table, codec, without=["copy"]).arithmetic
    (copy,) = Relations.discover(table, codec, without=["tax", "total"]).arithmetic
    first = Confirmation(Relations(arithmetic=(total, copy)))
    first.check(codec, frame[4_000:5_000])
    assert len(first.contradicting) == 1  # row 4,321 is no copy
    again = Relations(arithmetic=(total, copy) if new else (total,))
    monkeypatch.setattr(Relations, "discover", lambda *args, **kwargs: again)
    source, tables, batches = Source.of(parts, SCHEMA, MEMORY, 0), Source.tables, []
    monkeypatch.setattr(Source, "tables", lambda self: (batches.append(1) or batch for batch in tables(self)))
    found = search_again(source, table, codec, first, without=())
    assert found.arithmetic == (total,)
    assert bool(batches) == new


def test_every_row_is_in_one_file_or_validates(parts: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    source = Source.of(parts, SCHEMA, MEMORY, 0)
    codec = vocabulary.measure_codec(source, source.sample, 5)
    done = write_tokens(source, codec, Confirmation(Relations()), tmp_path, MEMORY, 0)
    assert done.shards.rows + len(done.shards.validation) == ROWS
    assert len(done.shards.files) == 9
    found = np.concatenate([*done.shards.each(), done.shards.validation]).astype(np.int64)
    wanted = codec.encode(frame).astype(np.int64)
    np.testing.assert_array_equal(found[np.lexsort(found.T)], wanted[np.lexsort(wanted.T)])
    for slot, counts in enumerate(done.slot_counts):
        np.testing.assert_array_equal(counts, np.bincount(wanted[:, slot], minlength=len(counts)))


def make_shards(folder: Path, sizes: tuple[int, ...]) -> TokenShards:
    rows = np.arange(sum(sizes), dtype=np.uint16)
    files, start = [], 0
    for number, size in enumerate(sizes):
        files.append(folder / str(number))
        np.stack([rows[start : start + size]] * 2, axis=1).tofile(files[-1])
        start += size
    return TokenShards(tuple(files), sizes, np.zeros((1, 2), np.int32), 2, np.dtype(np.uint16))


def test_an_epoch_of_files_has_every_row_once(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, (50, 7, 43))
    batches = ShuffledShards(shards, 10, 3, torch.device("cpu"))
    first = [torch.cat([batches.at(step)[:, 0] for step in range(start, start + 10)]) for start in (0, 10)]
    for epoch in first:
        assert sorted(epoch.tolist()) == list(range(100))
    assert first[0].tolist() != first[1].tolist()
    again = ShuffledShards(shards, 10, 3, torch.device("cpu"))
    assert torch.equal(again.at(13), batches.at(13))
    assert shards.of_slots([1]).load(1).shape == (7, 1)


def test_the_card_and_the_file_say_how_many_rows_the_network_saw(fitted: MaskedSynthesizer, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m")
    card = tabsynth.load(tmp_path / "m").card()
    assert card == fitted.card()
    assert card["training_rows"].startswith(f"all {ROWS} rows, in random order; the network saw {card['row_visits']} ")
    assert 0 < card["row_visits"] <= 3 * 3 * ROWS  # at most three cycles of three epochs


def test_a_small_table_is_fitted_in_memory(frame: pd.DataFrame, tmp_path: Path) -> None:
    tabsynth.write(frame.iloc[:600], tmp_path / "few.csv")
    one = fit_out_of_core(MaskedSynthesizer(epochs=1), tmp_path / "few.csv", seed=0)
    two = MaskedSynthesizer(epochs=1).fit(tmp_path / "few.csv", seed=0)
    pd.testing.assert_frame_equal(one.sample(20, seed=1), two.sample(20, seed=1))
    assert "training_rows" not in one.card()


class StoppedError(Exception):
    """Raised in the middle of a fit."""


def test_an_interrupted_fit_resumes_and_a_seed_decides_the_model(
    parts: Path, fitted: MaskedSynthesizer, tmp_path: Path
) -> None:
    steps: list[int] = []

    def stop(progress: Progress) -> None:
        steps.append(progress.step)
        if len(steps) == 2:  # the state is written after the first
            raise StoppedError

    model, state = MaskedSynthesizer(epochs=3), tmp_path / "state"
    how = {"memory_rows": MEMORY, "schema": SCHEMA, "seed": 0}
    with pytest.raises(StoppedError):
        fit_out_of_core(model, parts, checkpoint=state, callbacks=(stop,), **how)  # type: ignore[arg-type]
    assert state.exists()
    assert not model.__sklearn_is_fitted__()
    fit_out_of_core(model, parts, checkpoint=state, **how)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(model.sample(100, seed=1), fitted.sample(100, seed=1))


def test_csv_and_a_database_with_an_inferred_schema(frame: pd.DataFrame, tmp_path: Path) -> None:
    own = frame[["net", "city", "x"]].iloc[:1_500]
    tabsynth.write(own, tmp_path / "t.csv")
    tabsynth.write(own, f"sqlite:///{tmp_path / 't.db'}#t")
    for source in (tmp_path / "t.csv", f"sqlite:///{tmp_path / 't.db'}#t"):
        model = fit_out_of_core(MaskedSynthesizer(epochs=1), source, memory_rows=400, seed=0)
        assert model.rows_ == 1_500
        assert [model.schema_[name].nullable for name in own] == [False, False, True]
        assert set(model.sample(200, seed=0)["city"]) <= {"a", "b", "c", "d"}


@pytest.mark.parametrize("role", ["person", "weight"])
def test_a_role_that_needs_all_rows_at_once_is_refused(parts: Path, role: str) -> None:
    schema = SCHEMA.replace("net", role=role)
    with pytest.raises(SchemaError, match=f"role '{role}'"):
        fit_out_of_core(MaskedSynthesizer(), parts, memory_rows=MEMORY, schema=schema)


def test_a_key_and_a_model_without_batches_are_refused(parts: Path) -> None:
    keyed = Schema.from_dict(SCHEMA.to_dict() | {"constraints": [{"kind": "unique", "of": ["net"]}]})
    with pytest.raises(SchemaError, match="cannot keep the constraint"):
        fit_out_of_core(MaskedSynthesizer(), parts, memory_rows=MEMORY, schema=keyed)
    with pytest.raises(InputError, match="MarginalSynthesizer cannot be fitted out of core"):
        fit_out_of_core(MarginalSynthesizer(), parts)


def test_a_row_outside_the_sample_is_checked_too(frame: pd.DataFrame, tmp_path: Path) -> None:
    broken = frame[["net", "city"]].copy()
    broken.loc[3_333, "net"] = 5_000_000
    broken.to_parquet(tmp_path / "t.parquet")
    columns = {"net": {"kind": "numeric", "low": 0, "high": 1_000}, "city": {"kind": "categorical"}}
    schema = Schema.from_dict({"columns": columns})
    with pytest.raises(DataError, match=r"column 'net': 1 values are above the schema's high 1000"):
        fit_out_of_core(
            MaskedSynthesizer(epochs=1),
            tmp_path / "t.parquet",
            memory_rows=50,
            schema=schema,
        )


def test_too_many_categories_are_refused(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "MAX_CATEGORIES", 3)
    with pytest.raises(DataError, match="column 'city' has over 3 different values"):
        fit_out_of_core(MaskedSynthesizer(), parts, memory_rows=MEMORY, schema=SCHEMA)


def test_the_command(frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame[["net", "city"]].iloc[:500].to_parquet(tmp_path / "t.parquet")
    line = ["fit", str(tmp_path / "*.parquet"), "--epochs", "1", "--out-of-core", "--output", str(tmp_path / "m")]
    assert main(line) == DONE
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"] == 500
    assert "trained on all 500 rows, in memory" in printed.err
    assert tabsynth.load(tmp_path / "m").rows_ == 500
    assert main([*line, "--max-rows", "5"]) == BAD_INPUT
