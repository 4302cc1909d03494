"""Attribute inference on tables with known answers: each kind of secret is guessed from the nearest row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.privacy.attacks.attack_result import AttackResult
from tabsynth.privacy.attacks.attribute_inference import attack_attributes
from tabsynth.privacy.attacks.membership_game import MembershipGame, split_targets
from tabsynth.schema import Schema

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "x": {"kind": "numeric"},
            "y": {"kind": "numeric"},
            "illness": {"kind": "categorical", "role": "sensitive"},
            "smoker": {"kind": "boolean", "role": "sensitive"},
            "income": {"kind": "numeric", "role": "sensitive"},
        }
    }
)
SECRETS = ["illness", "smoker", "income"]


def rows(n: int, seed: int) -> pd.DataFrame:
    """Secrets that follow from nothing: who guesses them better than chance has seen them."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
            "illness": rng.choice(["flu", "asthma", "gout", "none"], n),
            "smoker": rng.random(n) < 0.5,
            "income": rng.lognormal(size=n),
        }
    )


def inferred(made: pd.DataFrame, train: pd.DataFrame, held: pd.DataFrame) -> dict[str, AttackResult]:
    tables = encode_tables([train, made, held], SCHEMA)
    game: MembershipGame = split_targets(tables[0], tables[1], tables[2], np.random.default_rng(0))
    chosen = np.arange(len(game.is_member))
    found = attack_attributes(game, SECRETS, {"random": chosen, "isolated": chosen[::2]})
    return {item.name.removeprefix("inference_random_"): item for item in found if item.records == "random"}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_published_secret_is_inferred_of_every_member_and_of_no_other(secret: str) -> None:
    train, held = rows(400, 1), rows(600, 2)
    found = inferred(train, train, held)[secret]
    chance = {"illness": 0.25, "smoker": 0.5, "income": 0.05}[secret]
    assert found.success == 1.0
    assert found.control == pytest.approx(chance, abs=0.09)  # 400 controls: over three standard deviations
    assert found.baseline == pytest.approx(chance, abs=0.09)
    assert found.p is not None
    assert found.p < 1e-10


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_was_drawn_anew_is_inferred_of_nobody(secret: str) -> None:
    train, held = rows(400, 1), rows(600, 2)
    others = rows(400, 3)
    found = inferred(train.assign(**{secret: others[secret]}), train, held)
    assert (found[secret].p or 0.0) > 0.001
    for other in set(SECRETS) - {secret}:  # one false column of five does not hide the others
        assert (found[other].p or 0.0) < 0.01
