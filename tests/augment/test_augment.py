"""Augmentation for balance: requested counts, unchanged real rows, and columns within their domain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.augment import oversampling
from tabsynth.data import Table
from tabsynth.errors import ConditionError, DataError, InputError, MissingDependencyError, SchemaError
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer


@pytest.fixture
def model(toy: pd.DataFrame) -> MaskedSynthesizer:
    return MaskedSynthesizer(epochs=2).fit(toy, seed=0)


def shares(frame: pd.DataFrame, by: str, target: str) -> np.ndarray:
    return pd.crosstab(frame[by], frame[target], normalize="index").to_numpy()


def test_classes_come_to_equal_shares_and_real_rows_stay(model: MaskedSynthesizer, toy: pd.DataFrame) -> None:
    made = oversampling.oversample(model, toy, target="outcome", seed=1)
    assert made.frame["outcome"].value_counts().nunique() == 1
    pd.testing.assert_frame_equal(made.frame[~made.synthetic], toy)
    assert made.counts["add"].sum() == made.synthetic.sum() == len(made.frame) - len(toy)
    assert list(made.frame.columns) == list(toy.columns)
    assert made.frame["mrn"].is_unique


def test_every_class_of_every_group_comes_to_equal_shares(model: MaskedSynthesizer, toy: pd.DataFrame) -> None:
    made = oversampling.oversample(model, toy, target="outcome", by=["group", "smoker"], seed=1)
    assert made.frame.dropna(subset="group").value_counts(["group", "smoker", "outcome"]).nunique() == 1
    assert made.frame["group"].isna().sum() == toy["group"].isna().sum()


def test_groups_come_to_equal_rates(model: MaskedSynthesizer, toy: pd.DataFrame) -> None:
    made = oversampling.oversample(model, toy, target="outcome", by="smoker", to="equal_rates", seed=1)
    rates = shares(made.frame, "smoker", "outcome")
    assert np.ptp(rates, axis=0).max() < 0.01
    assert 0 < made.synthetic.sum() < len(toy)


def test_a_seed_decides(model: MaskedSynthesizer, toy: pd.DataFrame) -> None:
    first, again, other = (oversampling.oversample(model, toy, target="outcome", seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert not first.frame.equals(other.frame)


def test_a_balanced_sample_has_equal_rates_and_as_many_rows_as_asked(model: MaskedSynthesizer) -> None:
    sample = oversampling.balanced_sample(model, 900, target="outcome", by="group", seed=1)
    assert len(sample) == 900
    assert np.ptp(shares(sample, "group", "outcome"), axis=0).max() < 0.01
    assert sample["mrn"].is_unique
    equal = oversampling.balanced_sample(
        model, 900, target="outcome", by="group", shares="equal", classes={"ill": 0.25, "well": 0.75}, seed=1
    )
    assert equal["group"].value_counts().tolist() == [300, 300, 300]
    np.testing.assert_allclose(shares(equal, "group", "outcome")[:, 0], 0.25, atol=0.01)
    again = oversampling.balanced_sample(model, 900, target="outcome", by="group", seed=1)
    pd.testing.assert_frame_equal(sample, again)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"target": "age"}, SchemaError, "column 'age' is numeric and cannot be balanced"),
        ({"target": "colour"}, SchemaError, "unknown column 'colour'"),
        ({"target": "outcome", "to": "equal_rates"}, InputError, "name the columns that define them with by="),
        ({"target": "outcome", "to": "even"}, InputError, "to must be one of equal_shares, equal_rates"),
        ({"target": "outcome", "by": "outcome"}, InputError, "named twice"),
    ],
)
def test_unusable_balance_arguments_are_refused(
    model: MaskedSynthesizer, toy: pd.DataFrame, arguments: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        oversampling.oversample(model, toy, **arguments)


def test_a_class_that_the_model_does_not_know_is_refused(model: MaskedSynthesizer, toy: pd.DataFrame) -> None:
    other = pd.concat([toy, toy.head(3).assign(outcome="odd")], ignore_index=True)
    with pytest.raises(ConditionError, match="'odd'"):
        oversampling.oversample(model, Table.of(other), target="outcome", seed=0)


def test_shares_that_do_not_sum_to_one_are_refused(model: MaskedSynthesizer) -> None:
    for classes in ({"ill": 0.5}, {"ill": 0.5, "well": 0.6}):
        with pytest.raises(InputError, match="share"):
            oversampling.balanced_sample(model, 100, target="outcome", by="group", classes=classes)


def test_smote_balances_inside_the_domain(toy: pd.DataFrame) -> None:
    pytest.importorskip("imblearn")
    toy["weight"] = toy["weight"].where(toy["outcome"] == "well")  # never there among the ill
    toy["stage"] = pd.Categorical(np.where(toy["age"] > 50, "late", "early"), ordered=True)
    made = oversampling.smote(toy, target="outcome", by="smoker", seed=3)
    assert made.frame.value_counts(["smoker", "outcome"]).nunique() == 1
    pd.testing.assert_frame_equal(made.frame[~made.synthetic], toy)
    new = made.frame[made.synthetic]
    assert new["weight"][new["outcome"] == "ill"].isna().all()
    assert (new["age"] % 1 == 0).all()
    assert new["age"].between(toy["age"].min(), toy["age"].max()).all()
    np.testing.assert_allclose(new["weight"].dropna(), new["weight"].dropna().round(1))
    assert set(new["group"].dropna()) <= set(toy["group"].dropna())
    assert not set(new["note"]) & set(toy["note"])
    assert made.frame["mrn"].is_unique
    assert (made.frame.dtypes == toy.dtypes).all()
    pd.testing.assert_frame_equal(made.frame, oversampling.smote(toy, target="outcome", by="smoker", seed=3).frame)


def test_smote_needs_no_number(toy: pd.DataFrame) -> None:
    pytest.importorskip("imblearn")
    made = oversampling.smote(toy[["group", "smoker", "outcome"]], target="outcome", seed=0)
    assert made.frame["outcome"].value_counts().nunique() == 1


def test_smote_of_one_row_is_refused(toy: pd.DataFrame) -> None:
    one = pd.concat([toy[toy["outcome"] == "well"], toy[toy["outcome"] == "ill"].head(1)], ignore_index=True)
    with pytest.raises(DataError, match="1 rows of .* are too few to interpolate"):
        oversampling.smote(one, target="outcome")


def test_smote_without_its_package_says_what_to_install(toy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imblearn.over_sampling", None)
    with pytest.raises(MissingDependencyError, match="imbalanced-learn"):
        oversampling.smote(toy, target="outcome")


def test_interpolated_rows_keep_constraints() -> None:
    pytest.importorskip("imblearn")
    rng = np.random.default_rng(0)
    low = rng.integers(0, 9, 200)
    frame = pd.DataFrame({"low": low, "high": low + rng.integers(0, 3, 200), "c": ["x"] * 160 + ["y"] * 40})
    frame["high"] = frame["high"].where(frame.index % 7 != 3)
    rule = {"kind": "inequality", "low": "low", "high": "high"}
    schema = Schema.from_dict({**Schema.infer(frame).to_dict(), "constraints": [rule]})
    for made in (
        oversampling.smote(frame, target="c", schema=schema, seed=0).frame,
        oversampling.mixup(frame, 500, alpha=1.0, schema=schema, seed=0),
    ):
        assert (made["high"].isna() | (made["low"] <= made["high"])).all()
        assert made["high"].isna().any()


def test_mixed_rows_lie_between_two(toy: pd.DataFrame) -> None:
    mixed = oversampling.mixup(toy, 1000, alpha=1.0, seed=0)
    assert len(mixed) == 1000
    assert (mixed.dtypes == toy.dtypes).all()
    for name in ("age", "weight", "seen"):
        assert mixed[name].dropna().between(toy[name].min(), toy[name].max()).all()
    assert not set(mixed["note"]) & set(toy["note"])
    assert not set(mixed["mrn"]) & set(toy["mrn"])
    assert abs((mixed["outcome"] == "ill").mean() - (toy["outcome"] == "ill").mean()) < 0.06
    assert abs(mixed["age"].mean() - toy["age"].mean()) < 2
    pd.testing.assert_frame_equal(mixed, oversampling.mixup(toy, 1000, alpha=1.0, seed=0))
    with pytest.raises(InputError, match="alpha"):
        oversampling.mixup(toy, alpha=0)
