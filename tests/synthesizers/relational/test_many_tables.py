"""A database of 25 tables: five levels, composite keys, a self-reference, second parents, orphans, empty tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema.columns import Categorical, Datetime, Identifier, Numeric
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

Tables = dict[str, pd.DataFrame]
N_TABLES, DEPTH = 25, 5

pytestmark = pytest.mark.slow


def database(seed: int = 0) -> tuple[Tables, DatabaseSchema]:
    """Four chains of five levels under two roots, a link table, an empty table with a child, and a table of orphans."""
    rng = np.random.default_rng(seed)
    tables: Tables = {}
    primary: dict[str, str] = {}
    links: list[ForeignKey] = []
    composite: dict[str, tuple[str, ...]] = {}
    order: dict[str, str] = {}

    def add(name: str, rows: int, parent: str | None = None) -> pd.DataFrame:
        frame = pd.DataFrame({"id": np.arange(rows) + 1, "kind": rng.choice(["a", "b"], rows)})
        if parent is not None:
            frame["parent"] = rng.choice(tables[parent]["id"], rows) if rows else np.zeros(0, np.int64)
            links.append(ForeignKey(name, "parent", parent))
        tables[name], primary[name] = frame, "id"
        return frame

    for root in ("people", "shops"):
        add(root, 30)
    for chain, root in enumerate(("people", "people", "shops", "shops")):
        above = root
        for level in range(1, DEPTH):
            name = f"t{chain}{level}"
            frame = add(name, 40, above)
            if level % 2:
                day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 40), unit="D")
                tables[name], order[name] = frame.assign(day=day), "day"
            above = name
    staff = add("staff", 30)  # a reference to the table itself, three levels deep
    staff["boss"] = pd.Series([None] * 2 + [1, 2] * 4 + [3 + i % 8 for i in range(20)], dtype="Int64")
    links.append(ForeignKey("staff", "boss", "staff"))
    orders = add("orders", 60, "people")  # a second parent, on whose kind the row's depends
    orders["shop"] = rng.permutation(np.repeat(tables["shops"]["id"], 2))
    orders["kind"] = tables["shops"].set_index("id").kind.loc[orders["shop"]].to_numpy()
    links.append(ForeignKey("orders", "shop", "shops"))
    pairs = rng.permutation(30 * 30)[:80]  # many to many, without columns of its own
    tables["visits"] = pd.DataFrame({"person": pairs // 30 + 1, "shop": pairs % 30 + 1})
    links += [ForeignKey("visits", "person", "people"), ForeignKey("visits", "shop", "shops")]
    composite["visits"] = ("person", "shop")
    lines = np.repeat(orders["id"], 2).reset_index(drop=True)
    tables["lines"] = pd.DataFrame(
        {"order": lines, "line": np.tile([1, 2], 60), "price": rng.gamma(2, 9, 120).round(2)}
    )
    links.append(ForeignKey("lines", "order", "orders"))
    composite["lines"], order["lines"] = ("order", "line"), "line"
    loose = add("notes", 50, "people")  # two rows of five have no parent
    loose["parent"] = loose["parent"].astype("Int64").where(np.arange(50) % 5 > 1)
    add("empty", 0, "people")
    add("below_empty", 0, "empty")
    kinds = {"kind": Categorical, "day": Datetime, "price": Numeric, "line": Numeric}
    schemas = {
        name: Schema(
            {
                column: kinds.get(column, Identifier)(name=column, nullable=column in ("boss", "parent"))
                for column in frame
            }
        )
        for name, frame in tables.items()
    }
    return tables, DatabaseSchema(schemas, primary, tuple(links), order, composite_keys=composite)


@pytest.fixture(scope="module")
def model() -> RelationalSynthesizer:
    tables, schema = database()
    assert len(tables) == N_TABLES
    return RelationalSynthesizer(epochs=1, min_group=2).fit(tables, schema=schema, seed=0)


@pytest.fixture(scope="module")
def synthetic(model: RelationalSynthesizer) -> Tables:
    return model.sample(scale=2, seed=1)


@pytest.mark.parametrize("scale", [0.1, 2, 6])
def test_every_key_has_a_parent_and_no_key_repeats(
    model: RelationalSynthesizer, synthetic: Tables, scale: float
) -> None:
    tables, schema = database()
    drawn = synthetic if scale == 2 else model.sample(scale=scale, seed=1)
    for link in schema.foreign_keys:
        keys = drawn[link.table][link.column].dropna()
        assert keys.isin(drawn[link.parent][schema.primary_keys[link.parent]]).all(), link
    for name, frame in tables.items():
        assert drawn[name].columns.tolist() == frame.columns.tolist()
        key = [schema.primary_keys[name]] if name in schema.primary_keys else list(schema.composite_keys[name])
        assert not drawn[name].duplicated(key).any(), name
    assert [len(drawn[name]) for name in schema.roots] == [round(scale * len(tables[name])) for name in schema.roots]
    assert len(drawn["empty"]) == len(drawn["below_empty"]) == 0
    assert scale < 1 or len(drawn["t04"]) > 0


def test_lines_of_an_order_count_from_one(synthetic: Tables) -> None:
    lines = synthetic["lines"].sort_values(["order", "line"])
    assert (lines.groupby("order").cumcount() + 1 == lines["line"]).all()


def test_no_member_of_staff_is_above_itself(synthetic: Tables) -> None:
    boss = synthetic["staff"].set_index("id").boss
    level = pd.Series(0, index=boss.index)
    for _ in range(10):
        level = boss.map(level).astype("Float64").fillna(-1) + 1
    assert set(level) == {0, 1, 2}


def test_rows_without_a_parent_keep_their_share(synthetic: Tables) -> None:
    assert synthetic["notes"]["parent"].isna().mean() == pytest.approx(0.4, abs=0.02)


def test_a_saved_model_samples_the_same(model: RelationalSynthesizer, synthetic: Tables, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = RelationalSynthesizer.load(tmp_path / "model").sample(scale=2, seed=1)
    for name, frame in synthetic.items():
        pd.testing.assert_frame_equal(again[name], frame)


def test_chunks_are_databases_of_their_own_whose_keys_never_repeat(model: RelationalSynthesizer) -> None:
    tables, schema = database()
    chunks = list(model.sample_chunks(scale=3, chunk=40, seed=1))
    assert [len(chunk["people"]) for chunk in chunks] == [30, 30, 30]
    for chunk in chunks:
        for link in schema.foreign_keys:
            keys = chunk[link.table][link.column].dropna()
            assert keys.isin(chunk[link.parent][schema.primary_keys[link.parent]]).all(), link
    for name, frame in tables.items():
        whole = pd.concat([chunk[name] for chunk in chunks], ignore_index=True)
        assert whole.columns.tolist() == frame.columns.tolist()
        key = [schema.primary_keys[name]] if name in schema.primary_keys else list(schema.composite_keys[name])
        assert not whole.duplicated(key).any(), name
    again = next(iter(model.sample_chunks(scale=3, chunk=40, seed=1)))
    for name, frame in chunks[0].items():
        pd.testing.assert_frame_equal(again[name], frame)
