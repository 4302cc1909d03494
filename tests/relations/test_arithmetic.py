"""Arithmetic relations are discovered where they hold and only there, and hold in every synthetic row."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.arithmetic import ArithmeticRelation
from tabsynth.relations.arithmetic_discovery import discover_relations
from tabsynth.relations.enforcement import Relations
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create

KEPT: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "copy": lambda x: x["copy"] == x["paid"],
    "cents": lambda x: (x["cents"] - 100 * x["paid"]).abs() < 0.5,
    "total": lambda x: (x["total"] - x["paid"] - x["extra"]).abs() < 0.006,
    "share": lambda x: (x["share"] - x["extra"] / x["total"]).abs() < 6e-5,
    "bmi": lambda x: (x["bmi"] - x["weight"] / x["height"] ** 2).abs() < 0.051,
    "amount": lambda x: (x["amount"] - x["pieces"] * x["price"]).abs() < 0.006,
    "end": lambda x: x["end"] == x["start"] + pd.to_timedelta(x["days"], unit="D"),
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Invoices and visits, in which a column is a copy, a change of unit, a total, a ratio, a product, a later date."""
    rng, n = np.random.default_rng(0), 1500
    paid, extra = rng.gamma(2, 50, n).round(2), np.where(rng.random(n) < 0.4, 0, rng.gamma(2, 30, n)).round(2)
    height, weight = rng.normal(1.7, 0.1, n).round(2), rng.normal(75, 12, n).round(1)
    start, days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"), rng.poisson(5, n)
    pieces, price = rng.integers(1, 9, n), rng.choice([1.5, 2.25, 9.99, 20.0], n)
    return pd.DataFrame(
        {
            "paid": paid,
            "extra": extra,
            "total": (paid + extra).round(2),
            "copy": paid,
            "cents": (100 * paid).round().astype(int),
            "share": (extra / (paid + extra)).round(4),
            "height": height,
            "weight": weight,
            "bmi": (weight / height**2).round(1),
            "pieces": pieces,
            "price": price,
            "amount": (pieces * price).round(2),
            "start": start,
            "days": days,
            "end": start + pd.to_timedelta(days, unit="D"),
            "noise": rng.normal(size=n),
        }
    )


def broken(frame: pd.DataFrame) -> dict[str, int]:
    return {name: int((~kept(frame)).sum()) for name, kept in KEPT.items() if not kept(frame).all()}


def discovered(frame: pd.DataFrame) -> tuple[ArithmeticRelation, ...]:
    table = Table.of(frame)
    return Relations.discover(table, Codec.measure(table)).arithmetic


def test_every_relation_is_found_and_nothing_else(frame: pd.DataFrame) -> None:
    relations = discovered(frame)
    assert len(relations) == len(KEPT)
    assert not {"noise"} & {name for relation in relations for name in (relation.column, *dict(relation.terms))}
    place = {relation.column: i for i, relation in enumerate(relations)}
    assert all(place.get(name, -1) < i for i, relation in enumerate(relations) for name, _ in relation.terms)


def test_missing_cells_hide_no_relation(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(1)
    holes = frame.mask(rng.random(frame.shape) < 0.05)
    assert len(discovered(holes)) == len(KEPT)


def test_gaps_in_other_columns_hide_no_relation_in_a_small_table() -> None:
    rng, n = np.random.default_rng(0), 150
    lines = {f"gap{i}": np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n).round(2)) for i in range(12)}
    lines["net"], lines["tax"] = rng.gamma(2, 50, n).round(2), rng.gamma(2, 9, n).round(2)
    lines["total"] = (lines["net"] + lines["tax"]).round(2)
    lines["copy"], lines["cents"] = lines["gap3"].copy(), lines["gap5"] * 100
    lines["sum"] = (lines["gap1"] + lines["net"]).round(2)
    found = {str(relation) for relation in discover_relations(lines)}
    assert found == {"total = net + tax", "gap3 = copy", "gap5 = 0.01 * cents", "sum = gap1 + net"}


@pytest.mark.parametrize("load", [load_breast_cancer, load_diabetes, load_wine])
def test_real_measurements_have_no_exact_relation(load: Callable[..., object]) -> None:
    bunch = load(as_frame=True).frame  # type: ignore[attr-defined]
    assert discover_relations({name: bunch[name].to_numpy(float) for name in bunch}) == ()


def test_one_row_that_breaks_a_relation_is_enough(frame: pd.DataFrame) -> None:
    lines = {name: frame[name].to_numpy(float) for name in ("paid", "extra", "total")}
    assert [relation.column for relation in discover_relations(lines)] == ["total"]
    lines["total"] = np.where(np.arange(len(frame)) == 700, lines["total"] + 1, lines["total"])
    assert discover_relations(lines) == ()


def test_a_square_and_a_ratio_are_found_even_as_32_bit_floats() -> None:
    rng = np.random.default_rng(3)
    price, loan, income = rng.integers(40, 900, 1500) * 5.0, rng.integers(9, 700, 1500) * 5.0, rng.gamma(2, 20, 1500)
    lines = {"loan": loan, "ratio": loan / price, "price": price, "income": income.round(2)}
    lines["square"] = lines["income"] ** 2
    single = {name: values.astype(np.float32).astype(float) for name, values in lines.items()}
    assert {str(relation) for relation in discover_relations(single)} == {
        "ratio = loan * price^-1",
        "square = income^2",
    }


def test_a_column_that_is_constant_where_another_is_known_hides_no_relation() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.normal(70, 10, 600).round(2), rng.normal(72, 12, 600).round(3)
    woman = rng.random(600) < 0.6
    births = np.where(woman, rng.poisson(2, 600), np.nan)
    lines = {"before": before, "after": after, "gain": (after - before).round(3), "sex": woman * 1.0, "births": births}
    assert [relation.column for relation in discover_relations(lines)] == ["after"]


def test_a_chance_relation_of_few_valued_columns_is_none() -> None:
    rng = np.random.default_rng(2)
    coins = {f"coin{i}": rng.integers(0, 2, 400).astype(float) for i in range(6)}
    noisy = coins["coin0"] + np.where(rng.random(400) < 0.02, 1, 0)
    assert discover_relations({**coins, "noisy": noisy}) == ()


def test_rows_that_violate_a_relation_are_found(frame: pd.DataFrame) -> None:
    """Such rows are drawn again; a share at the end of its range, with its total, cannot be solved for."""
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    assert relations.hold(frame, codec).all()
    wrong = frame.assign(share=frame.share.where(frame.index != 7, frame.share + 0.01))
    assert np.flatnonzero(~relations.hold(wrong, codec)).tolist() == [7]
    single = frame.assign(noise=frame.noise.astype("float32"), height=frame.height.astype("float32"))
    assert relations.hold(single, codec).all()


@pytest.fixture(scope="module")
def barely_fitted(frame: pd.DataFrame) -> MaskedSynthesizer:
    """A model that has learned little."""
    return MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)


@pytest.mark.parametrize("kind", ["masked", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("vae", "gan"))])
def test_every_synthetic_row_keeps_them(frame: pd.DataFrame, barely_fitted: MaskedSynthesizer, kind: str) -> None:
    assert broken(frame) == {}
    fitted = barely_fitted if kind == "masked" else create(kind, epochs=1).fit(frame, seed=0, progress=False)
    assert broken(fitted.sample(800, seed=1)) == {}
    assert any("bmi = weight * height^-2" in relation for relation in fitted.card()["vocabulary"]["laws"])


def test_conditions_and_imputation_keep_them(frame: pd.DataFrame, barely_fitted: MaskedSynthesizer) -> None:
    drawn = barely_fitted.sample(400, given={"total": (100, 150), "bmi": 25.0}, seed=1)
    assert broken(drawn) == {}
    assert drawn["total"].between(100, 150).all()
    assert (drawn["bmi"] == 25.0).all()
    holes = frame.assign(total=np.nan, bmi=np.nan)
    filled = barely_fitted.impute(holes, seed=2)
    # A sum beyond the largest numbers of the floor's group stops there.
    assert ((filled["total"] - frame["total"]).abs() < 0.006).mean() > 0.99
    assert ((filled["bmi"] - frame["bmi"]).abs() < 0.051).mean() > 0.98


def survey(rows: int) -> pd.DataFrame:
    """Derived columns as in econometric tables: logarithms, squares, interactions and a ratio."""
    rng = np.random.default_rng(0)
    wage, exper = np.round(rng.lognormal(2, 0.5, rows), 2), rng.integers(0, 40, rows)
    female, size, rank = rng.integers(0, 2, rows), rng.integers(20, 900, rows), rng.integers(1, 20, rows)
    frame = pd.DataFrame({"wage": wage, "exper": exper, "female": female, "size": size, "rank": rank})
    return frame.assign(
        lwage=np.log(wage).round(6),
        lexper=np.log1p(exper),
        expersq=exper**2,
        femexper=female * exper,
        percentile=(100 * rank / size).round(7),
        month=np.arange(rows) % 12 + 1,
        december=(np.arange(rows) % 12 == 11).astype(int),
    )


@pytest.mark.parametrize("rows", [150, 2000])
def test_derived_columns_of_a_survey_stay_exact(rows: int) -> None:
    frame = survey(rows)
    model = MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)
    drawn = model.sample(500, seed=1)
    assert np.allclose(drawn["lwage"], np.log(drawn["wage"]), atol=2e-6)
    assert np.allclose(drawn["lexper"], np.log1p(drawn["exper"]), atol=1e-9)
    assert (drawn["expersq"] == drawn["exper"] ** 2).all()
    assert (drawn["femexper"] == drawn["female"] * drawn["exper"]).all()
    assert np.allclose(drawn["percentile"], 100 * drawn["rank"] / drawn["size"], atol=2e-7)
    assert (drawn["december"] == (drawn["month"] == 12)).all()
    given = model.sample(50, given={"lwage": (2.0, 2.5), "exper": 10}, seed=1)
    assert given["lwage"].between(2.0, 2.5).all()
    assert (given["expersq"] == 100).all()
    assert np.allclose(given["lwage"], np.log(given["wage"]), atol=1e-3)


def test_relations_that_read_one_column_are_all_found_in_order_and_saved() -> None:
    table = Table.of(survey(400))
    codec = Codec.measure(table)
    found = Relations.discover(table, codec)
    texts = found.describe()
    assert {"lwage = log(wage)", "lexper = log1p(exper)", "expersq = exper^2"} <= set(texts)
    interaction = "femexper is a linear function of exper for each of 2 values of female"
    assert {interaction, "percentile = 100 * size^-1 * rank"} <= set(texts)
    config, arrays = found.state()
    assert Relations.from_state(json.loads(json.dumps(config)), arrays).describe() == texts


def test_an_integer_copy_with_one_different_row_is_no_relation() -> None:
    net = np.random.default_rng(0).integers(0, 1000, 800).astype(float)
    copy = net.copy()
    assert [str(one) for one in discover_relations({"net": net, "copy": copy})] == ["net = copy"]
    copy[17] += 1
    assert discover_relations({"net": net, "copy": copy}) == ()


def test_the_column_of_most_decimals_is_computed_though_a_few_numbers_of_another_have_more() -> None:
    rng = np.random.default_rng(0)
    miles, people = np.round(rng.lognormal(10, 0.8, 400)), np.round(rng.lognormal(15, 0.8, 400))
    miles[:20] += np.round(rng.uniform(size=20), 9)
    frame = pd.DataFrame({"miles": miles, "people": people, "rate": 1e6 * miles / people})
    relations = discover_relations({name: frame[name].to_numpy() for name in frame})
    assert [relation.column for relation in relations] == ["rate"]


def test_rounded_changes_of_unit_are_computed_from_the_column_that_was_measured() -> None:
    rng = np.random.default_rng(0)
    kilograms, celsius = np.round(rng.normal(78, 14, 2000), 1), np.round(rng.normal(12, 8, 2000), 1)
    inches = np.round(rng.normal(67, 12, 2000))
    table = pd.DataFrame(
        {
            "pounds": pd.Series(np.round(kilograms * 2.20462)).mask(rng.random(2000) < 0.1),
            "kilograms": kilograms,
            "celsius": celsius,
            "fahrenheit": np.round(celsius * 1.8 + 32, 1),
            "centimetres": np.round(inches * 2.54),
            "inches": inches,
        }
    )
    assert set(map(str, discovered(table))) == {
        "pounds = 2.20462 * kilograms",
        "fahrenheit = 1.8 * celsius + 32",
        "centimetres = 2.54 * inches",
    }


def test_gaps_in_many_other_columns_hide_no_sum() -> None:
    rng = np.random.default_rng(0)
    parts = {name: np.round(rng.gamma(2, 50, 600), 1) for name in ("food", "rent", "other")}
    table = pd.DataFrame({**parts, "total": np.round(sum(parts.values()), 1)})
    table["total"] = table["total"].mask(rng.random(600) < 0.5)
    for name in "uvwxyz":
        table[name] = pd.Series(np.round(rng.normal(size=600), 2)).mask(rng.random(600) < 0.45)
    (total,) = discovered(table)
    assert (total.column, {name for name, _ in total.terms}) == ("total", {"food", "rent", "other"})


def test_hours_of_a_shift_are_sixty_minutes() -> None:
    rng = np.random.default_rng(0)
    hours, pause = np.round(rng.uniform(2, 12, 1000) * 4) / 4, rng.choice([0, 15, 30, 45], 1000)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 19200, 1000) * 15, "min")
    end = start + pd.to_timedelta(hours * 60 + pause, "min")
    frame = pd.DataFrame({"hours": hours, "pause": pause, "start": start, "end": end})
    table = Table.of(frame)
    (relation,) = Relations.discover(table, Codec.measure(table)).arithmetic
    assert {name: abs(factor) for name, factor in relation.terms}["hours"] == pytest.approx(60, rel=1e-12)
