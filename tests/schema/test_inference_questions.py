"""Questions that schema inference asks, and columns of persons."""

import numpy as np
import pandas as pd
import pytest

from .one_column import infer_one


def test_what_the_user_is_asked_about_well_known_tables(schema_of):
    adult = schema_of("adult")
    assert set(adult.questions) == {"capital-gain"}
    assert "99999" in adult["capital-gain"].question
    assert adult["age"].decimals == 0
    assert adult["workclass"].nullable
    asked = schema_of("diabetes130").questions
    assert "role 'person'" in asked["patient_nbr"]
    assert "code" in asked["diag_1"]
    assert "same" in asked["acetohexamide"]
    assert "code" in schema_of("default").questions["MARRIAGE"]


@pytest.mark.parametrize(
    ("name", "values", "kind", "asks"),
    [
        ("x", ["01/02/2020", "03/04/2021"] * 9, "datetime", "day or month"),
        ("score", ["1.5", "2", "3", "4", "5.5", "6", "7", "8", "9", "12a"] * 9, "categorical", "are numbers"),
        ("x", ["a", "b", "unknown", "?"] * 9, "categorical", "missing"),
        ("x", [1, 2, 3, 4, 1000] * 9 + [-999] * 9, "numeric", "-999"),
        (
            "chol",
            [0] * 40 + [200 + i + j for i in range(40) for j in range(40)],
            "numeric",
            "does 0, which 40 rows have",
        ),
        ("bmi", [0.0] * 5 + [25.1 + i / 10 for i in range(60)], "numeric", "does 0, which 5 rows have, mean"),
        ("pdays", [-1] * 90 + list(range(18, 60)), "numeric", "does -1, which 90 rows have, mean"),
        ("change", [-1, -2] * 9 + list(range(18, 60)), "numeric", ""),
        ("x", [-1] * 9 + [1, 2, 3] * 40, "numeric", "code"),
        ("loss", [0] * 300 + list(range(1500, 1700)), "numeric", ""),
        ("visits", [0] * 40 + list(range(1, 60)) * 2, "numeric", ""),
        ("paid", [0] * 40 + [100 * 2 ** (i % 12) + i for i in range(200)], "numeric", ""),
        ("weight", [0] * 4 + list(range(50, 90)) * 3, "numeric", ""),
        ("x", [1, 2, 3, 4, 5] * 9, "numeric", "code"),
        ("zip", [2114, 94110, 10001] * 9, "categorical", "code"),
        ("x", [21140 + i for i in range(40)] * 2, "numeric", "postcode"),
        ("x", np.random.default_rng(0).permutation(10**6)[:60], "numeric", "key"),
        ("diagnosis", [100_001 + 9_999_991 * i for i in range(40)] * 6, "numeric", "large integers repeat"),
        ("price", [100_000 + 9_999_990 * i for i in range(40)] * 6, "numeric", ""),
        ("customer_id", list(range(1000, 1060)) * 2, "identifier", "person"),
        ("order_id", [f"O{i}" for i in range(60)] * 2, "identifier", "another table"),
        ("street", [f"{i} High Street" for i in range(60)], "text", "categorical"),
        ("surname", ["smith", "jones", *(f"na{chr(97 + i)}e" for i in range(25))] * 4, "text", "persons"),
        ("x", ["a"] * 1999 + ["b"], "categorical", "the same"),
        ("x", [None] * 5, "categorical", "dropped"),
        ("x", ["1,234.50", "12,000.00", "7.25"] * 9, "numeric", ""),
        ("x", ["1,234", "12,000", "17,250"] * 9, "numeric", "thousands"),
        ("x", [str(i * 7) for i in range(300)] * 2, "numeric", "stored as text"),
        ("x", ["9999-12-31", *(f"2020-01-{i:02d}" for i in range(1, 29))] * 3, "categorical", "dates"),
        ("x", [9999, *range(3000)] * 2, "numeric", ""),
        ("x", [f"{'$€'[i % 2]}{i}.25" for i in range(60)], "identifier", "several ways"),
        ("x", [f"{i}٫٢٥" for i in range(60)], "identifier", "digits other"),
        ("x", [f"{i % 7} mg" for i in range(140)], "categorical", ""),
        ("x", [f"{i / 10}k" for i in range(60)], "identifier", "with units"),
        ("x", [f"${i / 10}M" for i in range(60)], "identifier", "with units"),
        ("bp", [f"{100 + i % 50}/{60 + i % 30}" for i in range(400)], "categorical", "two numbers"),
        ("x", [f"{1000 * i}.5x{i}" for i in range(60)], "identifier", "two numbers"),
        ("x", [f"{i / 10}万" for i in range(60)], "identifier", "with units"),
        ("x", [f"令和{1 + i % 5}年{1 + i % 12}月{1 + i % 28}日" for i in range(60)], "identifier", "Japanese calendar"),
        ("x", [f"{i}e{i % 3}" if i % 2 else f"{i}.0" for i in range(60)], "numeric", "stored as text"),
        ("band", [f"{i % 9}/{i % 9 + 1}" for i in range(400)], "categorical", ""),
        ("t", [f"2020-01-{i + 1:02d}T10:00:00+0{i % 2 + 1}:00" for i in range(28)], "datetime", "several offsets"),
        ("dob", [f"01/13/{i}" for i in range(40, 90)] * 2, "datetime", "two digits"),
        ("admission_date", [43000 + i for i in range(60)] * 2, "numeric", "spreadsheet"),
    ],
)
def test_questions(name, values, kind, asks):
    column = infer_one(values, name)
    assert column.kind == kind
    assert asks in column.question
    assert bool(column.question) == bool(asks)


@pytest.mark.parametrize("values", [[f"W{i // 4}" for i in range(400)], ["a"] * 90 + ["b", "c", "d"] * 2])
def test_much_of_a_column_in_rare_values_is_asked_about(values):
    column = infer_one(values)
    assert column.kind == "categorical"
    assert "fewer than 5 rows" in column.question


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("patient_id", [101, 102, 103, 104] * 50, "identifier"),
        ("PATIENT", ["a7", "b3", "c9"] * 100, "identifier"),
        ("customer", [f"C{i % 10}" for i in range(2000)], "identifier"),
        ("first_name", ["Ann", "Bob"] * 50, "text"),
        ("Surname", ["Smith", "Jones", "Brown"] * 50, "text"),
        ("姓名", ["王伟", "李娜"] * 50, "text"),
        ("Vorname", ["Anna", "Karl"] * 50, "text"),
        ("home_address", ["1 High St", "2 Low St"] * 50, "text"),
        ("contact", ["a@example.org", "b@example.org"] * 50, "text"),
        ("account_number", [10023, 20034] * 50, "identifier"),
        ("phone", [5551234567, 5559876543] * 50, "identifier"),
        ("x", ["+49 30 1234567", "+33 1 23 45 67 89"] * 50, "identifier"),
        ("acct", ["12345678", "22345678"] * 50, "identifier"),
        ("CC number", ["4111-1111", "5500-0000"] * 50, "identifier"),
        ("x", [4111111111111111, 5500000000000004, 4012888888881881] * 50, "identifier"),
        ("x", ["378282246310005", "4222 2222 2222 2220", "6011-1111-1111-1117"] * 50, "identifier"),
        ("x", ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32"] * 50, "identifier"),
        ("x", ["078-05-1120", "219-09-9999"] * 50, "identifier"),
        ("证件", ["11010519491231002X", "440524188001010014"] * 50, "identifier"),
        ("x", [110105194912310003] * 50, "identifier"),
        ("नाम", ["राम", "सीता"] * 50, "text"),
        ("患者名", ["山田太郎", "佐藤花子"] * 50, "text"),
        ("nazwisko", ["Nowak", "Wójcik"] * 50, "text"),
        ("pre\u0301nom", ["Jean", "Marie"] * 50, "text"),
        ("emergency_contact", ["Anna Huber", "Bob Maier"] * 50, "text"),
        ("contact", ["a@example.org", "b@example.org", "by post"] * 50, "text"),
        ("Kennzeichen", ["M-AB 100", "GÖ-C 17"] * 50, "identifier"),
        ("license_plate", ["100-XYZ", "217-ABC"] * 50, "identifier"),
        ("pesel", ["44051401359", "02070803628"] * 50, "identifier"),
        ("codice_fiscale", ["RSSMRA85T10A562S", "BNCGVN90A01H501X"] * 50, "identifier"),
        ("Case No.", [104233, 204991] * 50, "identifier"),
        ("phone_raw", ["0664 1234567", "0699 7654321"] * 50, "identifier"),
        ("x", ["756.1234.5678.97", "756.9217.0769.85"] * 50, "identifier"),
        ("x", ["06 12 34 56 78", "01.23.45.67.89"] * 50, "identifier"),
        ("x", ["10.0.0.1", "192.168.1.20"] * 50, "identifier"),
        ("x", ["10.0.0.1:8080", "192.168.1.20:443"] * 50, "identifier"),
        ("x", ["de89370400440532013000", "gb82west12345698765432"] * 50, "identifier"),
        ("x", ["2001:db8::1", "fe80::1ff:fe23:4567:890a"] * 50, "identifier"),
        ("x", ["0000-0002-1825-0097", "0000-0001-5109-3700"] * 50, "identifier"),
        ("x", ["@ann_b", "@bob", "@cy.d@social.example"] * 50, "text"),
        ("x", ["https://www.linkedin.com/in/ann", "https://x.com/bob"] * 50, "text"),
        ("x", ["http://uni.example/~ann", "http://uni.example/~bob"] * 50, "text"),
        ("x", ["C:\\Users\\ann\\a.txt", "/home/bob/a.txt"] * 50, "text"),
        ("login", ["ann", "bob"] * 50, "text"),
        ("x", [f"https://example.org/{i}" for i in range(100)], "text"),
        ("x", [f"www.example.org/page{i}" for i in range(100)], "text"),
        ("photo", [f"s3://bucket/{i}.jpg" for i in range(100)], "text"),
    ],
)
@pytest.mark.parametrize("dtype", ["object", "category"])
def test_columns_of_persons_are_asked_about_and_never_learned(name, values, kind, dtype):
    column = infer_one(pd.Series(values).astype(dtype) if dtype == "category" else values, name)
    assert column.kind == kind
    assert kind == "numeric" or column.question or column.pii == "email"


@pytest.mark.parametrize(
    ("name", "values", "asks"),
    [
        ("employer", ["Acme", "Apex", "Bolt"] * 50, "employers"),
        ("company_name", ["Acme", "Apex", "Bolt"] * 50, "employers"),
        ("Arbeitgeber", ["Amt", "Bank"] * 50, "employers"),
        ("勤務先", ["甲", "乙"] * 50, "employers"),
        ("x", ["Acme GmbH", "Apex, Inc.", "Bolt S.p.A."] * 50, "employers"),
        ("twitter", ["ann", "bob"] * 50, "persons"),
        ("referrer", ["https://a.example", "https://b.example"] * 50, "web addresses"),
    ],
)
@pytest.mark.parametrize("dtype", ["object", "category"])
def test_employers_and_web_addresses_that_repeat_are_asked_about(name, values, asks, dtype):
    column = infer_one(pd.Series(values).astype(dtype), name)
    assert column.kind == "categorical"
    assert asks in column.question


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("own_telephone", ["yes", "no"] * 50, "categorical"),
        ("phone_type", ["home", "work"] * 50, "categorical"),
        ("first_visit_type", ["a", "b"] * 50, "categorical"),
        ("account_balance", [10.25, 11.5] * 50, "numeric"),
        ("patient", [0, 1] * 50, "categorical"),
        ("patient_type_id", [1, 2, 3] * 50, "categorical"),
        ("station_name", ["Bern", "Basel"] * 50, "categorical"),
        ("email_opt_in", [True, False] * 50, "boolean"),
        ("Kennzeichen", ["A", "B1"] * 50, "categorical"),
        ("case_id", [10423, 20499] * 50, "categorical"),
        ("cpr", ["yes", "no"] * 50, "categorical"),
        ("x", ["4111111111111112", "5500000000000005", "4012888888881882"] * 50, "categorical"),
        ("version", ["1.2.3.400", "1.2.3.500"] * 50, "categorical"),
    ],
)
def test_columns_that_merely_mention_persons_are_learned(name, values, kind):
    assert infer_one(values, name).kind == kind


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("LAT", [42.1, 42.25, 41.5]),
        ("longitude", [7.25, 8.5, 9.125]),
        ("BIRTHDATE", ["1970-01-02", "1980-03-04"]),
        ("date_of_birth", ["1970-01-02", "1980-03-04"]),
        ("zip", [2114, 94110, 2114]),
        ("Geburtsjahr", [1970, 1980, 1991]),
        ("fecha_nacimiento", ["1970-01-02", "1980-03-04"]),
        ("邮编", ["100000", "200000", "100000"]),
    ],
)
def test_places_and_dates_of_birth_are_quasi_identifiers(name, values):
    assert infer_one(values * 20, name).role == "quasi_identifier"
    assert infer_one(values * 20, "x").role is None


def test_codes_that_seldom_repeat_are_replaced_and_asked_about():
    codes = infer_one(["D0"] * 20 + [f"D{i}" for i in range(1, 381)], "x")
    assert codes.kind == "identifier"
    assert "is it a code (categorical)?" in codes.question
    weights = [f"{i}{'kg' if i % 2 else 'lb'}" for i in range(300)] + ["71kg"] * 20
    assert infer_one(weights, "x").kind == "text", "no made-up measurements"
    assert infer_one([f"Anna{i}" for i in range(300)] + ["Anna1"] * 20, "surname").kind == "text"


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y", "%Y年%m月%d日"])
def test_dates_in_digits_of_other_scripts_are_asked_about(form: str) -> None:
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(90) * 9, "D")
    values = [day.strftime(form).translate(str.maketrans("0123456789", "०१२३४५६७८९")) for day in days]
    assert "the dates are written in digits other than 0 to 9" in infer_one(values).question


@pytest.mark.parametrize(
    ("zero", "form"),
    [
        (0x660, "{} ر.س"), (0x6F0, "{} ریال"), (0x6F0, "{} تومان"), (0x966, "₹{}"), (0x966, "{} रुपये"),
        (0x9E6, "৳{}"), (0xE50, "{} บาท"), (0xFF10, "¥{}"), (0xFF10, "\uffe5{}"), (0xFF10, "{}円"), (0x660, "\u200f{}"),
    ],
)  # fmt: skip
def test_amounts_in_digits_of_other_scripts_are_asked_about(zero: int, form: str) -> None:
    digits = {ord(str(value)): chr(zero + value) for value in range(10)}
    values = [form.format(f"{37 * i * i + 1_100:,}".translate(digits)) for i in range(90)]
    assert "the numbers are written in digits other than 0 to 9" in infer_one(values).question


def test_amounts_whose_decimals_are_a_dash_are_asked_about():
    assert "resemble numbers" in infer_one([f"CHF {37 * i * i + 1_100}.-" for i in range(90)]).question
