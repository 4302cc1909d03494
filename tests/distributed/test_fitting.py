"""Fits to a sample of a file's rows: the rows that are used, and the model card's statement of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.cli import BAD_INPUT, DONE, main
from tabsynth.distributed import fit_sampled
from tabsynth.distributed.row_sample import sample_rows
from tabsynth.errors import InputError
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

ROWS = 5_000


@pytest.fixture(scope="module", params=["csv", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"at": np.arange(ROWS), "word": rng.choice(["a", "b"], ROWS), "x": rng.normal(size=ROWS)})
    frame.loc[rng.random(ROWS) < 0.1, "x"] = np.nan
    path = tmp_path_factory.mktemp("table") / f"rows.{request.param}"
    tabsynth.write(frame, path)
    return path


@pytest.mark.parametrize("count", [1, 100, 2_600, ROWS, ROWS + 7])
def test_a_sample_has_different_rows_in_the_files_order(path: Path, count: int) -> None:
    frame, total = sample_rows(path, count, seed=1)
    assert total == ROWS
    assert len(frame) == min(count, ROWS)
    assert frame["at"].is_monotonic_increasing
    assert frame["at"].is_unique
    whole = tabsynth.read(path).frame.iloc[frame["at"].to_numpy(int)].reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, whole, check_dtype=False)


def test_every_row_is_as_likely_to_be_taken(path: Path) -> None:
    """Also where the rows that are kept are cut down again and again."""
    taken = np.zeros(ROWS)
    for seed in range(20):
        taken[sample_rows(path, 500, seed=seed)[0]["at"].to_numpy(int)] += 1
    tenths = taken.reshape(10, -1).sum(1)
    assert np.abs(tenths - 1_000).max() < 5 * np.sqrt(1_000)
    frames = [sample_rows(path, 500, seed=3)[0] for _ in range(2)]
    pd.testing.assert_frame_equal(*frames)


def test_the_model_and_its_file_say_how_many_rows_were_used(path: Path, tmp_path: Path) -> None:
    model = fit_sampled(MarginalSynthesizer(components=4), path, max_rows=800, seed=0)
    assert (model.rows_, model.source_rows_) == (800, ROWS)
    model.save(tmp_path / "m")
    card = tabsynth.load(tmp_path / "m").card()
    assert card == model.card()
    assert card["training_rows"] == "a uniform random sample of 800 of 5000 rows; the others were not used"
    model.fit(tabsynth.read(path), seed=0)
    assert model.source_rows_ is None
    assert "training_rows" not in model.card()


def test_a_file_of_fewer_rows_is_fitted_as_ever(path: Path) -> None:
    sampled = fit_sampled(MarginalSynthesizer(components=4), path, max_rows=ROWS, seed=0)
    whole = MarginalSynthesizer(components=4).fit(path, seed=0)
    pd.testing.assert_frame_equal(sampled.sample(50, seed=1), whole.sample(50, seed=1), check_dtype=False)
    assert sampled.source_rows_ is None


def test_a_schema_is_kept(path: Path) -> None:
    schema = Schema.from_dict(
        {
            "columns": {
                "at": {"kind": "numeric", "decimals": 0},
                "word": {"kind": "categorical", "values": ["a", "b", "c"]},
                "x": {"kind": "numeric", "nullable": True},
            }
        }
    )
    model = fit_sampled(MarginalSynthesizer(components=4), path, max_rows=800, schema=schema, seed=0)
    assert model.schema_["word"] == schema["word"]


@pytest.mark.parametrize("count", [0, -1, True, 1.5])
def test_the_number_of_rows_is_checked(path: Path, count: object) -> None:
    with pytest.raises(InputError, match="max_rows"):
        fit_sampled(MarginalSynthesizer(), path, max_rows=count)  # type: ignore[arg-type]


def test_the_command(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["fit", str(path), "--model", "marginal", "--option", "components=4", "--max-rows", "700"]
    line += ["--output", str(tmp_path / "m")]
    assert main(line) == DONE
    printed = capsys.readouterr()
    assert json.loads(printed.out)["source_rows"] == ROWS
    assert "a random sample of 700 of 5,000 rows" in printed.err
    assert tabsynth.load(tmp_path / "m").source_rows_ == ROWS
    assert main([*line, "--sheet", "one"]) == BAD_INPUT
