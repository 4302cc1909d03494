"""Numbers of series are learned relative to the mean of their series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer
from tabsynth.synthesizers.relational.transforms.table_transforms import TableTransforms

Tables = dict[str, pd.DataFrame]
KEY = ["shop", "code", "week"]


def panel(shops: int = 24, weeks: int = 12) -> tuple[Tables, DatabaseSchema]:
    """Weekly figures of three departments of each shop.

    Sales are proportional to their department's mean, and degrees have a spread of their own. The total is the sum of
    sales and tax, a count has few values, and the noise is no property of the department.
    """
    rng = np.random.default_rng(0)
    shop, code, week = (
        grid.ravel() for grid in np.meshgrid(range(shops), range(3), np.arange(weeks) * 7, indexing="ij")
    )
    n, mean = len(shop), rng.lognormal(0, 1, (shops, 3))[shop, code]
    frame = pd.DataFrame({"shop": shop, "code": code, "week": pd.Timestamp("2020-01-06") + pd.to_timedelta(week, "D")})
    frame["sales"] = (100 * mean * rng.lognormal(0, 0.2, n)).round(2)
    frame["degrees"] = (rng.normal(0, 20, (shops, 3))[shop, code] + rng.normal(0, 3, n)).round(2)
    frame["net"] = (100 * mean * rng.lognormal(0, 0.2, n)).round(2)
    frame["tax"] = (10 * mean * rng.lognormal(0, 0.2, n)).round(2)
    frame["total"] = (frame.net + frame.tax).round(2)
    frame["count"] = rng.integers(0, 4, n) + 4 * code
    frame["noise"] = rng.normal(0, 1, n).round(3)
    tables = {"shops": pd.DataFrame({"shop": np.arange(shops)}), "rows": frame}
    return tables, schema_of(tables)


def schema_of(tables: Tables) -> DatabaseSchema:
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    link = (ForeignKey("rows", "shop", "shops"),)
    return DatabaseSchema(schemas, {"shops": "shop"}, link, {"rows": "week"}, composite_keys={"rows": tuple(KEY)})


def test_numbers_are_relative_to_the_mean_of_their_series_and_come_back() -> None:
    tables, schema = panel()

    transforms, learned = TableTransforms.prepare(tables, schema, min_group=2)

    assert {one.column: one.is_ratio for one in transforms.levels} == {"sales": True, "degrees": False}
    rows = learned.tables["rows"]
    np.testing.assert_allclose(rows.groupby("_series").sales.mean(), 1)
    np.testing.assert_allclose(rows.groupby("_series").degrees.mean(), 0, atol=1e-9)
    assert {"sales level", "degrees level"} <= {*learned.tables["rows series"]} & {*learned.tables["shops"]}
    restored = transforms.restore(dict(learned.tables), learned.schema, schema, {}, np.random.default_rng(0))
    expected = tables["rows"].sort_values(KEY, ignore_index=True)
    pd.testing.assert_frame_equal(restored["rows"].sort_values(KEY, ignore_index=True), expected)
    pd.testing.assert_frame_equal(restored["shops"], tables["shops"])


def test_departments_of_a_large_shop_are_large_together() -> None:
    rng, shops, codes, weeks = np.random.default_rng(1), 60, 6, 12
    shop, code, week = (own.ravel() for own in np.meshgrid(range(shops), range(codes), range(weeks), indexing="ij"))
    factor, mean = rng.lognormal(0, 0.8, shops), rng.lognormal(5, 1, codes)
    level = factor[shop] * mean[code] * rng.lognormal(0, 0.3, (shops, codes))[shop, code]
    rows = pd.DataFrame(
        {"shop": shop, "code": code, "week": pd.Timestamp("2020-01-06") + pd.to_timedelta(7 * week, "D")}
    )
    rows["sales"] = (level * rng.lognormal(0, 0.2, len(shop))).round(2)
    tables = {"shops": pd.DataFrame({"shop": np.arange(shops)}), "rows": rows}
    schema = schema_of(tables)
    transforms, learned = TableTransforms.prepare(tables, schema, min_group=5)
    (one,) = transforms.levels
    assert np.allclose(np.log(np.array(one.code_means) / mean), np.log(factor).mean(), atol=0.2)
    found = np.log(learned.tables["shops"]["sales level"])
    assert np.corrcoef(found, np.log(factor))[0, 1] > 0.95
    assert np.log(learned.tables["rows series"]["sales level"]).std() < 0.4
    drawn = RelationalSynthesizer(epochs=3).fit(tables, schema=schema, seed=0).sample(200, seed=1)["rows"]
    wide = np.log(drawn.pivot_table(index="shop", columns="code", values="sales"))
    pairs = wide.corr().to_numpy()[np.triu_indices(codes, 1)]
    assert pairs.mean() > 0.6  # of the training rows: 0.87


def test_sampled_series_have_means_as_different_as_real_ones(tmp_path: Path) -> None:
    tables, _ = panel(16, 10)
    tables["rows"] = tables["rows"][[*KEY, "sales"]]
    model = RelationalSynthesizer(epochs=1, min_group=2).fit(tables, schema=schema_of(tables), seed=0)

    drawn = model.sample(seed=1)

    means = [np.log(own["rows"].groupby(["shop", "code"]).sales.mean()) for own in (tables, drawn)]
    within = [
        np.log(own["rows"].sales) - np.log(own["rows"].groupby(["shop", "code"]).sales.transform("mean"))
        for own in (tables, drawn)
    ]
    assert means[1].std() == pytest.approx(means[0].std(), rel=0.4)
    assert within[1].std() == pytest.approx(within[0].std(), rel=0.25)
    assert not drawn["rows"].duplicated(KEY).any()
    assert (drawn["rows"].sales * 100 % 1).round(6).isin([0, 1]).all()

    model.save(tmp_path / "model.tabsynth")
    again = RelationalSynthesizer.load(tmp_path / "model.tabsynth").sample(seed=1)
    pd.testing.assert_frame_equal(again["rows"], drawn["rows"])
    given: Any = {"rows": {"sales": (10, 20)}}
    with pytest.raises(ConditionError, match="relative to their mean"):
        model.sample(seed=1, given=given)
