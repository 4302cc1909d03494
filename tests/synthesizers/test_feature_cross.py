"""Columns that are informative only jointly, such as the parts of a date, get embeddings of combinations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import load
from tabsynth.training.networks.feature_cross import FeatureCross

KEYS = ["year", "month", "day"]


@pytest.fixture(scope="module")
def weather() -> pd.DataFrame:
    """Hours of 4 * 6 * 10 days, each with a temperature and a humidity of its own."""
    rng = np.random.default_rng(0)
    date = rng.integers(0, (4, 6, 10), (6000, 3))
    level = rng.normal(size=(4, 6, 10, 2))[tuple(date.T)]
    drawn = np.round(level + 0.3 * rng.normal(size=level.shape), 2)
    return pd.DataFrame({**dict(zip(KEYS, date.T, strict=True)), "heat": drawn[:, 0], "damp": drawn[:, 1]})


def day_correlation(real: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """How well the mean heat of a drawn day agrees with that of the real one."""
    means = pd.concat([rows.groupby(KEYS)["heat"].mean() for rows in (real, drawn)], axis=1).dropna()
    return float(np.corrcoef(means.to_numpy().T)[0, 1])


def test_columns_follow_their_nearest_after_a_cross(weather: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heat and its classes are neighbours, although the columns that are independent of both have a lower entropy."""
    rng = np.random.default_rng(1)
    warm, calm = weather["heat"].rank(pct=True) * 8 // 1, rng.integers(0, 8, len(weather))
    near = np.where(rng.random(len(weather)) < 0.1, rng.integers(0, 8, len(weather)), calm)
    frame = weather.assign(warm=warm, calm=calm, near=near)
    monkeypatch.setattr(MaskedSynthesizer, "_train", lambda *_: None)

    def order() -> list[str]:
        model = MaskedSynthesizer().fit(frame, seed=0, progress=False)
        return [model.codec_.slots[model.active_[slot]].column for slot in model.order_]

    crossed = order()
    monkeypatch.setattr(FeatureCross, "select", lambda *_: None)
    by_entropy = order()
    assert abs(crossed.index("heat") - crossed.index("warm")) == 1
    assert max(map(crossed.index, ("heat", "warm"))) < min(map(crossed.index, ("calm", "near")))
    assert max(map(by_entropy.index, ("calm", "near"))) < min(map(by_entropy.index, ("heat", "warm")))


@pytest.mark.slow
def test_days_are_learned_in_fewer_passes(
    weather: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MaskedSynthesizer(epochs=3).fit(weather, seed=0, progress=False)
    assert sorted(model.card()["crossed"]) == sorted(KEYS)
    drawn = model.sample(len(weather), seed=1, progress=False)
    assert day_correlation(weather, drawn) > 0.8

    model.save(tmp_path / "model.tabsynth")
    again = load(tmp_path / "model.tabsynth")
    assert again.card()["crossed"] == model.card()["crossed"]
    pd.testing.assert_frame_equal(again.sample(len(weather), seed=1, progress=False), drawn)

    monkeypatch.setattr(FeatureCross, "select", lambda *_: None)
    without = MaskedSynthesizer(epochs=3).fit(weather, seed=0, progress=False)
    assert without.card()["crossed"] == []
    assert without.score_ is not None
    assert model.score_ is not None
    assert without.score_ - model.score_ > 0.3  # nats a row of held-out rows
