"""Several tables in one report: the best one, and tables that cannot be distinguished."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import DataError, InputError, SchemaError, SourceError
from tabsynth.evaluation.compare import ComparisonReport, compare
from tabsynth.schema import Schema


@pytest.fixture(scope="module")
def both(wine: tuple[pd.DataFrame, Schema]) -> ComparisonReport:
    frame, schema = wine
    frame = frame[["alcohol", "ash", "hue", "proline", "flavanoids", "target"]]  # each takes seconds
    schema = Schema({name: schema[name] for name in frame})
    rng = np.random.default_rng(0)
    spoiled = (
        frame[60:120]
        .apply(lambda column: rng.permutation(column.to_numpy()))
        .assign(alcohol=99.0, ash=9.0, hue=9.0, proline=0.0)
    )
    return compare(frame[:60], {"fresh": frame[60:120], "spoiled|": spoiled}, frame[120:], schema=schema)


def test_the_better_table_wins(both: ComparisonReport) -> None:
    assert both.best("shape_error") == ["fresh"]
    assert both.best("detection_auc") == ["fresh"]
    assert both.best("real_completeness") == []
    assert "spoiled\\|" in both.to_markdown()
    assert "fresh" in str(both)


def test_forms(both: ComparisonReport, tmp_path: Path) -> None:
    for name in ("c.html", "c.md", "c.json"):
        both.save(tmp_path / name)
    again = ComparisonReport.from_dict(json.loads((tmp_path / "c.json").read_text("utf-8")))
    assert again.to_html() == both.to_html()
    assert "<iframe" in both._repr_html_()
    assert "<script" not in both.to_html()
    with pytest.raises(SourceError, match=r"\.html, \.json or \.md"):
        both.save(tmp_path / "c.pdf")
    with pytest.raises(DataError, match="not a comparison"):
        ComparisonReport.from_dict({"format": "other"})
    with pytest.raises(DataError, match="later"):
        ComparisonReport.from_dict({**both.to_dict(), "version": 9})


def test_the_overview_has_each_table_on_one_scale(both: ComparisonReport) -> None:
    page = both.to_html()
    overview = page[page.index('id="overview"') : page.index('id="uses"')]
    rows = re.findall(r'class="dot" style="left:([\d.]+)%', overview)
    tiles = overview.count("<article")
    assert tiles >= 5
    assert len(rows) == 2 * tiles
    auc = overview[overview.index("<h3>Detection AUC") :]
    better, worse = (float(at) for at in re.findall(r'class="dot" style="left:([\d.]+)%', auc)[:2])
    values = [report.scores["detection_auc"].value for report in both.reports.values()]
    assert (better < worse) == (values[0] < values[1])
    assert "Suitable for" in page or "with caution for" in page.lower()


def test_what_cannot_be_compared(wine: tuple[pd.DataFrame, Schema]) -> None:
    frame, schema = wine
    with pytest.raises(InputError, match="by name"):
        compare(frame, {}, schema=schema)
    with pytest.raises(InputError, match="must be text"):
        compare(frame, {1: frame}, schema=schema)  # type: ignore[dict-item]
    with pytest.raises(SchemaError, match="^half: the synthetic table has other columns"):
        compare(frame, {"half": frame.drop(columns="alcohol")}, schema=schema)
