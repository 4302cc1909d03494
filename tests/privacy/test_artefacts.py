"""Artefacts of a private fit are equal for neighbouring tables, except for noisy numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

from .mechanisms.test_clamping import CELLS
from .shadow import blind, members
from .tables import SCHEMA, table


def declared_by_hand(frame: pd.DataFrame) -> Schema:
    """An inferred schema that a person has gone through, column by column."""
    schema = Schema.infer(frame)
    for name, column in SCHEMA.items():
        schema = schema.replace(name, **column.to_dict())
    return schema


def artefacts(frame: pd.DataFrame, schema: Schema, folder: Path) -> dict[str, Any]:
    """Every byte that a fit writes or shows."""
    folder.mkdir(exist_ok=True)
    path = folder / "set.ledger"
    path.unlink(missing_ok=True)
    privacy = Privacy(epsilon=2.0, delta=1e-5, n_public=100, insecure_seed=3, ledger=path)
    model = MarginalSynthesizer(components=4).fit(frame, schema=schema, privacy=privacy, progress=False)
    drawn = model.sample(5, seed=1)
    shown = {
        "card": json.dumps(model.card()),
        "ledger": str(model.ledger_),
        "rows": drawn.to_csv(),
        "model": repr(model),
    }
    return {**members(model, folder), **shown, "file": path.read_bytes(), "types": drawn.dtypes.to_dict()}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(row=st.lists(CELLS, min_size=len(SCHEMA), max_size=len(SCHEMA)), own=st.booleans())
def test_all_artefacts_of_neighbours_are_equal(
    row: list[Any], own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind(monkeypatch)
    frame = table()
    cells = dict(zip(SCHEMA, row, strict=True))
    more = pd.DataFrame({name: pd.Series([*frame[name].tolist(), cells[name]], dtype=object) for name in frame})
    schemas = [declared_by_hand(one) for one in (frame, pd.concat([frame, frame.iloc[:1]]))] if own else [SCHEMA] * 2
    first, second = (artefacts(*pair, tmp_path / "fit") for pair in zip((frame, more), schemas, strict=True))
    assert first == second


def test_only_the_facts_that_shape_the_output_are_kept(tmp_path: Path) -> None:
    schema = declared_by_hand(table()).replace("age", why="60 rows", question="is it?", sdv={"seen": 60})
    schema = Schema(schema.columns, schema.constraints, {"rows": 60})
    model = MarginalSynthesizer(components=4).fit(
        table(), schema=schema, privacy=Privacy(1.0, 1e-6, insecure_seed=1), progress=False
    )
    assert model.schema_ == SCHEMA
    assert b"60 rows" not in b"".join(members(model, tmp_path).values())


def test_a_column_that_a_person_declares_keeps_nothing_that_was_seen_in_the_rows() -> None:
    inferred = Schema.infer(table())
    assert inferred["age"].why
    assert inferred.replace("age", high=120).columns["age"].why == ""
