"""Keys that differ only in form link the same person, or raise an alarm."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import DataError
from tabsynth.mixing.plan.plan import Plan

N = 60


def _plan(a: pd.Series, b: pd.Series, **link: object) -> Plan:
    sides = {"a": pd.DataFrame({"id": a, "x": range(N)}), "b": pd.DataFrame({"id": b, "y": range(N)})}
    plan = ts.suggest(sides).accept()
    data = plan.to_dict()
    data["map"] = [
        {"to": "id", "kind": "identifier", "from": {"a": "id", "b": "id"}, "status": "accepted"},
        {"to": "x", "kind": "numeric", "from": {"a": "x"}, "status": "accepted"},
        {"to": "y", "kind": "numeric", "from": {"b": "y"}, "status": "accepted"},
    ]
    data["harmonise"] = []
    data["link"] = {"engine": "exact", "fields": ["id"], **link}
    data["combine"] = {"op": "join"}
    return Plan.from_dict(data, tables=sides)


def _codes(form: Callable[[int], str]) -> pd.Series:
    return pd.Series([form(i + 1) for i in range(N)])


ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
DEVANAGARI = str.maketrans("0123456789", "०१२३४५६७८९")

FORMS = {
    "zeros": (_codes("{:03d}".format), pd.Series(range(1, N + 1))),
    "zeros in text": (_codes("{:03d}".format), _codes("{}".format)),
    "letters": (_codes(lambda i: f"é{i}"), _codes(lambda i: unicodedata.normalize("NFD", f"é{i}"))),
    "case": (_codes("AB{}".format), _codes("ab{}".format)),
    "invisible": (_codes("AB{}".format), _codes("AB{}\u200b".format)),
    "dashes": (_codes("AB-{}".format), _codes("AB\u2013{}".format)),
    "sharp s": (_codes("STRASSE{}".format), _codes("Straße{}".format)),
    "decimals": (_codes("{}.0".format), pd.Series(range(1, N + 1))),
    "sign": (_codes("+49{}".format), _codes("49{}".format)),
    "zeros after a letter": (_codes("P{:04d}".format), _codes("P{}".format)),
    "separators": (_codes("AB-{}".format), _codes("ab_{}".format)),
    "no separators": (_codes("AB-{:03d}".format), _codes("AB{:03d}".format)),
    "UUIDs": (
        _codes(lambda i: str(uuid.UUID(int=i << 90 | i))),
        _codes(lambda i: f"{{{str(uuid.UUID(int=i << 90 | i)).upper()}}}"),
    ),
    "UUIDs without dashes": (
        _codes(lambda i: str(uuid.UUID(int=i << 90 | i))),
        _codes(lambda i: uuid.UUID(int=i << 90 | i).hex.upper()),
    ),
    "digits of Arabic": (_codes("{:04d}".format), _codes(lambda i: f"{i:04d}".translate(ARABIC))),
    "digits of Devanagari": (_codes("A{}".format), _codes(lambda i: f"A{i}".translate(DEVANAGARI))),
    "full width": (_codes("AB{}".format), _codes(lambda i: f"ＡＢ{i}")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("streamed", [False, True])
def test_keys_of_another_form_link(form: str, streamed: bool, tmp_path: Path) -> None:
    plan = _plan(*FORMS[form])
    rows = ts.mix(plan, output=tmp_path / "m.parquet").rows if streamed else len(ts.mix(plan).frame)
    assert rows == N


@pytest.mark.parametrize("streamed", [False, True])
def test_keys_whose_form_matters_raise_an_alarm(streamed: bool, tmp_path: Path) -> None:
    """Keys that differ by case within a source stay apart; that others would match is reported."""
    a = _codes("AB{}".format)
    b = pd.Series([*(f"ab{i + 1}" for i in range(N - 2)), "q", "Q"])
    with pytest.raises(DataError, match="58 more keys would match if case and leading zeros were ignored"):
        ts.mix(_plan(a, b), output=tmp_path / "m.parquet") if streamed else ts.mix(_plan(a, b))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_link_without_a_match_raises_an_alarm(streamed: bool, tmp_path: Path) -> None:
    a, b = _codes("a{}".format), _codes("b{}".format)
    with pytest.raises(DataError, match="no record of one source is linked"):
        ts.mix(_plan(a, b), output=tmp_path / "m.parquet") if streamed else ts.mix(_plan(a, b))
    accepted = _plan(a, b, alarms="report")
    assert len(ts.mix(accepted).frame) == 2 * N


def test_keys_with_a_space_link() -> None:
    assert len(ts.mix(_plan(_codes("AB-{:03d}".format), _codes("ab {:03d}".format))).frame) == N


def test_keys_that_separators_distinguish_stay_apart(tmp_path: Path) -> None:
    a = pd.Series([*(f"A-{i + 1}" for i in range(N - 2)), "A1-2", "A12"])
    b = pd.Series([*(f"A{i + 101}" for i in range(N - 2)), "A1-2", "A12"])
    assert len(ts.mix(_plan(a, b, alarms="report")).frame) == 2 * N - 2
