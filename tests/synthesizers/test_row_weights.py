"""Fits with row weights, and with rows of sources in which a column is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError, InputError
from tabsynth.schema import Schema
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create, load
from tabsynth.synthesizers.vae import VAESynthesizer

ROWS = 2400
SHORT = {"masked": 6, "vae": 10}


def sites(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three sites; only the first measured ``marker``, which follows the severity that differs between the sites."""
    rng = np.random.default_rng(seed)
    source = rng.choice(["a", "b", "c"], ROWS, p=[0.4, 0.4, 0.2])
    severe = rng.random(ROWS) < np.select([source == "a", source == "b"], [0.2, 0.6], 0.9)
    marker = np.where(rng.random(ROWS) < np.where(severe, 0.9, 0.1), "high", "low").astype(object)
    dose = np.round(rng.normal(np.where(severe, 40.0, 20.0), 5.0), 1)
    here = source == "a"
    marker[~here] = None
    frame = pd.DataFrame({"_source": source, "severe": severe, "marker": marker, "dose": dose})
    return frame, pd.DataFrame({"marker": here})


@pytest.fixture(scope="module", params=["masked", pytest.param("vae", marks=pytest.mark.slow)])
def partial(request: pytest.FixtureRequest) -> Synthesizer:
    frame, mask = sites()
    return create(request.param, epochs=2 * SHORT[request.param]).fit(frame, mask=mask, seed=0)


def test_absent_cells_are_learned_from_the_rows_that_have_them(partial: Synthesizer) -> None:
    drawn = partial.sample(ROWS, seed=1)
    assert drawn["marker"].notna().all()  # absent is not missing
    high = drawn["marker"].eq("high").groupby(drawn["severe"]).mean()
    # 960 rows teach it, a fifth of them severe, and 2,400 show it: a standard error of about .02.
    assert high[True] == pytest.approx(0.9, abs=0.07)
    assert high[False] == pytest.approx(0.1, abs=0.07)


def test_a_partial_column_is_not_pulled_to_the_marginal_of_the_rows_that_have_it(partial: Synthesizer) -> None:
    frame, mask = sites()
    drawn = partial.sample(20_000, seed=2)["marker"].eq("high").mean()
    severe = frame["severe"].mean()
    assert drawn == pytest.approx(0.9 * severe + 0.1 * (1 - severe), abs=0.06)
    assert frame["marker"][mask["marker"]].eq("high").mean() < 0.3


def test_a_saved_model_knows_its_partial_columns(partial: Synthesizer, tmp_path: Any) -> None:
    partial.save(tmp_path / "m.tabsynth")
    again = load(tmp_path / "m.tabsynth")
    pd.testing.assert_frame_equal(again.sample(1500, seed=3), partial.sample(1500, seed=3))


def test_a_mixture_of_sources_has_the_shares_asked_for(partial: Synthesizer) -> None:
    assert isinstance(partial, (MaskedSynthesizer, VAESynthesizer))
    drawn = partial.sample(400, mixture={"b": 1, "c": 3}, seed=4)
    assert drawn["_source"].value_counts().to_dict() == {"c": 300, "b": 100}
    assert 90 < (drawn["_source"].head(200) == "c").sum() < 200  # not one source after the other
    assert (partial.sample(50, mixture={"b": 1}, given={"severe": True}, seed=4)["severe"]).all()


@pytest.mark.parametrize(
    ("mixture", "given"),
    [({}, None), ({"a": -1, "b": 2}, None), ({"nowhere": 1}, None), ({"a": 1}, {"_source": "b"})],
)
def test_a_mixture_that_cannot_be_met_says_so(partial: Synthesizer, mixture: Any, given: Any) -> None:
    assert isinstance(partial, (MaskedSynthesizer, VAESynthesizer))
    with pytest.raises(ConditionError):
        partial.sample(10, mixture=mixture, given=given)


def test_a_declared_column_without_missing_cells_may_be_absent() -> None:
    frame, mask = sites()
    schema = Schema.from_dict(
        {
            "columns": {
                "_source": {"kind": "categorical", "values": ["a", "b", "c"], "role": "source"},
                "severe": {"kind": "boolean"},
                "marker": {"kind": "categorical", "values": ["high", "low"]},
                "dose": {"kind": "numeric"},
            }
        }
    )
    with pytest.raises(InputError, match="marker"):
        MaskedSynthesizer(epochs=1).fit(frame, schema=schema, seed=0)
    drawn = MaskedSynthesizer(epochs=1).fit(frame, schema=schema, mask=mask, seed=0).sample(200, seed=0)
    assert drawn["marker"].notna().all()


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("masked", "numbers"),
        pytest.param("vae", "numbers", marks=pytest.mark.slow),
        ("masked", "column"),
        ("masked", "role"),
    ],
)
def test_weights_move_the_model_to_the_weighted_table(kind: str, how: str) -> None:
    frame, _ = sites()
    frame = frame[["severe", "dose"]]
    count = np.where(frame["severe"], 9.0, 1.0)
    model = create(kind, epochs=SHORT[kind])
    if how == "numbers":
        model.fit(frame, weights=count, seed=0)
    else:
        frame = frame.assign(count=count)
        schema = Schema.infer(frame)
        schema = schema.replace("count", role="weight") if how == "role" else schema
        model.fit(frame, schema=schema, weights="count" if how == "column" else None, seed=0)
    drawn = model.sample(20_000, seed=1)
    severe = frame["severe"].mean()
    expected = 9 * severe / (9 * severe + 1 - severe)
    assert drawn["severe"].mean() == pytest.approx(expected, abs=0.01)
    assert abs(drawn["severe"].mean() - severe) > 0.2
    assert drawn["dose"].mean() == pytest.approx(np.average(frame["dose"], weights=count), abs=0.5)
    if how != "numbers":
        assert (drawn["count"] == 1).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(5), "2400 rows"),
        (np.full(ROWS, -1.0), "negative"),
        (np.r_[np.nan, np.ones(ROWS - 1)], "row 0"),
        (np.zeros(ROWS), "above 0"),
        ("nowhere", "nowhere"),
        ("_source", "not a number"),
        (["x"] * ROWS, "not a number"),
    ],
)
def test_weights_that_cannot_be_used_say_why(weights: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskedSynthesizer(epochs=1).fit(sites()[0], weights=weights)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (pd.DataFrame({"marker": [True]}), "2400 rows"),
        (pd.DataFrame({"other": np.ones(ROWS, bool)}), "other"),
        (pd.DataFrame({"marker": np.ones(ROWS)}), "True and False"),
        (pd.DataFrame({"marker": np.zeros(ROWS, bool)}), "absent from every row"),
        (np.ones((ROWS, 4), bool), "DataFrame"),
    ],
)
def test_a_mask_that_cannot_be_used_says_why(mask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskedSynthesizer(epochs=1).fit(sites()[0], mask=mask)


def test_a_synthesizer_that_cannot_weigh_refuses() -> None:
    with pytest.raises(InputError, match="MaskedSynthesizer"):
        create("gaussian_copula").fit(sites()[0], weights=np.ones(ROWS))
