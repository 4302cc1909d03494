"""Source membership: participating sites are detected where possible, and none under the null."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from tabsynth.errors import DataError, SchemaError
from tabsynth.privacy.attacks.source_inference import infer_source, infer_source_with_models
from tabsynth.schema import Schema

SCHEMA = Schema.from_dict(
    {"columns": {"x": {"kind": "numeric"}, "y": {"kind": "numeric"}, "k": {"kind": "categorical"}}}
)


def site(n: int, seed: int, shift: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, n)
    return pd.DataFrame({"x": x, "y": x * np.cos(shift) + rng.normal(0, 0.3, n), "k": rng.choice(list("ab"), n)})


def test_sites_that_took_part_are_told_from_those_that_did_not() -> None:
    shifts = {f"s{i}": 4.0 * i for i in range(6)}
    inside, outside = ["s0", "s2", "s4"], ["s1", "s3", "s5"]
    made = pd.concat([site(300, i, shifts[name]) for i, name in enumerate(inside)], ignore_index=True)
    found = infer_source(
        made,
        {name: site(200, 10 + i, shifts[name]) for i, name in enumerate(inside)},
        {name: site(200, 20 + i, shifts[name]) for i, name in enumerate(outside)},
        SCHEMA,
    )
    assert found.p == pytest.approx(1 / 20)
    assert found.value == 1.0
    assert {part.columns[0] for part in found.detail} == set(shifts)


def test_sites_that_are_alike_raise_no_more_alarms_than_the_level() -> None:
    alarms = 0
    for seed in range(100):
        sites = {f"s{i}": site(40, 100 * seed + i, 0.0) for i in range(6)}
        named = dict(list(sites.items())[:3]), dict(list(sites.items())[3:])
        alarms += (infer_source(site(100, 100 * seed + 50, 0.0), *named, SCHEMA).p or 0.0) <= 0.05
    assert alarms <= binom.ppf(0.999, 100, 0.05)


def _noisy(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = frame.sample(len(frame), replace=True, random_state=seed).reset_index(drop=True)
    return made.assign(x=made["x"] + rng.normal(0, 0.3, len(made)))


def _deaf(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return site(len(frame), seed, 0.0)


@pytest.mark.parametrize(("fit", "heard"), [(_noisy, True), (_deaf, False)])
def test_with_the_model_at_hand(fit: Callable[[pd.DataFrame, int], pd.DataFrame], heard: bool) -> None:
    others = pd.concat([site(300, i, 0.5 * i) for i in range(3)], ignore_index=True)
    found = infer_source_with_models(fit, others, site(150, 5, 3.0), site(150, 6, 3.0), SCHEMA)
    assert ((found.p or 0.0) < 0.001) == heard


def test_bad_input_is_refused() -> None:
    one = site(20, 0, 0.0)
    with pytest.raises(DataError, match="in took_part and in stayed_out"):
        infer_source(one, {"a": one, "b": one}, {"a": one, "c": one}, SCHEMA)
    with pytest.raises(DataError, match="two sites"):
        infer_source(one, {"a": one}, {"b": one, "c": one}, SCHEMA)
    with pytest.raises(SchemaError, match="'b' has other columns"):
        infer_source(one, {"a": one, "b": one.drop(columns="x")}, {"c": one, "d": one}, SCHEMA)
    with pytest.raises(DataError, match="too few"):
        infer_source_with_models(_deaf, one, one, one, SCHEMA)
