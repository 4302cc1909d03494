"""Dates that are whole months after another date."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations
from tabsynth.synthesizers.masked import MaskedSynthesizer

N = 1200


def months_later(dates: pd.Series, months: pd.Series) -> pd.Series:
    return pd.Series([date + pd.DateOffset(months=int(own)) for date, own in zip(dates, months, strict=True)])


def loans() -> pd.DataFrame:
    """Loans with a term that is a text, and insurances that end on the day before; some have no end."""
    rng = np.random.default_rng(0)
    term = pd.Series(rng.choice([36, 60, 120], N, p=[0.5, 0.3, 0.2]))
    issued = pd.Series(pd.Timestamp("2012-01-01") + pd.to_timedelta(rng.integers(0, 3000, N), "D"))
    ends = months_later(issued, pd.Series(rng.choice([6, 12, 24], N))) - pd.Timedelta(days=1)
    return pd.DataFrame(
        {
            "term": term.astype(str) + " months",
            "issued": issued,
            "maturity": months_later(issued, term),
            "insured_until": ends.where(rng.random(N) < 0.7),
            "amount": np.round(rng.lognormal(9, 0.5, N), -2),
        }
    )


def broken(rows: pd.DataFrame) -> dict[str, int]:
    maturity = months_later(rows["issued"], rows["term"].str.split().str[0])
    ends = [months_later(rows["issued"], pd.Series(np.full(len(rows), own))) for own in (6, 12, 24)]
    good = np.any([own - pd.Timedelta(days=1) == rows["insured_until"] for own in ends], axis=0)
    violations = {"maturity": maturity != rows["maturity"], "end": rows["insured_until"].notna() & ~good}
    return {name: int(rule.sum()) for name, rule in violations.items() if rule.any()}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return loans()


def test_they_hold_in_shuffled_rows(frame: pd.DataFrame) -> None:
    assert broken(frame) == {}
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    assert "maturity is 36 to 120 months after issued by term" in relations.describe()
    assert "insured_until is 6 to 24 months after issued minus 1 day" in relations.describe()
    rng, tokens = np.random.default_rng(1), codec.encode(frame)
    for name in codec.coders:
        tokens[:, codec.positions(name)] = tokens[rng.permutation(N)][:, codec.positions(name)]
    assert broken(relations.decode(codec, tokens, rng)) == {}


def test_a_model_keeps_them_under_conditions(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = MaskedSynthesizer(epochs=2).fit(frame, seed=0, progress=False)
    model.save(tmp_path / "model.tabsynth")
    loaded = tabsynth.load(tmp_path / "model.tabsynth")
    assert broken(loaded.sample(500, seed=1, progress=False)) == {}
    rows = loaded.sample(200, seed=1, progress=False, given={"maturity": ("2020-01-01", "2021-12-31")})
    assert broken(rows.reset_index(drop=True)) == {}
    assert rows["maturity"].between("2020-01-01", "2021-12-31").all()


def test_one_exception_removes_the_rule(frame: pd.DataFrame) -> None:
    frame = frame.copy()
    frame.loc[5, "maturity"] += pd.Timedelta(days=1)
    table = Table.of(frame)
    assert not any("months after" in text and "maturity" in text for text in texts(table))


def test_any_dates_are_no_months(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(3)
    later = frame["issued"] + pd.to_timedelta(rng.choice([30, 61, 92], N), "D")
    assert not any("months" in text for text in texts(Table.of(frame[["issued"]].assign(later=later))))


def test_three_different_terms_count_the_months(frame: pd.DataFrame) -> None:
    own = pd.Series(36 + 12 * (np.arange(N) % 3))
    table = Table.of(frame[["issued"]].assign(months=own, maturity=months_later(frame["issued"], own)))
    assert "months counts the months from issued to maturity" in texts(table)


def texts(table: Table) -> list[str]:
    return Relations.discover(table, Codec.measure(table)).describe()
