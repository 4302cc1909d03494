"""Times of day come back as frequent as they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.data import Table


def moments(rows: int, first: int, minutes: int) -> pd.DataFrame:
    """Moments of 500 days, at times of day from an hour on."""
    rng = np.random.default_rng(0)
    minute = 1440 * rng.integers(0, 500, rows) + 60 * first + rng.integers(0, minutes, rows)
    return pd.DataFrame({"at": pd.Timestamp("2023-01-02") + pd.to_timedelta(minute, "min")})


def coder_of(frame: pd.DataFrame) -> QuantileCoder:
    return Codec.measure(Table.of(frame)).numeric_coders["at"]


@pytest.mark.parametrize("rows", [300, 3000])
def test_no_moment_is_at_a_time_of_day_without_real_ones(rows: int) -> None:
    frame = moments(rows, 8, 600)
    codec = Codec.measure(Table.of(frame))
    back = codec.decode(codec.encode(frame), np.random.default_rng(0))["at"]
    assert (~back.dt.hour.between(8, 17)).mean() < 0.03  # 18:00 is rounder than the last minutes
    assert (back.dt.hour < 13).mean() == pytest.approx((frame["at"].dt.hour < 13).mean(), abs=0.06)
    ranks = [np.sort(own.to_numpy().astype(np.int64)) for own in (frame["at"], back)]
    assert np.abs(np.searchsorted(*ranks) - np.arange(rows)).max() < 16  # bins have 10 rows


def test_times_of_a_night_shift_stay_in_the_night() -> None:
    frame = moments(1000, 20, 600)
    codec = Codec.measure(Table.of(frame))
    back = codec.decode(codec.encode(frame), np.random.default_rng(0))["at"]
    assert back.dt.hour.between(7, 19).mean() < 0.02


def test_times_at_any_hour_need_no_distribution() -> None:
    assert coder_of(moments(2000, 0, 1440)).day_times is None
    assert coder_of(moments(2000, 8, 600)).day_times is not None


def test_a_restored_coder_decodes_the_same_moments() -> None:
    coder = coder_of(moments(1000, 8, 600))
    tokens = np.arange(coder.n_ordered_tokens, dtype=np.int32)
    restored = QuantileCoder.from_state(*coder.state())
    position = np.random.default_rng(0).random(len(tokens))
    assert (restored.decode_at(tokens, position) == coder.decode_at(tokens, position)).all()
    config, arrays = coder.state()
    with pytest.raises(ValueError, match="times of day"):
        QuantileCoder.from_state(config, {**arrays, "day_times": -arrays["day_times"]})


def test_the_mass_of_a_range_agrees_with_the_moments_drawn_in_it() -> None:
    coder = coder_of(moments(1000, 8, 600))
    drawn = coder.quantile(np.random.default_rng(0).random(20_000) * coder.mass.sum())
    for at in np.quantile(drawn, [0.1, 0.5, 0.8]):
        share = coder.cumulative_mass(np.array([at]))[0] / coder.mass.sum()
        assert share == pytest.approx((drawn < at).mean(), abs=0.015)
        covered = coder.coverage(-np.inf, at)[0] @ np.diff(np.append(coder._ends[coder._starts[:-1]], coder.mass.sum()))
        assert covered / coder.mass.sum() == pytest.approx((drawn <= at).mean(), abs=0.015)


@pytest.mark.parametrize("hour", [7, 8, 12])
@pytest.mark.parametrize("rows", [60, 600])
def test_few_moments_of_one_time_of_day_stay_at_it(rows: int, hour: int) -> None:
    wrong = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        days = pd.to_timedelta(rng.integers(0, 3 * rows, rows), "D")
        frame = pd.DataFrame({"at": pd.Timestamp("2023-01-02") + pd.Timedelta(hours=hour) + days})
        codec = Codec.measure(Table.of(frame))
        back = codec.decode(codec.encode(frame), rng)["at"]
        wrong.append((back.dt.hour != hour).mean())
    assert np.mean(wrong) < 0.12
