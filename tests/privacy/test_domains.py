"""Privately measured domains: accurate, and insensitive to any one unit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import tabsynth
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.domains import measure, quantiles
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.partition_selection import discover, threshold
from tabsynth.privacy.public_schema import private_schema
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

OPEN = Schema.from_dict(
    {
        "columns": {
            "key": {"kind": "identifier"},
            "age": {"kind": "numeric"},
            "pay": {"kind": "numeric", "low": 0},
            "loss": {"kind": "numeric"},
            "city": {"kind": "categorical"},
            "day": {"kind": "datetime"},
            "known": {"kind": "numeric", "low": 0, "high": 1},
        }
    }
)


def table(n: int = 20_000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "key": np.arange(n),
            "age": rng.integers(17, 91, n),
            "pay": np.round(rng.lognormal(7, 1, n), 2),
            "loss": -rng.exponential(3, n),
            "city": rng.choice(["Rome", "Oslo", "Lima"], n, p=[0.5, 0.4, 0.1]),
            "day": pd.Timestamp("2010-03-01") + pd.to_timedelta(rng.integers(0, 1500, n), "D"),
            "known": rng.random(n),
        }
    )
    frame.loc[:999, "loss"] = np.nan
    frame.loc[5, "city"] = "a town of one"
    frame.loc[6, "age"] = 10**7
    return frame


def test_what_is_open_is_measured_and_charged() -> None:
    ledger = PrivacyLedger(2.0, 1e-6)
    schema = measure(table(), OPEN, Privacy(1.0, 1e-6, ledger=ledger))
    private_schema(schema)
    assert (schema["age"].low, schema["age"].high, schema["age"].decimals) == (16, 128, 0)
    assert (schema["pay"].low, schema["pay"].decimals) == (0, 2)
    assert 8192 <= schema["pay"].high <= 131072
    assert schema["loss"].high <= 0
    assert -64 <= schema["loss"].low <= -16
    assert schema["loss"].nullable
    assert not schema["age"].nullable
    assert schema["city"].values == ("Lima", "Oslo", "Rome", "other")
    assert (schema["day"].low, schema["day"].high) == ("2010-01-01", "2014-12-31T23:59:59")
    assert [schema[name].origin for name in OPEN] == ["declared"] + ["measured"] * 5 + ["declared"]
    assert schema["known"] == OPEN["known"]
    assert len(ledger) == 5
    assert 0.98 < PrivacyLedger.from_dict(ledger.to_dict()).epsilon() <= 1.0


def test_columns_that_the_noise_hides_are_named() -> None:
    frame, schema = table(100)[["city", "known"]], Schema({name: OPEN[name] for name in ("city", "known")})
    with pytest.warns(UserWarning, match="columns 'city': the noise hid every category"):
        measured = measure(frame, schema, Privacy(0.02, 1e-6, ledger=PrivacyLedger(1.0, 1e-6)))
    assert measured["city"].values == ("other",)


def test_persons_of_several_rows_count_no_more_than_their_cap() -> None:
    frame = pd.concat([table(400)] + [table(400).iloc[:1].assign(city="Atlantis")] * 3000, ignore_index=True)
    schema = OPEN.replace("key")
    privacy = Privacy(5.0, 1e-6, unit="key", rows_per_person=2, ledger=PrivacyLedger(9.0, 1e-6, unit="key"))
    measured = measure(frame, schema, privacy)
    assert "Atlantis" not in measured["city"].values
    assert privacy.ledger.entries[0].sensitivity == pytest.approx(2 * math.sqrt(2))  # type: ignore[union-attr]


def test_measuring_is_counted_with_the_fit_that_follows(tmp_path: Path) -> None:
    path = tmp_path / "set.ledger"
    PrivacyLedger(1.0, 1e-6, path=path)
    measure(table(2000), OPEN, Privacy(0.9, 1e-6, ledger=path))
    with pytest.raises(PrivacyError, match="budget"):
        measure(table(2000), OPEN, Privacy(0.9, 1e-6, ledger=path))
    assert PrivacyLedger.open(path).epsilon() < 1


def test_what_cannot_be_measured_is_refused() -> None:
    ledger = PrivacyLedger(1.0, 1e-6)
    with pytest.raises(PrivacyError, match="data set's ledger"):
        measure(table(100), OPEN, Privacy(1.0))
    with pytest.raises(PrivacyError, match="'age'.*were inferred"):
        measure(table(100), OPEN.replace("age", origin="inferred"), Privacy(1.0, ledger=ledger))
    with pytest.raises(PrivacyError, match="no columns 'age', which the schema declares"):
        measure(table(100).drop(columns="age"), OPEN, Privacy(1.0, ledger=ledger))
    assert len(ledger) == 0


@pytest.mark.parametrize(("sigma", "delta", "rows"), [(1.0, 1e-3, 1), (8.0, 1e-6, 1), (30.0, 1e-9, 4), (0.4, 1e-2, 3)])
def test_the_threshold_leaves_no_more_than_delta(sigma: float, delta: float, rows: int) -> None:
    least = threshold(sigma, delta, rows)
    support = np.arange(-60 * math.ceil(sigma), 60 * math.ceil(sigma) + 1)
    weight = np.exp(-(support**2) / (2 * sigma**2))
    tail = lambda m: rows * weight[support >= m].sum() / weight.sum()  # noqa: E731
    assert tail(least - rows) <= delta < tail(least - rows - 1) or least == rows
    if sigma >= 8:
        assert tail(least - rows) == pytest.approx(rows * norm.sf((least - rows - 0.5) / sigma), rel=0.05)


def test_a_value_of_one_person_is_released_no_more_often_than_delta() -> None:
    # A million draws of the very noise that a count of one gets, against the threshold: at most as many pass as a
    # binomial of probability delta allows (level 1e-6), and enough that the threshold is not far too high.
    sigma, delta, draws = 5.0, 1e-4, 1_000_000
    passed = int((1 + Noise.insecure(1).gaussian(sigma, draws) >= threshold(sigma, delta)).sum())
    from scipy.stats import binom

    assert binom.ppf(1e-6, draws, 0.3 * delta) <= passed <= binom.ppf(1 - 1e-6, draws, delta)


def test_rare_values_stay_unknown_and_common_ones_come_out() -> None:
    values = pd.Series(["common"] * 400 + [f"person {i}" for i in range(3000)])
    for seed in range(20):
        found = discover(
            lambda: values, rho=0.02, delta=1e-6, ledger=PrivacyLedger(9, 1e-5), column="v", noise=Noise.insecure(seed)
        )
        assert found == ("common",)


def test_quantiles_are_near() -> None:
    ages = table()["age"].to_numpy()
    found = quantiles(
        lambda: ages,
        [0.1, 0.5, 0.9],
        np.arange(121),
        rho=0.01,
        ledger=PrivacyLedger(9, 1e-6),
        columns=["age"],
        noise=Noise.secure(),
    )
    assert np.abs(found - np.quantile(ages, [0.1, 0.5, 0.9])).max() <= 2


def measured_and_fitted(epsilons: tuple[float, float], tmp_path: Path) -> tuple[MarginalSynthesizer, Path]:
    """A schema measured for one epsilon, written and read, then a fit for another."""
    path = tmp_path / "set.ledger"
    PrivacyLedger(20.0, 1e-6, path=path)
    schema = measure(table(500), OPEN, Privacy(epsilons[0], 1e-6, ledger=path))
    schema.replace("known", high=2).to_json(tmp_path / "schema.json")
    schema = Schema.from_json(tmp_path / "schema.json")
    privacy = Privacy(epsilons[1], 1e-6, ledger=path)
    model = MarginalSynthesizer(components=4).fit(table(500), schema=schema, privacy=privacy, progress=False)
    return model, path


def test_a_model_counts_what_measuring_its_schema_has_spent(tmp_path: Path) -> None:
    model, path = measured_and_fitted((2.0, 1.0), tmp_path)
    spent = model.ledger_.epsilon()
    assert 2.05 < spent <= 3
    assert spent == pytest.approx(PrivacyLedger.open(path).epsilon(), rel=1e-3)
    assert f"({spent:.4g}, 1e-06)-differential privacy" in model.card()["privacy"]
    assert [entry.purpose for entry in model.ledger_.entries][:2] == ["the domain of 'age'", "the domain of 'pay'"]
    assert all(entry.output for entry in model.ledger_.entries)
    model.save(tmp_path / "model")
    assert tabsynth.load(tmp_path / "model").ledger_.epsilon() == spent


def test_a_second_measurement_keeps_the_charges_of_the_first() -> None:
    privacy = Privacy(1.0, 1e-6, ledger=PrivacyLedger(9.0, 1e-6))
    first = measure(table(500), OPEN, privacy)
    second = measure(table(500), first.replace("age", low=None), privacy)
    assert len(PrivacyLedger.from_dict(second.ledger)) == 6
    assert second["age"].origin == "measured"


def test_a_measured_schema_without_its_charges_is_refused() -> None:
    privacy = Privacy(1.0, 1e-6, ledger=PrivacyLedger(9.0, 1e-6))
    schema = measure(table(500), OPEN, privacy)
    elsewhere = Privacy(1.0, 1e-6, ledger=PrivacyLedger(9.0, 1e-6))
    for given_schema, asked, says in (
        (Schema(schema.columns), privacy, "'age'.* were measured, but the schema does not contain"),
        (schema, elsewhere, "measured under another ledger"),
        (schema.replace("age", low=0), elsewhere, "measured under another ledger"),
        (schema, Privacy(1.0, 1e-6, unit="key", rows_per_person=1), "measured for the unit 'row'"),
    ):
        with pytest.raises(PrivacyError, match=says):
            MarginalSynthesizer().fit(table(500), schema=given_schema, privacy=asked, progress=False)
    assert len(elsewhere.ledger) == 0  # type: ignore[arg-type]
