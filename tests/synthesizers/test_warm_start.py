"""Fits that continue from a fitted model: an extended vocabulary, copied weights, and rows of both fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import tabsynth
from tabsynth.errors import InputError, PrivacyError, SchemaError
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.warm_start.codec import extend_codec
from tabsynth.synthesizers.warm_start.network import SlotOrigin, copy_weights
from tabsynth.training.networks.masked import MaskedNet

ROWS = 4_000


def make_rows(seed: int, *, grown: bool = False) -> pd.DataFrame:
    """Dependent columns; a grown table has a new category, larger numbers and a missing cell."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=ROWS)
    city = np.where(x > 0.5, "north", np.where(x > -0.5, "middle", "south")).astype(object)
    amount = np.round(50 + 20 * x + rng.normal(size=ROWS), 1)
    if grown:
        new = rng.random(ROWS) < 0.1
        city[new], amount[new] = "harbour", np.round(300 + 20 * rng.random(int(new.sum())), 1)
    frame = pd.DataFrame(
        {"city": city, "amount": amount, "hours": rng.integers(0, 60, ROWS), "paid": np.round(amount + 7.5, 1)}
    )
    frame["country"] = frame["city"].map({"north": "N", "middle": "M", "south": "S", "harbour": "H"})
    if grown:
        frame.loc[:300, "country"] = None
    return frame


@pytest.fixture(scope="module")
def start() -> MaskedSynthesizer:
    return MaskedSynthesizer(epochs=3).fit(make_rows(0), seed=0, progress=False)


@pytest.fixture(scope="module")
def grown(start: MaskedSynthesizer) -> MaskedSynthesizer:
    rows = make_rows(1, grown=True)
    return MaskedSynthesizer(epochs=4).fit(rows, warm_start=start, seed=0, progress=False)


def test_new_categories_and_numbers_are_added_and_old_tokens_keep_their_meaning(start: MaskedSynthesizer) -> None:
    table = tabsynth.Table.of(make_rows(1, grown=True))
    codec, extended = extend_codec(start.codec_, table, 5)
    assert codec.coders["city"].values == (*start.codec_.coders["city"].values, "harbour")  # type: ignore[union-attr]
    old, new = start.codec_.numeric_coders["amount"], codec.numeric_coders["amount"]
    assert new.high[-1] >= 300 > old.high[-1]
    assert (np.diff(new.edges) > 0).all()
    assert (new.low <= new.high).all()
    numbers = np.linspace(old.low[0], old.high[-1], 200)
    place = extended["amount"].place
    assert place is not None
    np.testing.assert_array_equal(place[old.encode(numbers)], new.encode(numbers))
    assert new.mass.sum() == pytest.approx(2 * ROWS)
    for coder in codec.coders.values():
        assert coder.counts.sum() == 2 * ROWS


def test_a_grown_vocabulary_is_sampled_with_the_shares_of_all_rows(grown: MaskedSynthesizer) -> None:
    every = pd.concat([make_rows(0), make_rows(1, grown=True)])
    drawn = grown.sample(4_000, seed=1)
    for name in ("city", "country"):
        real = every[name].value_counts(normalize=True)
        found = drawn[name].value_counts(normalize=True).reindex(real.index, fill_value=0)
        assert (real - found).abs().max() < 0.03, name
    assert drawn["amount"].max() > 250
    assert grown.rows_ == 2 * ROWS
    np.testing.assert_allclose(drawn["paid"], drawn["amount"] + 7.5)  # both fits have the relation
    assert (drawn.loc[drawn["amount"] > 250, "city"] == "harbour").mean() > 0.7  # 0.05 of all rows


def test_a_saved_model_is_the_same(grown: MaskedSynthesizer, tmp_path: Path) -> None:
    grown.save(tmp_path / "m")
    loaded = tabsynth.load(tmp_path / "m")
    pd.testing.assert_frame_equal(loaded.sample(50, seed=2), grown.sample(50, seed=2))
    assert loaded.card() == grown.card()
    assert loaded.card()["earlier_rows"] == ROWS


def test_without_new_tokens_the_copied_network_predicts_as_the_old_one(start: MaskedSynthesizer) -> None:
    layout = start.layout_
    net = start._network(torch.Generator().manual_seed(9))
    assert isinstance(net, MaskedNet) and isinstance(start.net_, MaskedNet)  # noqa: PT018
    same = [SlotOrigin(slot, np.arange(size), np.arange(size)) for slot, size in enumerate(layout.sizes)]
    copy_weights(start.net_, net, same)
    tokens = torch.from_numpy(start._encode_known(make_rows(2)).astype(np.int64))
    tokens[:, ::2] = -1
    with torch.inference_mode():
        torch.testing.assert_close(net.eval()(tokens), start.net_(tokens), atol=1e-4, rtol=1e-4)


def test_the_rows_need_the_same_columns(start: MaskedSynthesizer) -> None:
    with pytest.raises(SchemaError, match="country"):
        MaskedSynthesizer().fit(make_rows(1).drop(columns="country"), warm_start=start)


def test_what_cannot_be_continued_is_refused(start: MaskedSynthesizer) -> None:
    rows = make_rows(1)[["city"]]
    with pytest.raises(InputError, match="warm_start is for MaskedSynthesizer"):
        MarginalSynthesizer().fit(rows, warm_start=start)
    with pytest.raises(InputError, match="no row weights"):
        MaskedSynthesizer().fit(make_rows(1), warm_start=start, weights=np.ones(ROWS) * np.arange(1, ROWS + 1))
    schema = Schema.from_dict({"columns": {"city": {"kind": "categorical", "values": ["north", "middle", "south"]}}})
    with pytest.raises(PrivacyError, match="takes no warm_start"):
        MaskedSynthesizer().fit(rows, schema=schema, privacy=Privacy(1.0, 1e-5), warm_start=start)
