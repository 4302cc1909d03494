"""Number formats of text columns are detected, parsed and written back identically."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.schema.number_formats import NumberFormat, find_number_format, format_numbers, parse_numbers


@pytest.mark.parametrize(
    ("text", "form", "numbers"),
    [
        (["$20,137.50", "$7.25", "-$1,000,000.00"], "$#,##0.00", [20137.5, 7.25, -1e6]),
        (["1,37", "12,5", "3"], "0,#", [1.37, 12.5, 3]),
        (["20.000,50", "1,00"], "#.##0,00", [20000.5, 1]),
        (["0.25%", "12.5%"], "0.0#%", [0.25, 12.5]),
        (["¥1,234.50", "¥0.10"], "¥#,##0.00", [1234.5, 0.1]),
        (["1 234,5 €", "17 €"], "# ##0,# €", [1234.5, 17]),
        (["12,34,567.00", "1,234.00"], "#,##,##0.00", [1234567, 1234]),
        ([".595", ".5", "1.25"], "#.0#", [0.595, 0.5, 1.25]),
        (["1'234.50", "0.05"], "#'##0.00", [1234.5, 0.05]),
        (["2401", "7"], "0", [2401, 7]),
        (["1.0", "2.25"], "0.0#", [1, 2.25]),
        (["1,234.50", "(0.25)"], "#,##0.00;(#,##0.00)", [1234.5, -0.25]),
        (["$7.25", "($1,000.00)"], "$#,##0.00;($#,##0.00)", [7.25, -1000]),
        (["12.50", "3.75-"], "0.00;0.00-", [12.5, -3.75]),
        (["−1.5", "20.0"], "0.0;−0.0", [-1.5, 20]),
        (["€-1.50", "€2.00"], "€0.00;€-0.00", [-1.5, 2]),
        (["+1.5%", "-0.5%", "0.0%"], "+0.0%;-0.0%;0.0%", [1.5, -0.5, 0]),
        (["+1.5", "-0.5", "+0.0"], "+0.0;-0.0", [1.5, -0.5, 0]),
        (["+0.14", "-0.23", "-0.00"], "+0.00;-0.00;0.00", [0.14, -0.23, -0.0]),
        (["0.50", "-0.00"], "0.00", [0.5, -0.0]),
        (["70.5 kg", "81.0 kg"], "0.0 kg", [70.5, 81]),
        (["120mg/dL", "95mg/dL"], "0mg/dL", [120, 95]),
        (["Rs. 1,23,456", "Rs. 99"], "Rs. #,##,##0", [123456, 99]),
        (["1,234万円", "20万円"], "#,##0万円", [1234, 20]),
        (["1\u00a0234,50 Kč", "7,00 Kč"], "#\u00a0##0,00 Kč", [1234.5, 7]),
        (["1\u2009234.5", "20.0"], "#\u2009##0.0", [1234.5, 20]),
        (["R$ 1.234,56", "R$ 0,10"], "R$ #.##0,00", [1234.56, 0.1]),
        (["3.466e+03", "-1.000e-12"], "0.000e+00", [3466, -1e-12]),
        (["6.02E+23", "1.00E+100"], "0.00E+00", [6.02e23, 1e100]),
        (["1,5e+03", "2,5e-01"], "0,0e+00", [1500, 0.25]),
        (["5E+00", "7E-02"], "0E+00", [5, 0.07]),
    ],
)
def test_forms_are_found_read_and_written(text: list[str], form: str, numbers: list[float]) -> None:
    found = find_number_format(text)
    assert str(found) == form
    assert NumberFormat.parse(form) == found
    assert parse_numbers(text, form).tolist() == numbers
    assert format_numbers(np.array(numbers), form).tolist() == text


@pytest.mark.parametrize(
    "text",
    [
        ["abc"],
        ["1-2"],
        ["007", "8"],
        ["1.50", "1.5"],
        ["1.50e+03", "1.5e+03"],
        ["1.5e3", "2.5e4"],
        ["$5", "€5"],
        ["1,2,3"],
        ["1.2.2020"],
        ["12:30"],
        ["-"],
        ["+5"],
        ["(1)", "(2)"],
        ["5-", "6-"],
        ["12A", "13A"],
        ["1g", "2g"],
        ["70 kg", "154 lb"],
        ["(0.0)", "1.0"],
    ],
)
def test_other_text_has_no_number_format(text: list[str]) -> None:
    assert find_number_format(text) is None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-(10**11), 10**11), min_size=1, max_size=30),
    st.integers(0, 4),
    st.sampled_from([("", "."), (",", "."), (".", ","), ("'", "."), ("\u202f", ",")]),
    st.sampled_from([("$", ""), ("", " €"), ("", "%"), ("CHF ", ""), ("", "")]),
)
def test_whatever_a_format_writes_is_found_and_comes_back(
    whole: list[int], places: int, marks: tuple[str, str], ends: tuple[str, str]
) -> None:
    form = NumberFormat(*ends, *marks, least=places, most=places)
    numbers = np.array(whole) / 10.0**places
    text = format_numbers(numbers, str(form)).tolist()
    found = find_number_format(text)
    assert found is not None
    assert format_numbers(parse_numbers(text, str(found)), str(found)).tolist() == text


@pytest.mark.parametrize(("prefix", "suffix"), [("₺", ""), ("฿", ""), ("₪", ""), ("", " ₴"), ("", " TL"), ("", " Ft")])
def test_further_currencies(prefix: str, suffix: str) -> None:
    values = [f"{prefix}{number:,.2f}{suffix}" for number in np.random.default_rng(0).lognormal(8, 1, 50)]
    form = find_number_format(values)
    assert form is not None
    assert [form.write(form.read(value) or 0.0) for value in values] == values
