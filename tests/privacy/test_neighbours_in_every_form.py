"""Random neighbours as frames of objects, as typed frames, and as CSV and Parquet files leave the same bytes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

from .mechanisms.test_clamping import CELLS
from .shadow import blind, fitted, members
from .tables import SCHEMA, table

FORMS = ("objects", "frame", "csv", "parquet")


def written(frame: pd.DataFrame, form: str, path: Path) -> Any:
    """A table in one of the forms in which a fit takes it, typed by what it holds where the form has types."""
    if form == "objects":
        return frame
    if form == "csv":
        # pandas cannot write a signalling NaN.
        frame = frame.map(lambda cell: Decimal("NaN") if isinstance(cell, Decimal) and cell.is_snan() else cell)
        path = path.with_suffix(".csv")
        frame.to_csv(path, index=False, errors="surrogatepass")
        return path
    typed = pd.DataFrame({name: _typed(frame[name]) for name in frame})
    if form == "frame":
        return typed
    path = path.with_suffix(".parquet")
    typed.to_parquet(path)
    return path


def _typed(values: pd.Series) -> pd.Series:
    """The column with the type that a writer would give it: text where one cell does not go with the others."""
    try:
        return pd.Series(pa.array(values.tolist(), from_pandas=True).to_pandas(), name=values.name)
    except (pa.ArrowException, ArithmeticError, TypeError, ValueError):
        text = [None if value is None else repr(value) if isinstance(value, bytes) else str(value) for value in values]
        return pd.Series([None if t is None else t.encode("utf-8", "replace").decode() for t in text], name=values.name)


def left_behind(data: Any, folder: Path) -> tuple[dict[str, bytes], str, list[str], dict[str, Any]]:
    """The members of the model's file, what the fit said, file names and types."""
    model, said = fitted(lambda: MarginalSynthesizer(components=2), data)
    drawn = model.sample(3, seed=1)
    held = members(model, folder)
    names = sorted(path.name for path in folder.iterdir() if path.suffix not in (".csv", ".parquet"))
    return held, said, names, {"types": drawn.dtypes.to_dict(), "rows": drawn.to_csv()}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(row=st.lists(CELLS, min_size=len(SCHEMA), max_size=len(SCHEMA)), removed=st.integers(0, 59))
def test_random_neighbours_leave_the_same_bytes(
    form: str, row: list[Any], removed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind(monkeypatch)
    frame = table()
    cells = dict(zip(SCHEMA, row, strict=True))
    more = pd.DataFrame({name: pd.Series([*frame[name].tolist(), cells[name]], dtype=object) for name in frame})
    less = frame.drop(index=removed).reset_index(drop=True)
    first, *others = (left_behind(written(one, form, tmp_path / "table"), tmp_path) for one in (frame, more, less))
    assert first[1] == ""
    for other in others:
        assert other == first
