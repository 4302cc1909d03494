"""``tabsynth sample`` marks text that a spreadsheet would run, unless ``--keep-formulas`` is given."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tabsynth.cli import DONE, main
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.tabsynth"
    frame = pd.DataFrame({"c": ["=cmd()", "b"] * 30, "n": range(60)})
    MarginalSynthesizer(components=2).fit(frame, seed=0).save(path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx"])
@pytest.mark.parametrize("keep", [True, False])
def test_formulas_are_marked_unless_they_are_to_be_kept(model: Path, tmp_path: Path, suffix: str, keep: bool) -> None:
    path = tmp_path / f"out.{suffix}"
    options = ["--keep-formulas"] if keep else []
    assert main(["sample", str(model), "-n", "40", "--seed", "0", "--output", str(path), *options]) == DONE
    if suffix == "xlsx":
        import openpyxl

        cells = [cell for (cell, *_) in openpyxl.load_workbook(path).active.iter_rows() if cell.value == "=cmd()"]
        assert {cell.quotePrefix for cell in cells} == {not keep}
    else:
        raw = pd.read_csv(path, sep="\t" if suffix == "tsv" else ",")["c"]
        assert set(raw) == {"=cmd()" if keep else "'=cmd()", "b"}


@pytest.mark.parametrize("output", ["out.parquet", "sqlite:///x.db#t"])
def test_formats_without_marks_refuse_the_option(
    model: Path, tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = output if "://" in output else str(tmp_path / output)
    assert main(["sample", str(model), "--output", target, "--keep-formulas"]) == 2
    assert "is for CSV files and workbooks" in capsys.readouterr().err
