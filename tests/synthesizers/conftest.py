"""One table of people, and each of our deep models fitted to it once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tabsynth.synthesizers.gan import GANSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.vae import VAESynthesizer


def people(rows: int = 2600, seed: int = 0) -> pd.DataFrame:
    """A table with known dependencies: city -> country, age -> retired, height ~ sex; rare blood types, gaps."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], rows)
    age = rng.integers(18, 90, rows)
    city = rng.choice(["Bern", "Basel", "Oslo"], rows, p=[0.5, 0.3, 0.2])
    smokes = rng.random(rows) < np.where(sex == "m", 0.4, 0.2)
    return pd.DataFrame(
        {
            "sex": sex,
            "age": age,
            "retired": age >= 65,
            "height": np.round(rng.normal(np.where(sex == "m", 178, 165), 6), 1),
            "city": pd.Categorical(city),
            "country": np.where(city == "Oslo", "Norway", "Switzerland"),
            "smokes": np.where(smokes, "yes", "no"),
            "blood": rng.choice(["0", "A", "B", "AB", "h"], rows, p=[0.41, 0.43, 0.11, 0.04, 0.01]),
            "income": np.where(rng.random(rows) < 0.2, np.nan, np.round(rng.lognormal(8, 0.5, rows))),
        }
    )


@pytest.fixture(scope="session")
def persons() -> Callable[..., pd.DataFrame]:
    """More people: ``persons(rows, seed=...)``."""
    return people


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """The people."""
    return people()


@pytest.fixture(scope="session")
def masked(frame: pd.DataFrame) -> MaskedSynthesizer:
    """The masked model of them."""
    return MaskedSynthesizer().fit(frame, seed=0)


@pytest.fixture(scope="session")
def vae(frame: pd.DataFrame) -> VAESynthesizer:
    """The VAE of them."""
    return VAESynthesizer(epochs=18).fit(frame, seed=0)


@pytest.fixture(scope="session")
def gan(frame: pd.DataFrame) -> GANSynthesizer:
    """The GAN of them."""
    return GANSynthesizer(epochs=30).fit(frame, seed=0)
