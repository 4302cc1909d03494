"""Rules under conditions are discovered, and hold in rows whose columns were shuffled independently."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.conditional.elapsed import MEASURES, elapsed, moved
from tabsynth.relations.enforcement import Relations
from tabsynth.schema import Schema

N = 2000


def survey() -> pd.DataFrame:
    """Skip patterns, counts and thresholds, as in surveys."""
    rng = np.random.default_rng(0)
    age, sex = rng.integers(0, 90, N), rng.choice(["f", "m"], N)
    income = np.where(age < 15, np.nan, np.round(rng.lognormal(10, 0.7, N), -2))
    pension = np.where(age < 15, np.nan, np.where((age >= 62) & (rng.random(N) < 0.8), rng.integers(500, 3000, N), 0))
    drugs = rng.choice(["No", "Steady", "Up", "Down"], (N, 4), p=[0.7, 0.2, 0.05, 0.05])
    ward = rng.choice(["emergency", "elective", "urgent"], N, p=[0.5, 0.3, 0.2])
    answers = rng.integers(1, 6, (N, 5))
    frame = pd.DataFrame({"age": age, "sex": sex, "income": income, "pension": pension, "ward": ward})
    frame["married"] = np.where(age < 16, "never", rng.choice(["yes", "no", "never"], N))
    frame["births"] = np.where((sex == "f") & (age >= 20) & (age < 50), rng.integers(0, 5, N), np.nan)
    frame["waited"] = np.where(ward == "emergency", np.round(rng.gamma(2, 30, N), 1), np.nan)
    for at in range(4):
        frame[f"drug{at}"] = drugs[:, at]
    frame["change"] = np.isin(drugs, ["Up", "Down"]).any(axis=1)
    frame["n_drugs"] = (drugs != "No").sum(axis=1)
    for at in range(5):
        frame[f"q{at}"] = answers[:, at]
    frame["n_high"] = (answers >= 4).sum(axis=1)
    region = rng.integers(0, 3, N)
    for at in range(3):
        frame[f"region{at}"] = (region == at).astype(int)
    return frame


def broken_survey(rows: pd.DataFrame) -> dict[str, int]:
    drugs, answers = rows[[f"drug{at}" for at in range(4)]], rows[[f"q{at}" for at in range(5)]]
    mother = (rows["sex"] == "f") & (rows["age"] >= 20) & (rows["age"] < 50)
    violations = {
        "income": (rows["age"] < 15) & rows["income"].notna(),
        "no income": (rows["age"] >= 15) & rows["income"].isna(),
        "pension": (rows["age"] < 62) & (rows["pension"] > 0),
        "married": (rows["age"] < 16) & (rows["married"] != "never"),
        "births": mother != rows["births"].notna(),
        "waited": (rows["ward"] == "emergency") != rows["waited"].notna(),
        "change": drugs.isin(["Up", "Down"]).any(axis=1) != rows["change"].astype(bool),
        "drugs": (drugs != "No").sum(axis=1) != rows["n_drugs"],
        "high": (answers >= 4).sum(axis=1) != rows["n_high"],
        "region": rows[[f"region{at}" for at in range(3)]].sum(axis=1) != 1,
    }
    return {name: int(rule.sum()) for name, rule in violations.items() if rule.any()}


def stays() -> pd.DataFrame:
    """Hospital stays with an age at admission, a length in days, and a deadline."""
    rng = np.random.default_rng(1)
    admitted = pd.Timestamp("2010-01-01") + pd.to_timedelta(rng.integers(0, 3000 * 1440, N), "min")
    left = admitted + pd.to_timedelta(rng.integers(10, 20 * 1440, N), "min")
    birth = admitted.normalize() - pd.to_timedelta(rng.integers(18 * 365, 90 * 365, N), "D")
    birthday = (admitted.month * 100 + admitted.day) < (birth.month * 100 + birth.day)
    currency = rng.choice(["EUR", "JPY", "KWD"], N, p=[0.5, 0.3, 0.2])
    price = rng.lognormal(4, 1, N)
    decimals = pd.Series(currency).map({"EUR": 2, "JPY": 0, "KWD": 3})
    return pd.DataFrame(
        {
            "birth": birth,
            "admitted": admitted,
            "left": left,
            "age": admitted.year - birth.year - birthday,
            "days": (left.normalize() - admitted.normalize()).days,
            "age_2020": 2019 - birth.year + ((birth.month * 100 + birth.day) <= 315),
            "currency": currency,
            "price": [round(value, places) for value, places in zip(price, decimals, strict=True)],
            "followed": np.where(rng.random(N) < 0.3, rng.integers(10, 400, N), rng.integers(365, 800, N)),
        }
    ).assign(event=lambda frame: np.where(frame["followed"] < 365, "yes", "no"))


def broken_stays(rows: pd.DataFrame) -> dict[str, int]:
    admitted, birth = rows["admitted"].dt, rows["birth"].dt
    birthday = (admitted.month * 100 + admitted.day) < (birth.month * 100 + birth.day)
    decimals = rows["currency"].map({"EUR": 2, "JPY": 0, "KWD": 3})
    spelled = [round(value, places) for value, places in zip(rows["price"], decimals, strict=True)]
    violations = {
        "age": rows["age"] != admitted.year - birth.year - birthday,
        "days": rows["days"] != (rows["left"].dt.normalize() - admitted.normalize()).dt.days,
        "age 2020": rows["age_2020"] != 2019 - birth.year + ((birth.month * 100 + birth.day) <= 315),
        "decimals": ~np.isclose(rows["price"], spelled, rtol=0, atol=1e-9),
        "event": (rows["event"] == "yes") != (rows["followed"] < 365),
    }
    return {name: int(np.sum(rule)) for name, rule in violations.items() if np.any(rule)}


def shuffled(frame: pd.DataFrame, kept: float) -> tuple[Relations, pd.DataFrame]:
    """Rows with the relations of a frame; each cell is kept with a probability, else it is another row's."""
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    rng, tokens = np.random.default_rng(2), codec.encode(frame)
    for name in codec.coders:
        rows = np.where(rng.random(len(frame)) < kept, np.arange(len(frame)), rng.permutation(len(frame)))
        at = codec.positions(name)
        tokens[:, at] = tokens[rows][:, at]
    return relations, relations.decode(codec, tokens, rng)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_shuffled_rows_of_a_survey_obey(kept: float) -> None:
    frame = survey()
    assert broken_survey(frame) == {}
    relations, rows = shuffled(frame, kept)
    assert broken_survey(rows) == {}
    texts = relations.describe()
    assert "age >= 62 if pension != 0" in texts
    assert any(text.startswith("change == True if and only if") for text in texts)
    assert any(text.startswith("n_high counts") for text in texts)


def test_shuffled_stays_obey() -> None:
    frame = stays()
    assert broken_stays(frame) == {}
    relations, rows = shuffled(frame, 0.7)
    assert broken_stays(rows) == {}
    texts = relations.describe()
    assert "age counts the years from birth to admitted" in texts
    assert "days counts the days from admitted to left" in texts
    assert "price has at most 0 decimals for 2 values of currency" in texts


def test_categories_that_are_missing_together_have_values_again_however_many_rows_a_person_has() -> None:
    rng = np.random.default_rng(4)
    patient = np.where(np.arange(N) < 900, 0, rng.integers(1, 60, N))
    frame = pd.DataFrame({"patient": patient, "reason": rng.choice(["a", "b", "c"], N)})
    frame["described"] = rng.choice(["long", "short"], N)
    frame.loc[rng.random(N) < 0.3, ["reason", "described"]] = None
    kinds = {
        "reason": {"kind": "categorical", "nullable": True},
        "described": {"kind": "categorical", "nullable": True},
    }
    schema = Schema.from_dict({"columns": {"patient": {"kind": "identifier", "role": "person"}, **kinds}})
    table = Table.of(frame, schema)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    tokens = codec.encode(frame)
    at = codec.positions("reason")
    tokens[:, at] = tokens[rng.permutation(N)][:, at]
    rows = relations.decode(codec, tokens, rng)
    assert (rows["reason"].isna() == rows["described"].isna()).all()
    assert 0.1 < rows["reason"].isna().mean() < 0.9


def test_a_number_below_another_follows_where_that_is_bounded() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(list("abcdef"), N)
    cost = np.where(kind == "a", rng.uniform(50, 200, N), rng.uniform(100, 9000, N)).round(2)
    frame = pd.DataFrame({"kind": kind, "cost": cost})
    frame["paid"] = np.where(rng.random(N) < 0.4, 0, cost * rng.random(N)).round(2)
    relations, rows = shuffled(frame, 0.0)
    assert {"paid <= cost", "cost <= 200 if kind == a"} <= set(relations.describe())
    assert (rows["paid"] <= rows["cost"]).all()
    assert (rows["cost"][rows["kind"] == "a"] <= 200).all()


def test_the_state_of_relations_keeps_every_rule() -> None:
    for frame in (survey(), stays()):
        table = Table.of(frame)
        relations = Relations.discover(table, Codec.measure(table))
        assert Relations.from_state(*relations.state()).rules == relations.rules


def test_a_bound_that_one_row_breaks_is_none() -> None:
    frame = survey()
    frame.loc[frame.index[frame["age"] == 20][0], "pension"] = 700.0
    table = Table.of(frame)
    texts = Relations.discover(table, Codec.measure(table)).describe()
    assert not any("pension != 0" in text for text in texts)
    assert "age >= 15 if pension is present" in texts


def test_answers_that_become_rare_towards_an_end_are_no_bound() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b"], [300, 900])
    others = np.repeat([1, 2, 3, 4], [200, 300, 300, 100])
    answer = np.concatenate([np.repeat([3, 4, 5], [110, 170, 20]), others])
    frame = pd.DataFrame({"group": group, "answer": answer, "noise": rng.normal(size=1200)})
    table = Table.of(frame.sample(frac=1, random_state=0))
    texts = Relations.discover(table, Codec.measure(table)).describe()
    assert not any(text.startswith("answer >=") for text in texts)


def test_smooth_tails_are_no_bounds() -> None:
    """Ill people are older and earn less, but nothing ends where the youngest of them is."""
    rng, frames = np.random.default_rng(3), []
    for _ in range(20):
        age = rng.normal(50, 15, 600).round(1)
        ill = rng.random(600) < 1 / (1 + np.exp((70 - age) / 6))
        frames.append(pd.DataFrame({"age": age, "ill": ill, "income": np.round(rng.lognormal(10 - ill, 0.6, 600))}))
    for frame in frames:
        table = Table.of(frame)
        assert Relations.discover(table, Codec.measure(table)).rules == ()


@pytest.mark.parametrize("measure", MEASURES)
def test_a_date_moved_by_a_count_is_that_much_later(measure: str) -> None:
    rng = np.random.default_rng(0)
    start = np.datetime64("1960-01-01", "ns") + rng.integers(0, 20_000 * 24, 500).astype("timedelta64[h]")
    end = start + rng.integers(0, 20_000 * 24, 500).astype("timedelta64[h]")
    count = rng.integers(-40, 40, 500).astype(float)
    before, after = elapsed(start, end, measure), elapsed(start, moved(end, count, measure), measure)
    assert (np.abs(after - before - count) <= 1).all()
    assert (after - before == count).mean() > 0.95


@pytest.mark.parametrize("seed", [5, 24, 35])
def test_a_score_that_nearly_decides_a_condition_has_no_bound_under_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ability = rng.normal(size=600)
    passed = np.where(ability + rng.normal(0, 0.1, 600) > 0.35, "yes", "no")
    frame = pd.DataFrame({"score": np.clip(np.round(1.2 * ability + 3), 1, 5), "passed": passed})
    table = Table.of(frame.assign(other=rng.normal(size=600).round(2)))
    assert Relations.discover(table, Codec.measure(table)).describe() == []


@pytest.mark.parametrize("seed", [43, 48])
def test_amounts_with_many_zeros_have_no_bound_in_their_tail(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.normal(size=1500)
    group = np.where(size + rng.normal(0, 0.6, 1500) > 1.0, "high", "low")
    frame = pd.DataFrame({"amount": np.where(size > 0.6, np.round(np.exp(size + 3), 2), 0.0), "group": group})
    table = Table.of(frame.assign(other=rng.normal(size=1500).round(2)))
    assert Relations.discover(table, Codec.measure(table)).describe() == []


def test_years_of_school_are_missing_before_it() -> None:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 60, N)
    schooling = np.where(age < 3, np.nan, np.minimum(age - 2, np.clip(np.round(rng.normal(20, 9, N)), 1, 60)))
    relations, rows = shuffled(
        pd.DataFrame({"age": age, "schooling": schooling, "other": rng.normal(size=N).round(2)}), 0.7
    )
    assert {"age - schooling >= 2", "schooling is missing if and only if age < 3"} <= {*relations.describe()}
    assert ((rows["age"] < 3) == rows["schooling"].isna()).all()
    assert (rows["age"] - rows["schooling"]).min() >= 2
