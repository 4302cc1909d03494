"""Infer the kind of a text column: dates, numbers, keys, categories or free text."""

from __future__ import annotations

import re
from dataclasses import replace
from string import digits

import numpy as np
import pandas as pd

from tabsynth.schema.column_names import (
    KEY_WORDS,
    is_code,
    is_key,
    is_person,
    is_personal,
    is_quasi_identifier,
    split_words,
)
from tabsynth.schema.columns import Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.datetime_formats import has_offset, infer_resolution, parse_dates
from tabsynth.schema.kinds.code_inference import written_codes
from tabsynth.schema.kinds.datetime_detection import find_formats, infer_padding, is_date_in_other_digits, is_date_like
from tabsynth.schema.kinds.personal_columns import are_web_addresses, infer_personal, personal_question
from tabsynth.schema.kinds.release_floor import release_floor
from tabsynth.schema.number_formats import CURRENCY, MAX_DECIMALS, PLAIN, SPACES, NumberFormat, find_number_format
from tabsynth.schema.validation import is_missing_marker

MIN_ROWS = 20
"""In fewer rows, distinct values are no evidence of a key."""
MAX_DISTINCT_SHARE = 0.5
"""With a larger share of distinct values, text hardly repeats."""
MIN_TEXT_WORDS = 4
"""Mean words of free text."""
MIN_TEXT_CHARACTERS = 80
"""Mean characters of free text."""
MIN_GROUP, MAX_RARE_SHARE = 5, 0.05
"""A question asks about columns with a larger share of values in fewer rows than the default floor."""
MIN_NUMERIC_SHARE = 0.8
N_SAMPLED_VALUES = 10_000
MAX_YEARS = 50
"""Dates with two-digit years over a longer time may be read in the wrong century."""

NUMBER = re.compile(r" *-?\d*(?:\.\d*)?(?:[eE][+-]?\d+)? *", re.ASCII)
NUMBER_WITH_UNIT = re.compile(
    r" *\(?[€$£¥]? ?-?\d{1,3}(?:[ ,.'\u00a0\u202f]?\d{3})*(?:[.,]\d+)? ?"
    r"(?:[%€$£¥kKMBT万萬億亿만억]|Mio\.?|Mrd\.?|bn|mln|lakhs?|crores?|cr)?[)-]? *",
    re.ASCII,
)
NUMBER_PAIR = re.compile(r"\d+(?:[.,]\d+)? ?[/x×] ?\d+(?:[.,]\d+)?")
"""Two numbers in a cell, such as a blood pressure of 120/80."""
AMOUNT = re.compile(rf"[^\w\s]{{0,2}}(?:{CURRENCY}[{SPACES}]?)?[^\w\s]?\d[\d.,'’٫٬ ]*[.,٫](?:\d+|[-–—])(?: ?[^\w\s])?")
"""A number with decimals, its sign, separators and digits in any script."""
ERA_DATE = re.compile(r"(?:(?:明治|大正|昭和|平成|令和)(?:元|\d\d?)年|[MTSHR]\d\d?[./-])\d\d?[月./-]\d\d?日?", re.ASCII)
"""A date of the Japanese calendar, counted from the first year of an era."""
CODE = re.compile(r"[A-Za-z]+[-_./]?\d[\w./-]*", re.ASCII)
"""A code such as D17 or AB-12/3; numbers with a unit are none."""
MONEY = rf"(?:{CURRENCY}|[\uffe5\uff04\uffe6৳﷼]|ریال|ريال|تومان|درهم|دينار|جنيه|[دجلر]\.[أإا-ي]\.?|रु\.?|रुपये|টাকা|บาท)"
SOME_DIGITS = re.compile(
    rf"[\u200e\u200f\u061c]?(?:{MONEY}[{SPACES}]?)?[-−+\uff0d\uff0b]?\d[\d.,٫٬،\uff0c\uff0e{SPACES}]*(?:[٪%\uff05]|{MONEY})?"
)
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


def infer_text(name: str, present: pd.Series, decimal: str | None = None) -> Column:
    """Infer a column of text.

    Args:
        name: Its name.
        present: Its values without missing ones.
        decimal: Decimal separator, "." or ","; detected by default.
    """
    distinct: list[str] = present.unique().tolist()
    rows, different = len(present), len(distinct)
    date = _infer_date(name, distinct)
    if date is not None:
        return date
    sample = distinct[:N_SAMPLED_VALUES]
    if personal := infer_personal(name, sample):
        return personal
    if all(UUID.fullmatch(value) for value in sample):
        return _infer_key(name, rows, different, "all values are UUIDs")
    numeric = sum(_is_number(value) for value in sample) / len(sample)
    pointed = decimal == "," and any("." in value for value in sample)
    spelled = find_number_format(distinct, decimal) if numeric < 1 or pointed else None
    if spelled is None and numeric == 1.0 and all(_is_number(value) for value in distinct):
        return _infer_digits(name, rows, different, distinct)
    few_with_unit = spelled is not None and different <= MIN_ROWS and spelled.has_unit
    if spelled is not None and str(spelled) not in ("0", "0.#") and not few_with_unit:
        return _formatted_number(name, distinct, spelled, sure=decimal is not None)
    marks = sorted(value for value in distinct if is_missing_marker(value))
    known = [value for value in distinct if value not in marks]
    if marks and known and all(_is_number(value) for value in known):
        numbers = _infer_digits(name, int(present.isin(known).sum()), len(known), known)
        if isinstance(numbers, Numeric):
            why = f"all values are numbers except {', '.join(map(repr, marks))}, which mean that there is none"
            return replace(numbers, format=None, nullable=True, why=why, question=_missing_question(marks))
    question = _missing_question(marks) or _number_or_date_question(numeric, sample)
    words = float(np.mean([len(value.split()) for value in sample]))
    if different > MAX_DISTINCT_SHARE * rows and (rows >= MIN_ROWS or words >= MIN_TEXT_WORDS):
        return _infer_sparse_text(name, rows, different, sample, words, question)
    keys = is_person_key(name, different) or (different > 50 and rows / different < 100)
    if is_key(name) and keys:
        return repeated_identifier(name)
    question = question or personal_question(name, sample)
    length = float(np.mean([len(value) for value in sample]))
    written = words >= 2 * MIN_TEXT_WORDS or length >= MIN_TEXT_CHARACTERS
    if different > MIN_ROWS and written and rare_share(present) > MAX_RARE_SHARE:
        why = f"{different} distinct values in {rows} rows, {words:.0f} words on average: free text, never learned"
        default_question = (
            "some texts repeat: should they be removed (text), or are they categories to learn (categorical)?"
        )
        return Text(name=name, why=why, question=question or default_question)
    why = f"{different} distinct values in {rows} rows: text that repeats"
    if different == 1:
        why = "all values are equal"
    elif different == rows:
        why = "it is text, and the table is too small to infer more"
    return Categorical(name=name, why=why, question=question)


def infer_category(name: str, kind: pd.CategoricalDtype, present: pd.Series) -> Column:
    """Infer a pandas categorical: personal data and categories that never repeat are not categorical."""
    plain = present.astype(object)
    sample = [str(value) for value in plain.unique()[:N_SAMPLED_VALUES] if isinstance(value, (str, int))]
    if sample and (personal := infer_personal(name, sample)):
        return personal
    if sample and is_person_key(name, len(sample)):
        return repeated_identifier(name)
    question = personal_question(name, sample) if sample else ""
    if kind.ordered:
        return Categorical(name=name, ordered=True, why="it is an ordered pandas categorical", question=question)
    if len(plain) >= MIN_ROWS and plain.is_unique and isinstance(plain.iloc[0], str):
        return infer_text(name, plain)
    return Categorical(name=name, why="it is a pandas categorical", question=question)


def rare_share(present: pd.Series) -> float:
    """Return the share of values in fewer rows than synthesizers release by default."""
    return count_rare(present)[0]


def count_rare(present: pd.Series) -> tuple[float, int]:
    """Return the share of values that synthesizers do not release by default, and the minimum rows of the others."""
    counts = present.value_counts().to_numpy(dtype=np.int64)
    floor = release_floor(counts, MIN_GROUP)
    return float(counts[counts < floor].sum()) / len(present), floor


def _infer_date(name: str, distinct: list[str]) -> Datetime | None:
    """Return a datetime, if every value is one in the same format."""
    formats = find_formats(distinct)
    if not formats:
        return None
    moments = parse_dates(pd.Series(distinct, dtype=object), formats[0])
    question = ""
    if len(formats) > 1:
        question = f"does day or month come first? It is read as {formats[0]!r}, but {formats[1]!r} is also possible"
    if has_offset(formats[0]):
        question = "its values have several offsets from UTC, but synthetic ones are in UTC: is that right?"
    years = moments.dt.year
    if "%y" in formats[0] and not question and (years.max() - years.min() > MAX_YEARS or is_quasi_identifier(name)):
        question = "its years have two digits and are read as 1969 to 2068: is that right? Else write four digits"
    why = f"all values are dates or times written as {formats[0]}"
    return Datetime(
        name=name,
        format=infer_padding(distinct, formats[0]),
        resolution=infer_resolution(moments),
        why=why,
        question=question,
    )


def _infer_key(name: str, rows: int, different: int, why: str) -> Column:
    """Return a key, with a question if values repeat."""
    if different == rows:
        return Identifier(name=name, why=f"{why}, and none repeats")
    if is_person(name) and not is_code(name):
        return repeated_identifier(name)
    if different <= 50 or rows / different >= 100:
        question = "is it a code (categorical) or a key (identifier, which is replaced)?"
        return Categorical(name=name, why=f"{why}, but only {different} are distinct in {rows} rows", question=question)
    return repeated_identifier(name)


def repeated_identifier(name: str) -> Identifier:
    """Return a key that several rows share."""
    if is_person(name):
        question = "several rows share a value: does it identify persons? Then give it the role 'person'"
    else:
        question = "several rows share a value: does it refer to another table, or is it a code (categorical)?"
    return Identifier(name=name, why="name and values suggest a key, although values repeat", question=question)


def is_person_key(name: str, different: int) -> bool:
    """Return whether a name suggests the key of a person; two distinct values may be yes and no."""
    return is_person(name) and not is_code(name) and (different > 2 or split_words(name)[-1] in KEY_WORDS)


def _formatted_number(name: str, distinct: list[str], form: NumberFormat, *, sure: bool) -> Column:
    """Return the numbers with a currency, a percent sign, separators of thousands or a decimal comma."""
    unsure = (
        not sure
        and form.thousands in (",", ".")
        and form.most == 0
        and all(value.count(form.thousands) == 1 for value in distinct)
    )
    question = (
        f"{form.thousands!r} is read as the thousands separator: is it the decimal separator? Then change the format"
        if unsure
        else ""
    )
    decimals = form.most if form.most < MAX_DECIMALS else None
    why = f"all values are numbers, written as {form}"
    column = Numeric(name=name, decimals=decimals, format=str(form), why=why, question=question)
    return column if form.prefix or form.suffix or form.thousands else written_codes(column, map(form.read, distinct))


def _infer_digits(name: str, rows: int, different: int, distinct: list[str]) -> Column:
    """Infer a text column of digits: codes or quantities."""
    padded = any(re.match(r"-?0\d", value) for value in distinct)
    alike = all(map(str.isdigit, distinct)) and len({len(value) for value in distinct}) == 1 and len(distinct[0]) >= 4
    if not padded and different > 20 and not is_code(name) and not is_key(name) and not alike:
        question = "the numbers are stored as text: are they quantities (numeric) or codes (categorical)?"
        # Numbers in several spellings are still text: they are written in the plainest one.
        form = find_number_format(distinct) or PLAIN
        why = "all values are numbers, written as text"
        written = str(form) if all(form.read(value.strip()) is not None for value in distinct) else None
        return Numeric(name=name, format=written, why=why, question=question)
    fraction = any("." in value for value in distinct) and not is_code(name) and not is_key(name)
    if is_key(name) or (different == rows and rows >= MIN_ROWS and not fraction):
        return _infer_key(
            name, rows, different, "all values are digits" + (", some with leading zeros" if padded else "")
        )
    why = "some values have leading zeros: a code" if padded else f"{different} distinct numbers, as text"
    return Categorical(name=name, why=why)


def _infer_sparse_text(name: str, rows: int, different: int, sample: list[str], words: float, question: str) -> Column:
    """Return the text that hardly repeats: a key, free text, or categories that a person must confirm."""
    why = f"{different} distinct values in {rows} rows"
    coded = words < 1.2 and np.mean([any(char.isdigit() for char in value) for value in sample]) > 0.95
    if are_web_addresses(sample):
        what = "the values are web addresses or paths of files, which may lead to persons"
        default_question = f"{what}: should they be removed (text), replaced (identifier), or learned (categorical)?"
        return Text(name=name, why=f"{why}: text that seldom repeats is never learned", question=default_question)
    if different == rows and (coded or (is_key(name) and words < 2)) and not is_personal(name):
        return Identifier(name=name, why=f"{why}: codes that never repeat", question=question)
    lettered = np.mean([bool(CODE.fullmatch(value)) for value in sample]) > 0.95
    if words < 1.2 and (is_key(name) or (lettered and not question and not is_personal(name))):
        return repeated_identifier(name)
    if words >= 2 * MIN_TEXT_WORDS:
        return Text(name=name, why=f"{why}, {words:.0f} words on average: free text, never learned", question=question)
    what = "free text or addresses" if words >= MIN_TEXT_WORDS else "names or other personal text"
    default_question = (
        f"few values repeat: is it {what}, which should not be learned, or are they categories (categorical)?"
    )
    return Text(
        name=name, why=f"{why}: text that seldom repeats is never learned", question=question or default_question
    )


def _is_number(value: str) -> bool:
    return bool(NUMBER.fullmatch(value)) and any(char in digits for char in value)


def _missing_question(marks: list[str]) -> str:
    """Ask about markers of missing values."""
    return f"does {marks[0]!r} mean that the value is missing? Then leave such cells empty" if marks else ""


def _number_or_date_question(numeric: float, sample: list[str]) -> str:
    """Ask about values most of which are numbers, numbers with units, or dates."""
    if MIN_NUMERIC_SHARE <= numeric < 1:
        odd = sum(not _is_number(value) for value in sample)
        return f"{numeric:.0%} of the distinct values are numbers, {odd} are not: are these errors, or is it a code?"
    other = any(char.isdecimal() and not char.isascii() for value in sample for char in value)
    if other and all(SOME_DIGITS.fullmatch(value) for value in sample):
        return "the numbers are written in digits other than 0 to 9: convert them to have the values learned"
    if MIN_NUMERIC_SHARE * len(sample) <= sum(map(is_date_in_other_digits, sample)):
        return "the dates are written in digits other than 0 to 9: convert them to have the values learned"
    if all(ERA_DATE.fullmatch(value) for value in sample):
        return (
            "the values resemble dates of the Japanese calendar: write years of the Gregorian one to have them learned"
        )
    if all(AMOUNT.fullmatch(value) for value in sample):
        return "the values resemble numbers, written in several ways: write them in one way to have the values learned"
    marks = "%€$£¥,'. 万萬億亿만억"
    if all(NUMBER_WITH_UNIT.fullmatch(value) and any(char in marks for char in value) for value in sample):
        return (
            "the values resemble numbers with units or separators: remove these to have the values learned as numbers"
        )
    if len(sample) > MIN_ROWS and all(NUMBER_PAIR.fullmatch(value) for value in sample):
        return f"each value has two numbers, such as {sample[0]!r}: split it into two columns to have them learned"
    head = sample[:200]
    dated = [value for value in head if is_date_like(value)]
    if len(head) >= MIN_ROWS and MIN_NUMERIC_SHARE * len(head) <= len(dated):
        return "most values are dates: correct the others (or dates outside 1678 to 2261), or leave them empty"
    return ""
