"""Date formats of text: dates, times and zones in any combination, written back identically."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.schema.datetime_formats import format_dates
from tabsynth.schema.inference import infer_column, infer_schema

START = datetime.datetime(2014, 1, 1)
MOMENTS = [START + datetime.timedelta(seconds=7919 * 601 * step) for step in range(15)]
DAYS = [moment.replace(hour=0, minute=0, second=0) for moment in MOMENTS]


@pytest.mark.parametrize(
    "spelling",
    [
        "%Y年%m月%d日 %H时%M分", "%Y年%m月%d日%H時%M分%S秒", "%Y년 %m월 %d일 %H시 %M분", "%H時%M分",
        "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M", "%Y%m%d%H%M%S", "%Y%m%d %H:%M", "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%d %H:%M:%S.0", "%Y-%m-%d %H:%M:%S UTC", "%Y/%m/%d", "%Y.%m.%d %H:%M",
        "%d.%m.%Y %H:%M", "%d.%m.%Y, %H:%M", "%d/%b/%Y:%H:%M:%S +0000", "%b %d, %Y", "%b. %-d, %Y", "%b %e %Y %I:%M%p",
        "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S +0000", "%A, %B %-d, %Y", "%G-W%V-%u", "%G-W%V", "%b-%Y",
        "%m/%Y", "%Y-%m-%d-%H.%M.%S",
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", [MOMENTS, DAYS], ids=["times", "days"])
def test_dates_come_back_in_their_spelling(spelling, source):
    text = pd.Series([moment.strftime(spelling) for moment in source], name="seen")
    assert_comes_back(text)


@pytest.mark.parametrize("spelling", ["%d%b%Y", "%d-%b-%y", "%b-%Y"])
def test_capital_months_stay_capital(spelling):
    assert_comes_back(pd.Series([moment.strftime(spelling).upper() for moment in MOMENTS], name="seen"))


@pytest.mark.parametrize(
    ("format", "example"),
    [
        ("[fr]%-d %B %Y", "1 janvier 2014"), ("[Fr]%-d %B %Y", "1 Janvier 2014"), ("[fr.]%d %b %Y", "01 janv. 2014"),
        ("[hi]%-d %B %Y", "1 जनवरी 2014"), ("[de]%-d. %B %Y", "1. Januar 2014"), ("[de-2.]%-d. %b %Y", "1. Jan. 2014"),
        ("[es]%-d de %B de %Y", "1 de enero de 2014"), ("[es]%d-%b-%y", "01-ene-14"),
        ("[it]%d %B %Y", "01 gennaio 2014"), ("[pt]%d/%b/%Y", "01/jan/2014"), ("[pt]%B de %Y", "janeiro de 2014"),
        ("[nl]%-d %B %Y", "1 januari 2014"),
        ("[de]%d. %B %Y, %H:%M", "01. Januar 2014, 00:00"), ("[de]%d-%^b-%Y", "01-JAN-2014"),
        ("[pl]%-d %B %Y", "1 stycznia 2014"), ("[ru]%-d %B %Y", "1 января 2014"), ("[tr]%d %B %Y", "01 Ocak 2014"),
    ],
)  # fmt: skip
def test_months_in_other_languages_are_read_and_come_back(format, example):
    days = pd.Series(pd.date_range("2014-01-01", periods=36, freq="31D"))
    text = format_dates(days, format).to_pandas().rename("seen")
    assert text[0] == example
    column = infer_column(text)
    assert (column.kind, column.question) == ("datetime", "")
    assert_comes_back(text)
    assert Table.of(text.to_frame(), {"columns": {"seen": {"kind": "datetime", "format": format}}})


@pytest.mark.parametrize("colon", [":", ""])
def test_several_offsets_are_written_in_utc_in_the_same_form(colon):
    text = [f"2020-01-{day:02d}T{10 + day % 2}:00:00+0{1 + day % 2}{colon}00" for day in range(1, 16)]
    frame = pd.DataFrame({"seen": text * 40})
    codec = Codec.measure(Table.of(frame))
    back = codec.decode(codec.encode(frame), np.random.default_rng(0))["seen"]
    assert back.str.endswith(f"T09:00:00+00{colon}00").all()
    assert list(back.str[:10]) == list(frame["seen"].str[:10])


def test_conditions_name_months_as_the_column_does():
    text = format_dates(pd.Series(pd.date_range("2014-01-01", periods=40, freq="9D")), "[fr]%-d %B %Y").to_pandas()
    model = ts.MarginalSynthesizer().fit(pd.DataFrame({"seen": text.repeat(5), "x": 1}), seed=0)
    assert set(model.sample(5, given={"seen": "19 janvier 2014"}, seed=0)["seen"]) == {"19 janvier 2014"}
    with pytest.raises(ts.errors.ConditionError, match="seen"):
        model.sample(5, given={"seen": "19 ianuarie 2014"}, seed=0)


def test_most_values_with_months_of_another_language_are_called_dates():
    text = [f"{'1er' if day == 1 else day} mars 2020" for day in range(1, 29)]
    assert "most values are dates" in infer_column(pd.Series(text, name="seen")).question


def test_times_without_a_day_are_datetimes():
    assert_comes_back(pd.Series([moment.strftime("%I:%M %p") for moment in MOMENTS], name="seen"))


def test_lower_case_am_and_pm_stay_so():
    assert_comes_back(pd.Series([moment.strftime("%m/%d/%Y %I:%M %p").lower() for moment in MOMENTS], name="seen"))


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "with gaps"])
@pytest.mark.parametrize("spelling", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_whole_numbers_may_be_dates_with_times(spelling, gaps):
    numbers = pd.Series([int(moment.strftime(spelling)) for moment in MOMENTS], name="seen")
    assert_comes_back(numbers.where(numbers.index % 5 > 0) if gaps else numbers)


@pytest.mark.parametrize(
    "values",
    [
        ["201511", "201402", "201312"], ["20151302", "20140230", "20131105"], ["2015-W60", "2015-W12", "2014-W01"],
        ["12-11-20155", "13-11-20155", "12-12-20155"], ["12.11.2015 25:00", "12.11.2015 08:00", "13.11.2015 09:00"],
        ["Abc-2015", "Nov-2015", "Dec-2014"], ["20151112T2510", "20151112T0910", "20151113T1010"],
    ],
)  # fmt: skip
def test_texts_that_only_resemble_dates_are_none(values):
    assert infer_column(pd.Series(values * 20, name="seen")).kind != "datetime"


def assert_comes_back(values: pd.Series) -> None:
    """Check that a column is inferred as datetimes, and that the codec returns its values identically."""
    frame = pd.DataFrame({"seen": pd.concat([values] * 40, ignore_index=True)})  # enough for a token of each value
    schema = infer_schema(frame)
    assert schema["seen"].kind == "datetime"
    codec = Codec.measure(Table.of(frame, schema))
    back = codec.decode(codec.encode(frame), np.random.default_rng(0))["seen"]
    pd.testing.assert_series_equal(back, frame["seen"], check_dtype=False)
