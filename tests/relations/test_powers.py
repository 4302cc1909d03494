"""Products of powers are discovered, and hold in rows whose columns were shuffled independently."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations
from tabsynth.relations.power_discovery import discover_powers

ROWS = 1000


def persons() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    height = np.round(rng.normal(170, 10, ROWS))
    return {"height": height, "weight": np.round(np.clip(height - 100 + rng.normal(0, 12, ROWS), 35, None), 1)}


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (lambda h, w: np.sqrt(h * w / 3600), "surface = 0.0166667 * height^0.5 * weight^0.5"),
        (lambda h, w: 0.007184 * h**0.725 * w**0.425, "surface = 0.007184 * height^0.725 * weight^0.425"),
        (lambda h, w: 0.02 * w**1.5, "surface = 0.02 * weight^1.5"),
    ],
    ids=["mosteller", "du bois", "one power"],
)
def test_a_surface_computed_from_height_and_weight_is_found_and_holds(formula, text):
    own = persons()
    frame = pd.DataFrame({**own, "surface": np.round(formula(own["height"], own["weight"]), 2)})
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    assert text in relations.describe()
    rng = np.random.default_rng(1)
    shuffled = np.stack([rng.permutation(tokens) for tokens in codec.encode(frame).T], axis=1)
    rows = relations.decode(codec, shuffled, rng)
    error = np.abs(rows["surface"] - formula(rows["height"], rows["weight"]))
    assert error.max() < 0.0051


def test_powers_that_hold_only_nearly_are_not_found():
    rng = np.random.default_rng(2)
    for _ in range(20):
        own = persons()
        noise = np.exp(rng.normal(0, 0.01, ROWS))
        surface = np.round(np.sqrt(own["height"] * own["weight"] / 3600) * noise, 2)
        others = {f"c{at}": np.round(rng.lognormal(3, 0.3, ROWS), 1) for at in range(4)}
        assert discover_powers({**own, **others, "surface": surface}, []) == []
