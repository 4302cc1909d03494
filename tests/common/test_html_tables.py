from __future__ import annotations

import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.common.html_tables import html_summary, html_table

HOSTILE = "<script>alert(1)</script>"


def test_cells_are_escaped() -> None:
    assert HOSTILE not in html_table((HOSTILE,), [(HOSTILE,)])
    assert HOSTILE not in html_summary(HOSTILE, {HOSTILE: HOSTILE})


@pytest.fixture(scope="module")
def shown() -> list[str]:
    frame = pd.DataFrame({HOSTILE: [HOSTILE, "b"] * 50, "age": [value % 40 for value in range(100)]})
    table = ts.Table.of(frame)
    model = ts.MarginalSynthesizer().fit(table, seed=0)
    return [table._repr_html_(), table.schema._repr_html_(), model._repr_html_()]


def test_notebooks_show_what_a_table_and_a_model_are(shown: list[str]) -> None:
    table, schema, model = shown
    assert "100 rows, 2 columns" in table
    assert "<td>numeric</td>" in schema
    assert ">100</td>" in model
    assert "2 (1 categorical, 1 numeric)" in model
    assert "epsilon = infinity" in model
    assert "not fitted" in ts.MarginalSynthesizer()._repr_html_()


def test_hostile_names_and_values_are_harmless_in_notebooks(shown: list[str]) -> None:
    for html in shown:
        assert "<script>" not in html
