"""Similarity of column names, and the units that names imply."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache

ABBREVIATIONS = {
    "acct": "account", "addr": "address", "alb": "albumin", "alk": "alkaline", "amt": "amount", "avg": "mean",
    "average": "mean", "bal": "balance", "bilirubin": "bilirubin", "birthdate": "birth date", "bmi": "body mass index",
    "born": "birth", "bp": "blood pressure", "bun": "urea nitrogen", "ccy": "currency", "chol": "cholesterol",
    "client": "customer", "cnt": "count", "creat": "creatinine", "cust": "customer", "dbp": "diastolic blood pressure",
    "diag": "diagnosis", "diam": "diameter", "dob": "birth date", "dt": "date", "dx": "diagnosis",
    "ecg": "electrocardiogram", "ekg": "electrocardiogram", "edu": "education", "empl": "employment",
    "exercise": "exercise", "family": "last", "fasting": "fasting", "fbs": "fasting blood sugar", "fn": "first name",
    "forename": "first name", "freq": "frequency", "gender": "sex", "given": "first", "glu": "glucose",
    "grp": "group", "hb": "hemoglobin", "hba1c": "hemoglobin a1c", "hgb": "hemoglobin", "haemoglobin": "hemoglobin",
    "hdl": "hdl cholesterol", "hr": "heart rate", "ht": "height", "hypert": "hypertension", "hx": "history",
    "inc": "income", "ldl": "ldl cholesterol", "ln": "last name", "loc": "location", "marital": "marital",
    "max": "maximum", "med": "medication", "min": "minimum", "mo": "month", "mths": "months", "nat": "nationality",
    "nbr": "number", "no": "number", "num": "number", "occ": "occupation", "occup": "occupation", "patient": "patient",
    "plt": "platelets", "pt": "patient", "pulse": "heart rate", "qty": "quantity", "rbc": "red blood cells",
    "salary": "income", "sbp": "systolic blood pressure", "smoke": "smoking", "smoker": "smoking",
    "ssn": "social security",
        "st": "st", "surname": "last name", "tc": "total cholesterol", "tel": "phone",
    "telephone": "phone",
    "temp": "temperature", "tg": "triglycerides", "trans": "transaction", "txn": "transaction", "val": "value",
    "wage": "income", "wbc": "white blood cells", "wt": "weight", "yr": "year", "yrs": "years", "zip": "postcode",
    "zipcode": "postcode", "postal": "postcode", "limit": "limit", "glycemia": "glucose", "bps": "blood pressure",
}  # fmt: skip
"""Common abbreviations and synonyms."""

STOP_WORDS = frozenset(
    {"the", "of", "in", "a", "an", "at", "is", "has", "value", "code", "cd", "flag", "ind", "status"}
)

UNIT_WORDS: dict[tuple[str, ...], str] = {
    ("mg", "dl"): "mg/dL", ("mmol", "l"): "mmol/L", ("mmol",): "mmol/L", ("umol", "l"): "umol/L", ("g", "l"): "g/L",
    ("g", "dl"): "g/dL", ("ug", "l"): "ug/L", ("ng", "ml"): "ng/mL", ("nmol", "l"): "nmol/L", ("meq", "l"): "mEq/L",
    ("iu", "ml"): "IU/mL", ("mmhg",): "mmHg", ("mm", "hg"): "mmHg", ("kpa",): "kPa", ("kg", "m", "2"): "kg/m2",
    ("kg",): "kg", ("lb",): "lb", ("lbs",): "lb", ("pounds",): "lb", ("cm",): "cm", ("inch",): "inch",
    ("inches",): "inch", ("bpm",): "bpm", ("celsius",): "degC", ("degc",): "degC", ("fahrenheit",): "degF",
    ("degf",): "degF", ("months",): "month", ("month",): "month", ("mths",): "month", ("mo",): "month",
    ("years",): "year", ("yrs",): "year", ("yr",): "year", ("days",): "day", ("weeks",): "week", ("hours",): "hour",
    ("minutes",): "minute", ("pct",): "percent", ("percent",): "percent", ("thousands",): "thousand",
    ("eur",): "EUR", ("keur",): "kEUR", ("usd",): "USD", ("kusd",): "kUSD", ("cents",): "hundredth",
}  # fmt: skip
"""Unit by the words in a name; the longest sequence wins."""

TIME, MONEY = ("year", "month", "week", "day"), ("1", "thousand", "hundredth")

QUANTITY_UNITS: dict[str, tuple[str, ...]] = {
    "age": TIME, "duration": (*TIME, "hour", "minute"), "tenure": TIME, "term": TIME, "followup": TIME,
    "stay": ("day", "hour"),
    "weight": ("kg", "lb", "g"), "mass": ("kg", "lb", "g"), "height": ("cm", "m", "inch"), "waist": ("cm", "m", "inch"),
    "length": ("cm", "m", "inch"), "temperature": ("degC", "degF", "K"), "pressure": ("mmHg", "kPa"),
    "systolic": ("mmHg", "kPa"), "diastolic": ("mmHg", "kPa"), "income": MONEY, "amount": MONEY, "balance": MONEY,
    "price": MONEY, "cost": MONEY, "debt": MONEY, "loan": MONEY, "capital": MONEY, "credit": MONEY,
    "rate": ("percent", "1"), "share": ("percent", "1"), "saturation": ("percent", "1"), "hematocrit": ("percent", "1"),
    "platelets": ("10^9/L", "1/uL"), "cells": ("10^9/L", "1/uL"),
}  # fmt: skip
"""Usual units of a quantity, by a word of the column's name."""

CONCENTRATION_UNITS = ("mg/dL", "mmol/L", "umol/L", "g/L", "g/dL", "ug/L", "ng/mL", "nmol/L")

ANALYTES = {
    "cholesterol": "cholesterol", "triglycerides": "triglycerides", "glucose": "glucose", "sugar": "glucose",
    "creatinine": "creatinine", "urea": "urea", "bilirubin": "bilirubin", "calcium": "calcium", "sodium": "sodium",
    "potassium": "potassium", "magnesium": "magnesium", "chloride": "chloride", "phosphorus": "phosphorus",
    "phosphate": "phosphorus", "iron": "iron", "lactate": "lactate", "albumin": "albumin",
    "hemoglobin": "hemoglobin", "cortisol": "cortisol", "testosterone": "testosterone", "folate": "folate",
}  # fmt: skip
"""Substance by a word of the column's name; a1c is a share and therefore not included."""


@cache
def expand_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a name's words with abbreviations expanded, without units and stop words."""
    _, rest = _split_unit(words)
    full = [word for short in rest for word in ABBREVIATIONS.get(short, short).split()]
    kept = tuple(dict.fromkeys(word for word in full if word not in STOP_WORDS))
    return kept or tuple(words)


def unit_in_name(words: tuple[str, ...]) -> str | None:
    """Return the unit in a name, such as ``mg/dL`` in ``chol_mg_dl``."""
    return _split_unit(words)[0]


def analyte_in_name(words: tuple[str, ...]) -> str | None:
    """Return the substance in a name, if its molar mass is known."""
    full = expand_words(words)
    if "a1c" in full:
        return None
    if {"urea", "nitrogen"} <= set(full):
        return "urea nitrogen"
    return next((ANALYTES[word] for word in full if word in ANALYTES), None)


def candidate_units(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the units that a column of this name may have; empty when the name implies none."""
    if analyte_in_name(words):
        return CONCENTRATION_UNITS
    return next((QUANTITY_UNITS[word] for word in expand_words(words) if word in QUANTITY_UNITS), ())


def _split_unit(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the unit in a name and the other words; a name without other words has no unit."""
    for size in (3, 2, 1):
        for start in range(len(words) - size, -1, -1):
            found = UNIT_WORDS.get(words[start : start + size])
            rest = words[:start] + words[start + size :]
            if found and rest:
                return found, rest
    return None, words


@cache
def name_similarity(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Return the similarity of two names, 0 to 1: the mean over words of the best match, or an acronym."""
    if one == other:
        return 1.0
    a, b = expand_words(one), expand_words(other)
    if a == b:
        return 0.97
    short = max(_acronym_similarity(one, b), _acronym_similarity(other, a))
    return max(_soft_overlap(a, b), short)


def _soft_overlap(a: Sequence[str], b: Sequence[str]) -> float:
    """Return the mean over both names of each word's best similarity."""
    grid = [[_word_similarity(x, y) for y in b] for x in a]
    forth = sum(max(row) for row in grid) / len(a)
    back = sum(max(column) for column in zip(*grid, strict=True)) / len(b)
    return float(0.5 * (forth + back))


@cache
def _word_similarity(x: str, y: str) -> float:
    if x == y:
        return 1.0
    low, high = sorted((x, y), key=len)
    if len(low) >= 3 and high.startswith(low):
        return 0.85
    if not (low.isalpha() and len(low) >= 4):
        return 0.0
    likeness: float = SequenceMatcher(None, x, y).ratio()
    return likeness if likeness >= 0.75 else 0.0


def _acronym_similarity(words: Sequence[str], full: Sequence[str]) -> float:
    """Score a one-word name that abbreviates a longer one, such as ``cp`` for ``chest_pain``."""
    if len(words) != 1 or len(full) < 2 or not words[0].isalpha():
        return 0.0
    return 0.85 if _is_acronym(words[0], tuple(full)) else 0.0


@cache
def _is_acronym(short: str, full: tuple[str, ...]) -> bool:
    """Return whether ``short`` consists of a prefix of each word, in order."""
    if not full:
        return not short
    head = full[0]
    return any(
        short.startswith(head[:size]) and _is_acronym(short[size:], full[1:])
        for size in range(1, min(len(head), len(short)) + 1)
    )
