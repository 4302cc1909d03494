"""Whole numbers with constant facts in another column are codes; functions of quantities are none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer

N_FIRMS = 140


def panel() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    sector, size = rng.integers(1, 10, N_FIRMS), np.round(rng.lognormal(3, 1, N_FIRMS), 1)
    firm = np.repeat(np.arange(N_FIRMS), 7)
    return pd.DataFrame(
        {
            "firm": firm + 1,
            "sector": sector[firm],
            "size": size[firm],
            "wage": np.round(rng.normal(20, 4, len(firm)), 2),
        }
    )


def quantities() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 140, 2000)
    noise = np.round(rng.normal(size=2000), 2)
    return {
        "band": pd.DataFrame({"x": whole, "grp": np.array(["low", "middle", "high"])[whole // 47], "y": noise}),
        "square": pd.DataFrame({"x": whole, "square": (whole - 70) ** 2, "y": noise}),
        "weekday": pd.DataFrame({"x": whole, "weekday": np.array(list("abcdefg"))[whole % 7], "y": noise}),
        "month": pd.DataFrame({"x": whole, "month": whole % 12 + 1, "y": noise}),
        "one exception": panel().assign(sector=lambda f: f["sector"].where(f.index != 5, 11), size=1.5),
        "fact of a name": panel()[["size", "sector"]].assign(
            people=lambda f: (f["size"] * 5000).round(), name=lambda f: "n" + f["size"].astype(str)
        )[["people", "name", "sector"]],
        "no fact": panel()[["firm", "wage"]],
    }


def test_a_firm_is_a_code_and_its_facts_hold_in_every_row() -> None:
    frame = panel()
    schema = Schema.infer(frame)
    assert schema["firm"].kind == "categorical"
    assert "'sector'" in schema["firm"].why
    assert "code" in schema["firm"].question
    assert {schema[name].kind for name in ("sector", "size", "wage")} == {"numeric"}
    drawn = MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False).sample(600, seed=1, progress=False)
    facts = ["firm", "sector", "size"]
    assert set(drawn[facts].itertuples(index=False, name=None)) <= set(frame[facts].itertuples(index=False, name=None))
    assert drawn["firm"].dtype == frame["firm"].dtype


@pytest.mark.parametrize("name", quantities())
def test_quantities_stay_numeric(name: str) -> None:
    frame = quantities()[name]
    assert Schema.infer(frame)[frame.columns[0]].kind == "numeric"


def test_numbers_of_few_rows_are_no_codes() -> None:
    frame = panel().iloc[::2]  # three or four rows of each firm
    assert Schema.infer(frame)["firm"].kind == "numeric"
