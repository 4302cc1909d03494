"""MarginalSynthesizer: privacy guarantees and fidelity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import InputError, PrivacyError
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.schema import Schema
from tabsynth.synthesizers import registry
from tabsynth.synthesizers.marginal.budget_allocation import n_trees
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.options import FitOptions

ROWS = 6000

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "id": {"kind": "identifier"},
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "bill": {"kind": "numeric", "low": -1000, "high": 1_000_000, "decimals": 0, "nullable": True},
            "dose": {"kind": "numeric", "low": 0, "high": 10},
            "town": {"kind": "categorical", "values": ["A", "B", "C", "D", "E"], "nullable": True},
            "seen": {"kind": "datetime", "low": "2020-01-01", "high": "2024-12-31", "resolution": "D"},
            "note": {"kind": "text"},
            "ill": {"kind": "boolean", "role": "target"},
        }
    }
)


def table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 95, rows)
    ill = rng.random(rows) < 1 / (1 + np.exp(-(age - 60) / 8))
    bill = np.where(rng.random(rows) < 0.4, 0, np.where(ill, 5000, 500) * np.ceil(rng.exponential(2, rows)))
    frame = pd.DataFrame(
        {
            "id": [f"P{i}" for i in range(rows)],
            "age": age,
            "bill": np.where(rng.random(rows) < 0.05, np.nan, bill),
            "dose": np.clip(rng.gamma(2, 1 + ill), 0, 10),
            "town": rng.choice(["A", "B", "C"], rows, p=[0.6, 0.3, 0.1]),
            "seen": pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 700, rows), "D"),
            "note": "seen",
            "ill": ill,
        }
    )
    frame.loc[rng.random(rows) < 0.05, "town"] = None
    return frame


def fitted(epsilon: float = 2.0, components: int | None = None) -> MarginalSynthesizer:
    model = MarginalSynthesizer(components=components)
    return model.fit(table(), schema=SCHEMA, privacy=Privacy(epsilon, 1e-6, insecure_seed=3))


@pytest.fixture(scope="module")
def private() -> MarginalSynthesizer:
    return fitted()


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 8.0])
def test_spends_what_was_asked_for_and_no_more(epsilon: float) -> None:
    model = fitted(epsilon)
    assert 0.99 * epsilon < model.ledger_.epsilon() <= epsilon
    assert np.isfinite(model.log_prob(model.sample(50, seed=0))).all()


def test_private_rows_are_like_those_it_was_fitted_to() -> None:
    real, drawn = table(), fitted(8.0).sample(ROWS, seed=1)
    assert abs(drawn["age"].mean() - real["age"].mean()) < 1
    assert abs((drawn["bill"] == 0).mean() - (real["bill"] == 0).mean()) < 0.03
    assert abs(drawn["bill"].isna().mean() - real["bill"].isna().mean()) < 0.02
    assert (drawn["town"].value_counts(normalize=True) - real["town"].value_counts(normalize=True)).abs().max() < 0.03
    for name in ("age", "dose"):
        gap = [frame.groupby(frame["ill"].astype(bool))[name].mean().diff().iloc[-1] for frame in (real, drawn)]
        assert abs(gap[0] - gap[1]) < 0.15 * abs(gap[0])


def test_amounts_heap_where_the_real_ones_do(private: MarginalSynthesizer) -> None:
    """Every real amount is a multiple of 500; over ten draws of the noise .90 to .95 are, and 1 in 500 by chance."""
    bill = private.sample(ROWS, seed=1)["bill"].dropna()
    assert (bill[bill > 0] % 500 == 0).mean() > 0.85


def test_by_default_as_many_rows_as_the_noisy_count() -> None:
    counts = {len(fitted_anew.sample(seed=0)) for fitted_anew in (noisy(seed) for seed in range(3))}
    assert counts != {ROWS}
    assert all(abs(count - ROWS) < 300 for count in counts)


def noisy(seed: int) -> MarginalSynthesizer:
    small = SCHEMA["age"], SCHEMA["ill"]
    schema = Schema({column.name: column for column in small})
    frame = table()[["age", "ill"]]
    return MarginalSynthesizer().fit(frame, schema=schema, privacy=Privacy(1.0, 1e-6, insecure_seed=seed))


def test_a_private_model_comes_back_from_its_file(private: MarginalSynthesizer, tmp_path: Path) -> None:
    private.save(tmp_path / "m.tabsynth")
    read = registry.load(tmp_path / "m.tabsynth")
    pd.testing.assert_frame_equal(read.sample(200, seed=1), private.sample(200, seed=1))
    assert read.ledger_.epsilon() == private.ledger_.epsilon()


def test_conditions_are_met_exactly(private: MarginalSynthesizer) -> None:
    wanted = {"age": (60, 70), "town": ["A", "D"], "ill": True, "bill": (1000, 20_000)}
    drawn = private.sample(500, given=wanted, seed=0)
    assert drawn["age"].between(60, 70).all()
    assert drawn["bill"].between(1000, 20_000).all()
    assert set(drawn["town"]) <= {"A", "D"}  # no row has D; its noisy count decides whether it is drawn beside A
    assert set(private.sample(20, given={"town": "D", "ill": True}, seed=0)["town"]) == {"D"}
    assert drawn["ill"].all()
    rows = pd.DataFrame({"age": [20, 40, 90], "town": ["C", None, "A"]})
    drawn = private.sample(given=rows, seed=0)
    assert drawn["age"].tolist() == [20, 40, 90]
    assert drawn["town"].tolist()[::2] == ["C", "A"]


def test_given_columns_move_the_others(private: MarginalSynthesizer) -> None:
    old, young = (private.sample(2000, given={"age": age}, seed=0)["ill"].mean() for age in (85, 25))
    assert old > 0.85
    assert young < 0.15


def test_what_one_person_alone_holds_never_appears(private: MarginalSynthesizer) -> None:
    """Undeclared values go to public cells before anything is counted; no draw can bring them back."""
    frame = table()
    for name, value in {"town": "Hermitage", "age": 999, "bill": 123_456_789, "note": "secret"}.items():
        frame.loc[0, name] = value  # type: ignore[call-overload]
    frame["id"] = frame["id"].replace("P0", "Q-unique")
    frame["dose"] = frame["dose"].astype(object)
    frame.loc[1, "dose"] = "a lot"
    model = MarginalSynthesizer().fit(frame, schema=SCHEMA, privacy=Privacy(2.0, 1e-6, insecure_seed=3))
    drawn = model.sample(20_000, seed=0)
    assert set(drawn["town"].dropna()) <= set("ABCDE")
    assert drawn["age"].between(0, 120).all()
    assert drawn["bill"].dropna().between(-1000, 1_000_000).all()
    assert "secret" not in set(drawn["note"])
    assert "Q-unique" not in set(drawn["id"])
    # What does not depend on the noise is the same with and without that person.
    assert drawn.dtypes.to_dict() == private.sample(5, seed=0).dtypes.to_dict()
    assert model.card().keys() == private.card().keys()


def test_a_declared_category_is_as_frequent_as_noise_lets_it_be() -> None:
    """D has one row and E none: nothing larger than the noise distinguishes them."""
    frame = table()
    frame.loc[0, "town"] = "D"
    drawn = MarginalSynthesizer().fit(frame, schema=SCHEMA, privacy=Privacy(0.5, 1e-6, insecure_seed=5))
    shares = drawn.sample(50_000, seed=0)["town"].value_counts(normalize=True)
    assert shares.reindex(["D", "E"], fill_value=0.0).max() < 0.06


def test_every_read_is_charged_first() -> None:
    """A frame whose cells cannot be had: all that happens before the first charge must get by without them."""

    class Poisoned(pd.DataFrame):
        def __getitem__(self, key: object) -> pd.Series:  # type: ignore[override]
            raise AssertionError(f"{key!r} was read")

    frame = table(50)
    private = Privacy(1.0, 1e-6, insecure_seed=0)
    ledger = private.opened()
    with pytest.raises(AssertionError, match="was read"):
        MarginalSynthesizer()._fit_private(Poisoned(frame), SCHEMA, ledger, FitOptions(0))
    assert len(ledger.open_ledger) == 1


def test_a_person_of_several_rows_is_protected_as_a_whole() -> None:
    frame = table()
    frame["id"] = [f"P{i // 6}" for i in range(ROWS)]
    schema = SCHEMA.replace("id", role="person")
    model = MarginalSynthesizer().fit(
        frame, schema=schema, privacy=Privacy(4.0, 1e-6, unit="id", rows_per_person=3, insecure_seed=1)
    )
    assert all(entry.sensitivity == 3 for entry in model.ledger_.entries)
    assert 3.96 < model.ledger_.epsilon() <= 4.0
    assert abs(model.rows_ - ROWS / 2) < 300  # half of each person's rows are over the cap
    assert model.sample(10, seed=0)["id"].is_unique


def test_without_privacy_numbers_and_categories_are_close() -> None:
    frame = table(3000)
    drawn = MarginalSynthesizer().fit(frame, schema=SCHEMA, seed=0).sample(3000, seed=1)
    assert abs(drawn["age"].mean() - frame["age"].mean()) < 0.5
    assert abs((drawn["bill"] == 0).mean() - (frame["bill"] == 0).mean()) < 0.01
    real, own = (pd.crosstab(f["ill"].astype(bool), f["age"] // 20, normalize=True) for f in (frame, drawn))
    assert np.abs(real.to_numpy() - own.to_numpy()).sum() / 2 < 0.02


def test_constraints_are_kept() -> None:
    rng = np.random.default_rng(0)
    low = rng.integers(0, 50, 2000)
    frame = pd.DataFrame({"low": low, "high": low + rng.integers(0, 20, 2000)})
    schema = Schema.from_dict(
        {
            "columns": {name: {"kind": "numeric", "low": 0, "high": 100, "decimals": 0} for name in frame},
            "constraints": [{"kind": "inequality", "low": "low", "high": "high"}],
        }
    )
    drawn = MarginalSynthesizer().fit(frame, schema=schema, privacy=Privacy(2.0, 1e-6, insecure_seed=0)).sample(1000)
    assert (drawn["low"] <= drawn["high"]).all()


def test_imputes_from_what_is_known(private: MarginalSynthesizer) -> None:
    rows = pd.DataFrame({"age": [20.0, 90.0, np.nan], "ill": [None, None, True]})
    filled = private.impute(rows, seed=0)
    assert filled["ill"].tolist() == [False, True, True]
    assert filled["age"].notna().all()
    assert filled["age"].iloc[2] > 55


def test_the_pairs_of_a_wide_table_that_are_counted_in_detail_are_few() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 3, 2000)
    frame = pd.DataFrame({f"c{i}": (base + (rng.random(2000) < 0.3)) % 3 for i in range(24)})
    column = {"kind": "categorical", "values": [0, 1, 2]}
    schema = Schema.from_dict({"columns": dict.fromkeys(frame, column)})
    model = MarginalSynthesizer(components=16).fit(frame, schema=schema, privacy=Privacy(5.0, 1e-6, insecure_seed=0))
    purpose = model.ledger_.entries[-1].purpose
    assert int(purpose.split()[0]) <= n_trees(2000, gaussian_rho(5.0, 1e-6)) * 23
    assert 4.95 < model.ledger_.epsilon() <= 5.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origin": "inferred"}, "column 'age' was inferred"),
        ({"low": None}, "column 'age' has no low"),
    ],
)
def test_what_is_not_public_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(PrivacyError, match=message):
        MarginalSynthesizer().fit(table(20), schema=SCHEMA.replace("age", **change), privacy=Privacy(1.0))


@pytest.mark.parametrize(("option", "value"), [("method", "forest"), ("components", 0), ("min_group", 0)])
def test_options_are_checked_before_anything_is_spent(option: str, value: object) -> None:
    with pytest.raises(InputError, match=option):
        MarginalSynthesizer().set_params(**{option: value}).fit(table(20), schema=SCHEMA, privacy=Privacy(1.0))


def test_noise_of_a_seed_gives_the_same_model() -> None:
    one, two = (fitted(1.0, components=16).sample(100, seed=0) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_keys_are_unique_when_rows_are_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    begin = rng.integers(0, 100, 300)
    frame = pd.DataFrame(
        {"id": [f"K{i:05d}" for i in range(300)], "begin": begin, "end": begin + rng.integers(0, 50, 300)}
    )
    schema = Schema.from_dict(
        {
            "columns": {"id": {"kind": "identifier"}, "begin": {"kind": "numeric"}, "end": {"kind": "numeric"}},
            "constraints": [{"kind": "inequality", "low": "begin", "high": "end"}],
        }
    )
    drawn = MarginalSynthesizer().fit(frame, schema=schema, seed=0).sample(500, seed=0)
    assert (drawn["begin"] <= drawn["end"]).all()
    assert drawn["id"].is_unique


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("rows", [30, 400])
@pytest.mark.parametrize("decimals", [None, 0, 2])
@pytest.mark.parametrize("nullable", [False, True])
def test_a_column_that_may_have_one_number_only(rows: int, decimals: int | None, nullable: bool) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"same": np.full(rows, 5.0), "day": pd.Timestamp("2020-01-01"), "x": rng.integers(0, 9, rows)})
    columns: dict[str, dict[str, object]] = {
        "same": {"kind": "numeric", "low": 5, "high": 5, "decimals": decimals, "nullable": nullable},
        "day": {"kind": "datetime", "low": "2020-01-01", "high": "2020-01-01", "resolution": "D"},
        "x": {"kind": "numeric", "low": 0, "high": 9, "decimals": 0},
    }
    for epsilon in (0.1, 1.0, 5.0):
        privacy = Privacy(epsilon, 1e-6, insecure_seed=1)
        model = MarginalSynthesizer().fit(frame, schema=Schema.from_dict({"columns": columns}), privacy=privacy)
        sample = model.sample(20, seed=0)
        assert (sample["same"].dropna() == 5).all()
        assert (sample["day"] == pd.Timestamp("2020-01-01")).all()


def test_a_range_that_overflows_is_refused() -> None:
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric", "low": -1e200, "high": 1e200}}})
    with pytest.raises(PrivacyError, match=r"column 'x'.*too wide; narrow the bounds"):
        MarginalSynthesizer().fit(pd.DataFrame({"x": [1.0]}), schema=schema, privacy=Privacy(1.0, 1e-6))
