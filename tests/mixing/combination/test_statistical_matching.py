"""Statistical matching: bounds that hold, claims refused under wide bounds, and the use of a linked sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import DataError, InputError
from tabsynth.mixing.combination.frechet_bounds import cramers_v, joint_bounds, to_classes
from tabsynth.mixing.combination.statistical_matching import FuseResult, fuse


def people(n: int, seed: int) -> pd.DataFrame:
    """z follows y, beyond what x explains of both; w follows x alone."""
    rng = np.random.default_rng(seed)
    x = rng.choice(list("abcd"), n)
    age = rng.normal(50, 10, n)
    y = np.where(rng.random(n) < 0.3 + 0.4 * np.isin(x, ["a", "b"]), "yes", "no")
    z = np.where(rng.random(n) < 0.15 + 0.5 * (y == "yes") + 0.1 * (x == "a"), "high", "low")
    w = np.where(rng.random(n) < 0.1 + 0.7 * np.isin(x, ["a", "c"]), 1.5, 2.5)
    return pd.DataFrame({"x": x, "age": age, "y": y, "z": z, "w": w})


LEFT, RIGHT, COMMON = ["x", "age", "y"], ["x", "age", "z", "w"], ["x", "age"]


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return people(3000, 0)


@pytest.fixture(scope="module")
def apart(truth: pd.DataFrame) -> FuseResult:
    return fuse(truth[LEFT], people(3000, 1)[RIGHT], COMMON)


@pytest.fixture(scope="module")
def informed(truth: pd.DataFrame) -> FuseResult:
    return fuse(truth[LEFT], people(3000, 1)[RIGHT], COMMON, overlap=people(300, 2))


def joint(frame: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    return pd.crosstab(frame[first], frame[second], normalize="all")


def test_rows_stay_and_what_the_common_columns_explain_is_found(truth: pd.DataFrame, apart: FuseResult) -> None:
    pd.testing.assert_frame_equal(apart.frame[LEFT], truth[LEFT])
    assert list(apart.frame.columns) == [*LEFT, "z", "w"]
    assert np.abs(joint(apart.frame, "x", "w") - joint(truth, "x", "w")).to_numpy().max() < 0.02
    assert np.abs(joint(apart.frame, "y", "w") - joint(truth, "y", "w")).to_numpy().max() < 0.03


def test_the_bounds_contain_every_true_cell(truth: pd.DataFrame, apart: FuseResult) -> None:
    checked = 0
    for pair in apart.report["pairs"]:
        table = joint(truth, pair["first"], pair["second"])
        for cell in pair["cells"]:
            true = table.loc[cell[pair["first"]], cast(table.columns, cell[pair["second"]])]
            assert cell["low"] <= true <= cell["high"]
            assert cell["low"] <= cell["share"] <= cell["high"]
            checked += 1
    assert checked == 8


def cast(index: pd.Index, name: str) -> object:
    return next(value for value in index if str(value) == name)


def test_a_point_claim_is_refused_where_the_bounds_are_wide_and_made_where_people_were_linked(
    truth: pd.DataFrame, apart: FuseResult, informed: FuseResult
) -> None:
    with pytest.raises(
        DataError, match=r"share of y=\w+, z=\w+ anywhere between 0\.\d+ and 0\.\d+, farther apart than 0.05"
    ):
        apart.claim("y", "z")
    claimed = informed.claim("z", "y").loc[["no", "yes"], ["high", "low"]]
    assert np.abs(claimed.to_numpy() - joint(truth, "y", "z").to_numpy()).max() < 0.05
    with pytest.raises(InputError, match="'x' and 'z' were not fused"):
        apart.claim("x", "z")


def test_a_linked_sample_brings_the_association_back(
    truth: pd.DataFrame, apart: FuseResult, informed: FuseResult
) -> None:
    """The standard error of V from 300 linked rows is 0.05; without them V is that of independence given x."""
    true = cramers_v(joint(truth, "y", "z"))
    assert cramers_v(joint(apart.frame, "y", "z")) < true - 0.3
    assert cramers_v(joint(informed.frame, "y", "z")) == pytest.approx(true, abs=0.15)
    assert np.abs(joint(informed.frame, "z", "w") - joint(truth, "z", "w")).to_numpy().max() < 0.03


def test_a_seed_decides(truth: pd.DataFrame, apart: FuseResult) -> None:
    again, other = (fuse(truth[LEFT], people(3000, 1)[RIGHT], COMMON, seed=seed) for seed in (0, 1))
    pd.testing.assert_frame_equal(apart.frame, again.frame)
    assert apart.report == again.report
    assert not apart.frame.equals(other.frame)


def test_impossible_fusions_are_refused(truth: pd.DataFrame) -> None:
    left, right = truth[LEFT], truth[RIGHT]
    with pytest.raises(InputError, match="second table has no column 'y' in common"):
        fuse(left, right, ["x", "y"])
    with pytest.raises(InputError, match="'age' is in both tables but not named"):
        fuse(left, right, ["x"])
    with pytest.raises(InputError, match="linked sample has no column 'w'"):
        fuse(left, right, COMMON, overlap=truth.drop(columns="w"))
    with pytest.raises(DataError, match="linked sample has 10 rows; below 50"):
        fuse(left, right, COMMON, overlap=truth.head(10))
    with pytest.raises(InputError, match="all columns of the second table are in the first"):
        fuse(left, right[COMMON], COMMON)


def test_bounds_of_a_known_case() -> None:
    """p(y) = 0.7 and p(z) = 0.6 in one group leave p(y, z) between 0.3 and 0.6; many rows make the slack small."""
    y, z = (np.repeat([0, 1], [int(share * 1e6), int((1 - share) * 1e6)]) for share in (0.7, 0.6))
    one = np.zeros(10**6, np.int64)
    low, high = joint_bounds(y, z, one, one, (2, 2))
    assert low[0, 0] == pytest.approx(0.3, abs=0.004)
    assert high[0, 0] == pytest.approx(0.6, abs=0.002)
    assert low[0, 0] < 0.3
    assert high[0, 0] > 0.6


def test_classes_are_numbered_alike_in_all_tables() -> None:
    (left, right), names = to_classes([pd.Series(["b", None, "a"]), pd.Series(["a", "c", None])])
    assert (left[2], left[1]) == (right[0], right[2])
    assert [names[i] for i in right] == ["a", "c", "missing"]
    (numbers,), cut = to_classes([pd.Series(np.arange(100.0))])
    assert np.bincount(numbers).tolist() == [20] * 5
    assert len(cut) == 5
    assert cramers_v([[10, 0], [0, 5]]) == pytest.approx(1)
    assert cramers_v([[10, 20], [5, 10]]) == pytest.approx(0)


@pytest.mark.slow
def test_adult_in_thirds(shared_data: Path) -> None:
    """Income is in one third, work and family in another; the mean of two splits, 5 % of the table linked."""
    adult = pd.read_csv(shared_data / "adult.csv.gz")
    common = ["age", "education", "education-num", "sex", "race", "native-country"]
    other = ["occupation", "hours-per-week", "marital-status"]
    errors, distances = [], []
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(adult))
        a, b, c = (adult.iloc[order[i::3]].reset_index(drop=True) for i in range(3))
        linked = c.head(len(adult) // 20)[[*common, "income", *other]]
        made = [fuse(a[[*common, "income"]], b[common + other], common, overlap, seed) for overlap in (linked, None)]
        for i, name in enumerate(other):
            real, *drawn = tables(a, [m.frame for m in made], name)
            errors.append(cramers_v(drawn[0]) / cramers_v(real) - 1)
            distances.append([np.abs(table - real).sum() / 2 for table in drawn])
            for cell in made[1].report["pairs"][i]["cells"]:
                if name != "hours-per-week":
                    here = a[name].fillna("missing") == cell[name]
                    assert cell["low"] <= (here & (a["income"] == cell["income"])).mean() <= cell["high"]
    assert np.abs(np.reshape(errors, (2, 3)).mean(axis=0)).max() <= 0.1
    with_sample, without = np.reshape(distances, (2, 3, 2)).mean(axis=0).T
    assert (with_sample <= without).all()


def tables(real: pd.DataFrame, drawn: list[pd.DataFrame], name: str) -> list[np.ndarray]:
    rows, _ = to_classes([frame["income"] for frame in (real, *drawn)])
    columns, names = to_classes([frame[name] for frame in (real, *drawn)], 8)
    return [
        np.bincount(i * len(names) + j, minlength=2 * len(names)).reshape(2, -1) / len(i)
        for i, j in zip(rows, columns, strict=True)
    ]
