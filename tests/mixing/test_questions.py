"""Questions of a suggestion: contrary names, sentinels, words among numbers, and failing proposals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import DataError, InputError
from tabsynth.mixing.matching.column_profiles import profile_column
from tabsynth.mixing.matching.contrary_words import contrary_words
from tabsynth.mixing.plan.entries import HarmonisationRule, Match
from tabsynth.mixing.plan.plan import Plan
from tabsynth.schema.column_names import split_words

N = 60
RNG = np.random.default_rng(0)


def _numbers() -> Any:
    return RNG.normal(50, 9, N)


def _suggested(one: Any, other: Any, names: tuple[str, str] = ("v", "v")) -> Plan:
    """A plan for two sources with one column each, beside a common one."""
    return ts.suggest(
        {
            "a": pd.DataFrame({names[0]: one, "k": _numbers() * 3}),
            "b": pd.DataFrame({names[1]: other, "k": _numbers() * 3}),
        }
    )


def _match(plan: Plan) -> Match:
    return plan.map[0]


def _rule(plan: Plan) -> HarmonisationRule:
    (rule,) = [entry for entry in plan.harmonise if entry.column == _match(plan).to]
    return rule


CONTRARY = [
    ("amount_eur", "amount_usd"), ("amount", "amountUSD"), ("left_eye", "right_eye"), ("va_od", "va_os"),
    ("weight_pre", "weight_post"), ("preop_hb", "postop_hb"), ("sbp", "diastolic_bp"), ("hdl", "ldl_chol"),
    ("temp_min", "temp_max"), ("admission_date", "discharge_date"), ("score_1", "score_2"), ("price_inr", "price_cad"),
    ("price in €", "price in $"), ("amount_try", "amount_ils"), ("fee_hkd", "fee_sgd"), ("cost_czk", "cost_huf"),
    ("auge_links", "auge_rechts"), ("oeil_gauche", "oeil_droit"), ("ojo_izquierdo", "ojo_derecho"),
    ("左眼压", "右眼压"), ("術前血圧", "術後血圧"), ("Gewicht vorher", "Gewicht nachher"), ("入院日期", "出院日期"),
]  # fmt: skip


@pytest.mark.parametrize("names", CONTRARY)
def test_contrary_names_are_asked(names: tuple[str, str]) -> None:
    plan = _suggested(_numbers(), _numbers(), names)
    joined = [match for match in plan.map if set(match.sources) == {"a", "b"} and match.to != "k"]
    assert all(match.question for match in joined)
    assert not [match.to for match in plan.accept_above(0.0).mapped.values() if match in joined]
    sides = [profile_column("s", pd.Series(_numbers(), name=name)).quantity_words for name in names]
    assert contrary_words(*sides)


@pytest.mark.parametrize(
    "names",
    [("age", "AGE"), ("sex", "gender"), ("systolic", "sysBP"), ("price_usd", "price_dollars"), ("inr", "INR_value"),
     ("birth_date", "dob"), ("chol", "totalChol"), ("try", "tries"), ("php_version", "version"), ("q1", "Q1"),
     ("左眼", "左眼压"),
     ("Gewicht", "Gewicht vorher")],
)  # fmt: skip
def test_other_names_are_not_contrary(names: tuple[str, str]) -> None:
    assert not contrary_words(split_words(names[0]), split_words(names[1]))


def test_currency_symbols_of_values_are_contrary() -> None:
    plan = _suggested([f"€{v:,.2f}" for v in _numbers() * 99], [f"${v:,.2f}" for v in _numbers() * 99])
    assert "one is in EUR, the other names USD" in _match(plan).question


@pytest.mark.parametrize("sentinels", [(99, -9), (99, 3), (9, 8), (99, 99)])
def test_sentinels_beside_a_scale_are_asked_and_no_codes(sentinels: tuple[int, int]) -> None:
    sides = [[*RNG.integers(1, 6, N - 3), *[1, 5, 3]] for _ in sentinels]
    for side, sentinel in zip(sides, sentinels, strict=True):
        side[:4] = [sentinel] * 4
    plan = _suggested(*sides)
    found = _rule(plan)
    assert dict(found.na) == {s: (v,) for s, v in zip("ab", sentinels, strict=True) if v > 5 or v < 0}
    assert not found.values
    assert "mean missing" in found.question
    assert set(ts.mix(plan.accept()).frame["v"].dropna()) == {1, 2, 3, 4, 5}


def test_a_code_of_both_sources_keeps_its_meaning() -> None:
    one = ["A", "B", "C", "D"] * 15
    other = ["A", "B", "C", "X"] * 15
    values = _rule(_suggested(one, other)).values["b"]
    assert values == {"A": "A", "B": "B", "C": "C", "X": "D"}


@pytest.mark.parametrize(
    ("one", "other"), [("EUR", "USD"), ("left", "right"), ("before", "after"), ("HDL", "LDL"), ("low", "high")]
)
def test_contrary_codes_are_not_mapped_to_each_other(one: str, other: str) -> None:
    plan = _suggested([one, "x"] * 30, [other, "x"] * 30)
    assert not _rule(plan).values
    assert f"{other} have no partner" in _rule(plan).question
    assert set(ts.mix(plan.accept()).frame["v"].dropna()) == {one, other, "x"}


@pytest.mark.parametrize(("mine", "theirs"), [(99, -9), (999, -1), (None, -8)])
def test_sentinels_in_text_are_no_codes_of_a_scale(mine: int | None, theirs: int) -> None:
    sides = [[str(v) for v in [*RNG.integers(1, 6, N - 5), 1, 2, 3, 4, 5]] for _ in "ab"]
    for side, sentinel in zip(sides, (mine, theirs), strict=True):
        side[:4] = [str(sentinel)] * 4 if sentinel is not None else side[:4]
    rule = _rule(_suggested(*sides))
    assert not [pair for pair in rule.values.get("b", {}).items() if pair[0] != pair[1]]
    assert f"{theirs} have no partner" in rule.question


def test_codes_without_a_partner_stay_or_become_missing() -> None:
    plan = _suggested(list("ABCD") * 15, list("EFGHIJ") * 10)
    assert "have no partner and stay unchanged" in _rule(plan).question
    assert len(ts.mix(plan.accept()).frame) == 2 * N


@pytest.mark.parametrize("words", [["low", "high"], ["20-39", "40-59"], ["<50", "50+"], ["stage 1", "stage 2"]])
def test_words_are_not_mapped_to_measurements(words: list[str]) -> None:
    plan = _suggested(np.round(_numbers()), words * 30)
    assert [dict(match.sources) for match in plan.map if match.to != "k"] == [{"a": ("v",)}, {"b": ("v",)}]
    assert not plan.harmonise
    assert len(ts.mix(plan.accept()).frame) == 2 * N


@pytest.mark.parametrize("form", ["{:,.2f}", "€{:,.2f}", "{:.2f}"])
def test_numbers_as_text_are_read(form: str) -> None:
    amounts = np.round(_numbers() * 50, 2)
    plan = _suggested(amounts, [form.format(value) for value in amounts], ("amount_eur", "amount_eur"))
    mixed = ts.mix(plan.accept()).frame["amount_eur"]
    np.testing.assert_allclose(mixed[N:].to_numpy(float), amounts)


def test_numbers_as_text_are_refused_in_batches(tmp_path: Path) -> None:
    amounts = np.round(_numbers() * 50, 2)
    plan = _suggested(amounts, [f"{value:,.2f}" for value in amounts]).accept()
    with pytest.raises(DataError, match=r"have the format #,##0.00, such as '.*mix in memory"):
        ts.mix(plan, output=tmp_path / "m.parquet")


def test_dates_that_do_not_fit_are_asked_with_a_budget() -> None:
    days = pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d").tolist()
    plan = _suggested([*days[: N - 3], "unknown", "n/a", "?"], days)
    rule = _rule(plan)
    assert rule.budget == 0.05
    assert "'unknown', 'n/a', '?'" in rule.question
    assert ts.mix(plan.accept()).frame["v"].isna().sum() == 3


def test_errors_about_dates_name_bad_values_only() -> None:
    days = pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d").tolist()
    plan = _suggested([*days[: N - 1], "unknown"], days).accept()
    bare = Plan.from_dict({**plan.to_dict(), "harmonise": []}, tables=plan.tables)
    with pytest.raises(DataError, match=r"fits all dates: 'unknown' do not fit, but most are of the format %Y-%m-%d"):
        ts.mix(bare)


def test_a_proposal_that_would_fail_says_so() -> None:
    days = pd.date_range("2020-01-01", periods=N)
    plan = _suggested(days, days.tz_localize("Asia/Tokyo"))
    assert "as proposed, it fails: column 'v' has the time zone Asia/Tokyo in 'b' and none in 'a'" in (
        _match(plan).question
    )
    with pytest.raises(InputError, match="give both a time zone, or none"):
        ts.mix(plan.accept())


def test_time_zones_keep_their_instants() -> None:
    days = pd.date_range("2020-01-01", periods=N, freq="h", tz="Asia/Tokyo")
    mixed = ts.mix(_suggested(days, days.tz_convert("Europe/Paris")).accept()).frame["v"]
    assert str(mixed.dt.tz) == "Asia/Tokyo"
    assert (mixed[N:].to_numpy() == days.to_numpy()).all()


def test_equal_names_ask_nothing() -> None:
    """Names that are equal in all sources are matched even where their values differ."""
    sides = {
        name: pd.DataFrame({"x": RNG.normal(i, 1, N), "x2": RNG.normal(i, 1, N), "ward": list("ABC") * 20})
        for i, name in enumerate("abc")
    }
    assert {match.to: match.question for match in ts.suggest(sides).map} == {"x": "", "x2": "", "ward": ""}


def test_a_recoding_that_matches_no_code_is_refused() -> None:
    plan = _suggested(["f", "m"] * 30, ["f", "m"] * 30).accept()
    data = plan.to_dict()
    data["harmonise"] = [
        {"column": "v", "values": {"b": {"1": "f", "2": "m"}}, "unmapped": "keep", "status": "accepted"}
    ]
    with pytest.raises(DataError, match="b.v: none of the codes in `values` of 'v' occurs"):
        ts.mix(Plan.from_dict(data, tables=plan.tables))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_recoding_for_all_sources_that_matches_no_code_is_refused(streamed: bool, tmp_path: Path) -> None:
    plan = _suggested(["f", "m"] * 30, ["f", "m"] * 30).accept()
    for codes, fits in (({"1": "f", "2": "m"}, False), ({"m": "male"}, True)):
        rule = {"column": "v", "values": codes, "unmapped": "keep", "status": "accepted"}
        edited = Plan.from_dict({**plan.to_dict(), "harmonise": [rule]}, tables=plan.tables)
        output = tmp_path / "m.parquet" if streamed else None
        if fits:
            ts.mix(edited, output=output)
            continue
        with pytest.raises(DataError, match="occurs in any source"):
            ts.mix(edited, output=output)


@pytest.mark.parametrize("values", [[f"w{i}" for i in range(N)], [f"{i} of 9" for i in range(N)]])
def test_no_budget_is_advised_for_a_column_of_another_kind(values: list[str]) -> None:
    for numbers in (_numbers(), pd.date_range("2020-01-01", periods=N)):
        question = _match(_suggested(numbers, values)).question
        assert "budget" not in question
        assert "as proposed, it fails" in question


def test_large_integers_beside_floats_are_refused() -> None:
    keys = pd.Series(range(2**53 + 2, 2**53 + 2 + 2 * N, 2))
    plan = _suggested(keys.astype(float), keys)
    data = plan.accept().to_dict() | {"harmonise": []}
    data["map"] = [{"to": "v", "kind": "identifier", "from": {"a": "v", "b": "v"}, "status": "accepted"}]
    data |= {"link": {"engine": "exact", "fields": ["v"]}, "combine": {"op": "join"}}
    with pytest.raises(InputError, match=r"'v' has integers above 2\*\*53 in 'b'"):
        ts.mix(Plan.from_dict(data, tables=plan.tables))


def test_an_empty_source_is_named(tmp_path: Path) -> None:
    full = pd.DataFrame({"x": [1, 2]})
    with pytest.raises(DataError, match="source 'b'.* no rows"):
        ts.suggest({"a": full, "b": full.iloc[:0]})
    (tmp_path / "empty.csv").write_text("x\n")
    with pytest.raises(DataError, match="empty.csv' has a header but no rows"):
        ts.suggest({"a": full, "b": tmp_path / "empty.csv"})


def test_equal_names_match_though_errors_change_the_kind_of_one() -> None:
    days = pd.date_range("1950-01-01", periods=400, freq="37D").strftime("%Y%m%d").astype(int)
    damaged = days.where(np.arange(400) % 50 > 0, days + 70)  # days such as 19500171
    names = [f"n{i}" for i in range(400)]
    plan = ts.suggest(
        {
            "a": pd.DataFrame({"name": names, "date_of_birth": days}),
            "b": pd.DataFrame({"name": names, "date_of_birth": damaged}),
        }
    )
    match = next(match for match in plan.map if match.to == "date_of_birth")
    assert dict(match.sources) == {"a": ("date_of_birth",), "b": ("date_of_birth",)}
    assert "nothing else was left" not in match.question


def _register(ids: Any, births: Any) -> pd.DataFrame:
    return pd.DataFrame({"soc_sec_id": ids, "date_of_birth": births})


def test_identifiers_that_occur_in_both_sources_are_evidence_for_a_link() -> None:
    births = [f"19{year}{month:02d}{day:02d}" for year in range(50, 90) for month in (2, 7) for day in (3, 17, 28)]
    ids = RNG.permutation(np.arange(1_000_000, 9_000_000, 33_000))[: len(births)]
    other = np.where(np.arange(len(ids)) < 180, ids, ids + 7)
    plan = ts.suggest({"a": _register(ids, births), "b": _register(other, births)})
    assert any("180 of the 240 values of 'soc_sec_id'" in text for text in plan.questions)
    assert any("fields [soc_sec_id]" in text for text in plan.questions)
    apart = ts.suggest({"a": _register(ids, births), "b": _register(ids + 7, births)})
    assert any("No identifier has a value" in text for text in apart.questions)
    alone = ts.suggest({"a": pd.DataFrame({"v": _numbers()}), "b": pd.DataFrame({"v": _numbers()})})
    assert any("engine exact or splink" in text for text in alone.questions)


def test_dates_with_some_errors_are_asked_about_once() -> None:
    """Digits without a separator, some of which are no date, are numbers by kind, and dates by their format."""
    births = [f"19{year}{month:02d}{day:02d}" for year in range(50, 90) for month in (2, 7) for day in (3, 17, 28)]
    strange = [*births[:-4], "19450493", "19960094", "19900270", "19611331"]
    ids = np.arange(1_000_000, 9_000_000, 33_000)[: len(births)]
    plan = ts.suggest({"a": _register(ids, [int(b) for b in births]), "b": _register(ids, [int(b) for b in strange])})
    match = next(match for match in plan.map if match.to == "date_of_birth")
    assert match.kind == "datetime"
    assert match.question == ""
    (rule,) = [rule for rule in plan.harmonise if rule.column == "date_of_birth"]
    assert "1.7% of b.date_of_birth are no dates" in rule.question


def test_seconds_since_1970_beside_dates_are_refused_and_never_become_missing() -> None:
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 20_000, N), unit="h")
    frames = {
        name: pd.DataFrame({"id": np.arange(N) + start, "t": when, "v": _numbers()})
        for name, start, when in (("a", 0, days), ("b", N, (days - pd.Timestamp(0)) // pd.Timedelta("1s")))
    }
    plan = ts.suggest(frames)
    assert not any(rule.budget for rule in plan.harmonise)
    with pytest.raises(DataError, match=r"b\.t: no single format fits all dates: .*correct the kind in map"):
        ts.mix(plan.accept(), tables=frames)
