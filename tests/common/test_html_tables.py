from __future__ import annotations

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

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
    return [table._repr_html_(), table.schema._repr_html_(), displayed(model)]


def displayed(thing: object) -> str:
    """Return the HTML by which IPython displays an object."""
    return str(DisplayFormatter().format(thing)[0]["text/html"])


def test_notebooks_show_what_a_table_and_a_model_are(shown: list[str]) -> None:
    table, schema, model = shown
    assert "100 rows, 2 columns" in table
    assert "<td>numeric</td>" in schema
    assert ">100</td>" in model
    assert "2 (1 categorical, 1 numeric)" in model
    assert "epsilon = infinity" in model
    assert "not fitted" in displayed(ts.MarginalSynthesizer())


def test_notebooks_show_what_a_model_of_linked_tables_and_its_schema_are() -> None:
    people = pd.DataFrame({"id": range(40), "sex": ["f", "m"] * 20})
    visits = pd.DataFrame({"person_id": sorted([*range(40)] * 3), HOSTILE: ["a", "b", "c"] * 40})
    schema = ts.DatabaseSchema.infer({"person": people, "visits": visits})
    assert "<td>person_id to person</td>" in displayed(schema)
    asked = ts.DatabaseSchema(schema.tables, schema.primary_keys, questions={"visits": HOSTILE})
    assert "&lt;script&gt;" in displayed(asked)
    assert HOSTILE not in displayed(asked)
    model = ts.RelationalSynthesizer(epochs=1)
    assert "not fitted" in displayed(model)
    model.fit({"person": people, "visits": visits}, schema=schema, seed=0)
    assert "person 40, visits 120" in displayed(model)
    assert "visits.person_id to person" in displayed(model)


def test_hostile_names_and_values_are_harmless_in_notebooks(shown: list[str]) -> None:
    for html in shown:
        assert "<script>" not in html
