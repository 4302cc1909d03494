"""Several series of one parent: weeks of the departments of shops come back as weeks, and no key repeats."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError
from tabsynth.relations.linked.slow_numbers import add_steps, join_steps
from tabsynth.schema.columns import Categorical, Numeric
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.series import join_series, split_series
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer


def chain(shops: int = 30, text_codes: bool = False) -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
    """Weekly sales of each department of each shop; small shops have few departments."""
    rng = np.random.default_rng(0)
    shop = pd.DataFrame({"shop": np.arange(shops), "size": rng.choice(["large", "small"], shops)})
    parts = []
    for number, size in shop.itertuples(index=False):
        for code in np.flatnonzero(rng.random(8) < (0.9 if size == "large" else 0.4)):
            weeks = np.arange(rng.integers(0, 3), 10)
            sales = (100 * (code + 1) * rng.lognormal(0, 0.2) * rng.lognormal(0, 0.1, len(weeks))).round(2)
            dates = pd.Timestamp("2020-01-06") + pd.to_timedelta(7 * weeks, unit="D")
            parts.append(pd.DataFrame({"shop": number, "code": code, "week": dates, "floor": code % 3, "sales": sales}))
    rows = pd.concat(parts, ignore_index=True)
    rows["holiday"] = (rows.week - pd.Timestamp("2020-01-06")).dt.days // 7 % 5 == 1
    if text_codes:
        rows["code"] = "D" + rows.code.astype(str)
    tables = {"shops": shop, "sales": rows}
    schema = DatabaseSchema(
        {name: Schema.infer(frame) for name, frame in tables.items()},
        {"shops": "shop"},
        (ForeignKey("sales", "shop", "shops"),),
        {"sales": "week"},
        composite_keys={"sales": ("shop", "code", "week")},
    )
    return tables, schema


@pytest.mark.parametrize("text_codes", [False, True])
def test_tables_of_series_are_split_and_joined(text_codes: bool) -> None:
    tables, schema = chain(text_codes=text_codes)
    if text_codes:
        tables["sales"]["code"] = tables["sales"]["code"].astype("category")
    shuffled = {**tables, "sales": tables["sales"].sample(frac=1, random_state=0).reset_index(drop=True)}
    within, inner, splits = split_series(shuffled, schema, min_group=2)
    assert list(within["sales series"]) == ["shop", "code", "floor", "_series"]
    assert list(within["sales"]) == ["week", "sales", "holiday", "_series"]
    assert inner.order == {"sales": "week", "sales series": "code"}
    assert split_series(shuffled, schema, min_group=31)[2] == ()
    joined = join_series(within, splits, {"sales": list(tables["sales"])})
    pd.testing.assert_frame_equal(joined["sales"], shuffled["sales"])


def test_weeks_of_departments_come_back_as_weeks(tmp_path: Path) -> None:
    tables, schema = chain()
    model = RelationalSynthesizer(epochs=3, min_group=2).fit(tables, schema=schema, seed=0)
    assert model.schema_ == schema
    model.save(tmp_path / "chain.model")
    drawn = RelationalSynthesizer.load(tmp_path / "chain.model").sample(40, seed=1)
    assert set(drawn) == {"shops", "sales"}
    sales = drawn["sales"]
    assert list(sales) == list(tables["sales"])
    assert sales.dtypes.equals(tables["sales"].dtypes)
    assert not sales.duplicated(["shop", "code", "week"]).any()
    assert sales.shop.isin(drawn["shops"]["shop"]).all()
    assert (sales.groupby(["shop", "code"]).week.diff().dropna() == pd.Timedelta(days=7)).all()
    assert (sales.week.dt.day_of_week == 0).all()
    assert set(sales.code) <= set(range(8))
    holidays = tables["sales"].drop_duplicates("week").set_index("week").holiday
    assert (sales.holiday == sales.week.map(holidays)).all()
    departments = [frame.groupby("shop").code.nunique().mean() for frame in (tables["sales"], sales)]
    assert abs(departments[1] - departments[0]) < 1


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_sampled_codes_are_those_that_enough_shops_share(kind: str) -> None:
    """Codes are no amounts: between 17 and 40 there is no department; that of a single shop is not released."""
    tables, schema = chain()
    codes = np.array([3, 17, 40, 41, 55, 90, 91, 120])
    sales = tables["sales"].assign(code=codes[tables["sales"].code])
    sales.loc[(sales.shop == 0) & (sales.code == sales.code[sales.shop == 0].max()), "code"] = 70
    column = Numeric(name="code", decimals=0) if kind == "numeric" else Categorical(name="code")
    own = {**schema.tables["sales"].columns, "code": column}
    schema = replace(schema, tables={**schema.tables, "sales": Schema(own)})
    tables = {**tables, "sales": sales}
    within, _, splits = split_series(tables, schema, min_group=5)
    assert splits[0].codes == tuple(codes.tolist())
    assert len(within["sales"]) == (sales.code != 70).sum()
    drawn = RelationalSynthesizer(epochs=2).fit(tables, schema=schema, seed=0).sample(60, seed=1)["sales"]
    assert set(drawn.code.astype(int)) <= set(codes.tolist())
    assert not drawn.duplicated(["shop", "code", "week"]).any()
    assert drawn.code.dtype == sales.code.dtype


def test_a_large_number_of_the_parent_is_no_end_of_codes_so_that_no_key_repeats() -> None:
    """Every code is smaller than the area of its shop, which says nothing about codes."""
    tables, schema = chain()
    area = 40_000 + 97 * np.arange(len(tables["shops"]))
    tables = {**tables, "shops": tables["shops"].assign(area=area)}
    own = {**schema.tables["shops"].columns, "area": Numeric(name="area", decimals=0)}
    code = {**schema.tables["sales"].columns, "code": Numeric(name="code", decimals=0)}
    schema = replace(schema, tables={"shops": Schema(own), "sales": Schema(code)})
    model = RelationalSynthesizer(epochs=2).fit(tables, schema=schema, seed=0)
    timeline = model._model.timelines["sales series"]
    assert timeline is not None
    assert timeline.origin is None
    assert timeline.end is None
    for seed in range(4):
        sales = model.sample(80, seed=seed)["sales"]
        assert not sales.duplicated(["shop", "code", "week"]).any()
        assert set(sales.code) <= set(range(8))


@pytest.mark.slow
def test_codes_as_text_are_not_repeated_either() -> None:
    tables, schema = chain(text_codes=True)
    sales = RelationalSynthesizer(epochs=1, min_group=2).fit(tables, schema=schema, seed=0).sample(seed=1)["sales"]
    assert not sales.duplicated(["shop", "code", "week"]).any()
    assert set(sales.code) <= set(tables["sales"].code)


def test_steps_of_few_weeks_are_compared_with_the_wide_tokens_that_the_table_will_have() -> None:
    rng, shops, weeks = np.random.default_rng(3), 45, 5
    steps = rng.normal(0, 0.05, (shops, weeks))
    steps[:, 0] = rng.normal(150, 20, shops)
    rows = pd.DataFrame({"shop": np.repeat(np.arange(shops), weeks), "index": steps.cumsum(1).ravel().round(3)})
    rows["week"] = pd.Timestamp("2020-01-06") + pd.to_timedelta(np.tile(7 * np.arange(weeks), shops), unit="D")
    tables = {"shops": pd.DataFrame({"shop": np.arange(shops)}), "weeks": rows}
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    links = (ForeignKey("weeks", "shop", "shops"),)
    schema = DatabaseSchema(schemas, {"shops": "shop"}, links, {"weeks": "week"})
    totals = add_steps(tables, schema, {}, min_group=5)[3]
    assert [one.column for one in totals.get("weeks", ())] == ["index"]


def test_an_index_that_changes_slowly_is_drawn_by_its_steps(tmp_path: Path) -> None:
    rng, weeks = np.random.default_rng(3), 30
    shops = pd.DataFrame({"shop": np.arange(40)})
    steps = rng.normal(0, 0.05, (40, weeks))
    steps[:, 0] = rng.normal(150, 20, 40)
    rows = pd.DataFrame({"shop": np.repeat(shops.shop, weeks).to_numpy(), "index": steps.cumsum(1).ravel().round(3)})
    rows["week"] = pd.Timestamp("2020-01-06") + pd.to_timedelta(np.tile(7 * np.arange(weeks), 40), unit="D")
    tables = {"shops": shops.assign(size=rng.choice(["large", "small"], 40)), "weeks": rows}
    schema = DatabaseSchema(
        {name: Schema.infer(frame) for name, frame in tables.items()},
        {"shops": "shop"},
        (ForeignKey("weeks", "shop", "shops"),),
        {"weeks": "week"},
    )
    widened, inner, _, totals = add_steps(tables, schema, {}, min_group=5)
    assert [str(one) for one in totals["weeks"]] == ["weeks.index = previous index + index step"]
    pd.testing.assert_frame_equal(join_steps(widened, inner, totals)["weeks"], rows)
    model = RelationalSynthesizer(epochs=4).fit(tables, schema=schema, seed=0)
    model.save(tmp_path / "index.model")
    drawn = RelationalSynthesizer.load(tmp_path / "index.model").sample(seed=1)["weeks"]
    assert list(drawn) == list(rows)
    sizes = [frame.groupby("shop")["index"].diff().abs().median() for frame in (rows, drawn)]
    assert 0.5 < sizes[1] / sizes[0] < 2
    with pytest.raises(ConditionError, match="not on 'index'"):
        model.sample(given={"weeks": {"index": 150.0}})
