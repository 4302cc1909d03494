"""Tree refinement resamples low-cardinality columns where trees are better, and keeps their training shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare

from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.options import SampleContext
from tabsynth.synthesizers.private import masked
from tabsynth.synthesizers.registry import load
from tabsynth.synthesizers.sampling.tree_refinement import (
    MIN_ROWS,
    TreeConditionals,
    fit_tree_conditionals,
)
from tabsynth.training.networks.autoregressive import AutoregressiveModel
from tabsynth.training.networks.layout import Layout
from tabsynth.training.validation_split import TrainValidation


def parity(rows: int) -> pd.DataFrame:
    """Parity of the signs of three numbers, wrong in one row of twenty: no pair of columns is informative."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 3))
    odd = ((numbers > 0).sum(1) % 2 == 1) ^ (rng.random(rows) < 0.05)
    kind = rng.choice(["x", "y", "z", "u"], rows, p=[0.6, 0.36, 0.02, 0.02])
    return pd.DataFrame(numbers, columns=["a", "b", "c"]).assign(kind=kind, odd=np.where(odd, "yes", "no"))


def right(rows: pd.DataFrame) -> float:
    """The share of rows whose parity is right."""
    return float((((rows[["a", "b", "c"]] > 0).sum(axis=1) % 2 == 1) == (rows["odd"] == "yes")).mean())


def network_alone(model: MaskedSynthesizer, path: Path) -> MaskedSynthesizer:
    """The same model with what the network draws alone."""
    model.save(path)
    other = load(path)
    assert isinstance(other, MaskedSynthesizer)
    other.tree_conditionals_, other.trees_ = TreeConditionals((), other.tree_conditionals_.calibration_weights), None
    return other


@pytest.fixture(scope="module")
def short() -> MaskedSynthesizer:
    """A model whose network had no time to learn parity."""
    return MaskedSynthesizer(epochs=1).fit(parity(12_000), seed=0, progress=False)


def test_what_the_network_missed_is_drawn_by_trees(short: MaskedSynthesizer, tmp_path: Path) -> None:
    """Parity is right in .95 of the training rows; the network, like chance, has it in half."""
    assert "odd" in short.card()["drawn_by_trees"]
    assert right(short.sample(4000, seed=1)) > 0.85
    assert right(short.sample(4000, seed=1, calibrate=False, stratify=False)) > 0.85
    assert right(network_alone(short, tmp_path / "m").sample(4000, seed=1)) < 0.6


SIZES = (4, 3, 2, 3)


def distribution() -> npt.NDArray[np.float64]:
    """The chance of each row of four tokens: the third hangs on the first two together, the last on nothing."""
    first = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.05, 0.15, 0.8]]) / 4
    one = np.array([[0.9, 0.5, 0.2], [0.1, 0.6, 0.3], [0.5, 0.8, 0.4], [0.2, 0.3, 0.7]])
    three = first[:, :, None] * np.stack([1 - one, one], 2)
    return np.asarray(three[:, :, :, None] * np.array([0.5, 0.3, 0.2]))


class Knowing(AutoregressiveModel):
    """An autoregressive model with a given distribution, true or false."""

    def __init__(self, layout: Layout, probabilities: npt.NDArray[np.float64]) -> None:
        self.layout, self.probabilities = layout, probabilities

    def log_probs(self, tokens: torch.Tensor, order: Sequence[int], begin: int = 0) -> torch.Tensor:
        return torch.zeros(len(tokens), len(order))

    def conditional_log_prob(
        self, tokens: torch.Tensor, slot: int, order: Sequence[int], own: torch.Tensor
    ) -> torch.Tensor:
        given = self.probabilities / self.probabilities.sum(slot, keepdims=True)
        given = np.broadcast_to(given, np.broadcast_shapes(given.shape, SIZES))
        return torch.from_numpy(np.log(given[tuple(tokens.numpy().T)]))


def kept(probabilities: npt.NDArray[np.float64], held: int, rows: int = 4000) -> list[int]:
    """The slots that trees predict better than a chain with ``probabilities`` as its distribution."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(distribution().size, rows + held, p=distribution().ravel())
    tokens = torch.from_numpy(np.stack(np.unravel_index(drawn, SIZES), 1))
    counts = tuple(np.bincount(column, minlength=size) for column, size in zip(tokens.numpy().T, SIZES, strict=True))
    layout = Layout(SIZES, (0, 0, 0, 3), counts)
    emit = [np.ones(size, bool) for size in SIZES]
    parts = TrainValidation(tokens[:rows], tokens[rows:])
    return [
        trees.slot
        for trees in fit_tree_conditionals(Knowing(layout, probabilities), [3, 1, 0, 2], emit, parts, 0, False)
    ]


def test_trees_are_kept_exactly_where_they_make_held_out_rows_likelier() -> None:
    """Trees never replace the true distribution, nor help the fourth slot if the causes of the third are unknown."""
    assert kept(distribution(), 20_000) == []
    ignorant = distribution().sum(2, keepdims=True) * distribution().sum((0, 1, 3), keepdims=True)
    assert kept(ignorant, 20_000) == [1, 0, 2]


def test_few_rows_teach_no_trees() -> None:
    ignorant = distribution().sum(2, keepdims=True) * distribution().sum((0, 1, 3), keepdims=True)
    assert kept(ignorant, 20_000, MIN_ROWS) == [1, 0, 2]
    assert kept(ignorant, 20_000, MIN_ROWS - 1) == []


def test_a_single_value_stays_as_given(short: MaskedSynthesizer) -> None:
    """In the rows, and in the tokens from which they are made."""
    assert (short.sample(500, given={"odd": "yes"}, seed=2)["odd"] == "yes").all()
    fixed = pd.DataFrame({"odd": ["yes", "no", None] * 200, "kind": [None, "u", "z"] * 200})
    rows = short.sample(given=fixed, seed=2)
    for name in ("odd", "kind"):
        asked = fixed[name].notna()
        assert (rows.loc[asked, name] == fixed.loc[asked, name]).all()
    known = short._encode_known(fixed)
    drawn = short._sample_tokens(known, [None] * known.shape[1], SampleContext.of(2, False, calibrate=False))
    assert (drawn[known >= 0] == known[known >= 0]).all()


def test_limits_stay_as_given_and_what_is_free_is_redrawn(short: MaskedSynthesizer) -> None:
    """Conditions of one row in twenty-five, which are drawn under their limits and not picked from plain rows."""
    rows = short.sample(1000, given={"kind": ["z", "u"]}, seed=3)
    assert set(rows["kind"]) == {"z", "u"}
    assert right(rows) > 0.8
    rows = short.sample(1000, given={"a": (1.9, 9.0), "odd": ["no"]}, seed=3)
    assert rows["a"].min() >= 1.9
    assert (rows["odd"] == "no").all()
    assert right(short.sample(1000, given={"a": (1.9, 9.0)}, seed=3)) > 0.8


def test_a_saved_model_draws_the_same_rows(short: MaskedSynthesizer, tmp_path: Path) -> None:
    short.save(tmp_path / "m")
    read = load(tmp_path / "m")
    assert isinstance(read, MaskedSynthesizer)
    assert read.card()["drawn_by_trees"] == short.card()["drawn_by_trees"]
    for calibrate in (True, False):
        own, again = (model.sample(2000, seed=4, calibrate=calibrate) for model in (short, read))
        pd.testing.assert_frame_equal(again, own)


def test_a_seed_gives_the_same_fit(short: MaskedSynthesizer) -> None:
    again = MaskedSynthesizer(epochs=1).fit(parity(12_000), seed=0, progress=False)
    for one, other in zip(again.tree_conditionals_.trees, short.tree_conditionals_.trees, strict=True):
        np.testing.assert_array_equal(one.forest.nodes, other.forest.nodes)
    assert again.tree_conditionals_.calibration_weights.keys() == short.tree_conditionals_.calibration_weights.keys()
    assert all(
        torch.equal(own, short.tree_conditionals_.calibration_weights[slot])
        for slot, own in again.tree_conditionals_.calibration_weights.items()
    )
    pd.testing.assert_frame_equal(again.sample(500, seed=5), short.sample(500, seed=5))


def test_a_private_fit_has_none(short: MaskedSynthesizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even those of a fit before it."""
    monkeypatch.setattr(masked, "N_PRETRAINING_EPOCHS", 1)
    short.save(tmp_path / "m")
    columns: dict[str, object] = {
        "kind": {"kind": "categorical", "values": ["x", "y", "z", "u"]},
        "odd": {"kind": "categorical", "values": ["no", "yes"]},
    }
    columns |= {name: {"kind": "numeric", "low": -6.0, "high": 6.0, "decimals": 1} for name in "abc"}
    model = load(tmp_path / "m")
    assert isinstance(model, MaskedSynthesizer)
    assert model.tree_conditionals_.trees
    assert model.tree_conditionals_.calibration_weights
    model.fit(parity(600), schema=Schema.from_dict({"columns": columns}), privacy=Privacy(3.0, 1e-5), progress=False)
    assert model.tree_conditionals_.trees == ()
    assert not model.tree_conditionals_.calibration_weights
    assert model.card()["drawn_by_trees"] == []


COLUMNS = ["sex", "retired", "city", "smokes", "blood"]


@pytest.fixture(scope="module")
def hasty(persons: Callable[..., pd.DataFrame]) -> MaskedSynthesizer:
    """A model of people after one pass, by its network alone."""
    model = MaskedSynthesizer(epochs=1).fit(persons(3600), seed=0, progress=False)
    model.trees_, model.tree_conditionals_ = None, TreeConditionals((), model.tree_conditionals_.calibration_weights)
    return model


@pytest.mark.parametrize("small", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_samples_of_any_size_have_the_training_shares(
    hasty: MaskedSynthesizer, persons: Callable[..., pd.DataFrame], small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6,000 rows, drawn at once without calibration or 40 at a time: false alarms are one in 200 for five columns."""
    frame = persons(3600)

    def least() -> float:
        """The least p-value of a column against its training shares."""
        if small:
            rows = pd.concat([hasty.sample(40, seed=seed, stratify=False) for seed in range(150)])
        else:
            rows = hasty.sample(6000, seed=1, calibrate=False, stratify=False)
        found = []
        for name in COLUMNS:
            shares = frame[name].value_counts(normalize=True)
            counts = rows[name].value_counts().reindex(shares.index).fillna(0)
            found.append(float(chisquare(counts, shares * counts.sum()).pvalue))
        return min(found)

    assert least() > 1e-3
    monkeypatch.setattr(hasty, "tree_conditionals_", TreeConditionals())
    assert least() < 1e-6
