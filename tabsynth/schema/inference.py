"""Infer a schema from a table: the kind of each column, the evidence, and questions for a person.

Typed columns keep their type. Numbers are numeric unless they count rows, identify, or are codes by name; exactly two
integers are categories. Text is a date, a key, categories (if values repeat) or free text (if not).

No value of the data enters the schema, neither bounds nor categories nor examples: a model file carries its schema, and
extremes and rare values may identify a person.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.schema.cell_types import exceeds_float64, to_pandas, unwrap_timestamps
from tabsynth.schema.column_names import is_code, is_date_name, is_key, is_quantity, is_quasi_identifier
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.datetime_formats import infer_resolution, parse_dates
from tabsynth.schema.kinds.code_inference import MAX_CODE_VALUES, few_integers_question, with_codes
from tabsynth.schema.kinds.datetime_detection import COMPACT_FORMAT, find_formats
from tabsynth.schema.kinds.edge_rows import with_edge_rows
from tabsynth.schema.kinds.personal_columns import infer_personal
from tabsynth.schema.kinds.sentinels import sentinel_question
from tabsynth.schema.rounding import is_decimal, is_sparse
from tabsynth.schema.schema import Schema
from tabsynth.schema.text_inference import (
    MAX_RARE_SHARE,
    MIN_GROUP,
    N_SAMPLED_VALUES,
    count_rare,
    infer_category,
    infer_text,
    is_person_key,
    repeated_identifier,
)
from tabsynth.schema.validation import check_frame

MIN_ROWS = 20
"""In fewer rows, distinct values are no evidence of a key."""
SERIAL_DATES = (20_000, 60_000)
"""Days since 1900, from 1954 to 2064."""
MAX_CONSTANT_SHARE = 0.999
"""A column with a more frequent value, in at least ``MIN_CONSTANT_ROWS`` rows, is almost constant."""
MIN_CONSTANT_ROWS = 1000
MIN_LARGE = 100_000
"""Integers from here that repeat and are not round may be codes, such as those of SNOMED CT."""
RARE_ADVICE = ": are these values public (declare them), is it an identifier or text, or can min_group be lower?"
"""End of the question about rare values; the local page replaces it."""


def infer_schema(frame: pd.DataFrame, *, decimal: str | None = None) -> Schema:
    """Infer a schema. Every column is marked ``inferred``, which a private fit rejects.

    Args:
        frame: The table.
        decimal: Decimal separator of numbers stored as text, "." or ","; detected by default.

    Raises:
        DataError: The frame is not a table: no rows or columns, names that are not text or not unique, mixed types.
    """
    frame = to_pandas(frame)
    check_frame(frame)
    columns = {str(name): infer_column(frame[name], decimal) for name in frame.columns}
    return Schema(with_codes(frame, with_edge_rows(frame, columns), MIN_GROUP))


def infer_column(values: pd.Series, decimal: str | None = None) -> Column:
    """Infer one column."""
    name = str(values.name)
    present = values.dropna()
    column = _infer_kind(name, values, present, decimal)
    notes = column.question
    if not len(present):
        notes = "all values are missing: should the column be dropped?"
    elif len(present) >= MIN_CONSTANT_ROWS and not isinstance(column, (Identifier, Datetime)):
        share = float(present.value_counts(normalize=True).iloc[0]) if _may_repeat(present) else 0.0
        if MAX_CONSTANT_SHARE <= share < 1 and not notes:
            notes = f"more than {MAX_CONSTANT_SHARE:.1%} of the values are the same: should the column be dropped?"
    if isinstance(column, Categorical) and len(present):
        notes = "; ".join(filter(None, (notes, _rare_question(present))))
    nullable = column.nullable or len(present) < len(values)
    if is_quasi_identifier(name) and not isinstance(column, (Identifier, Text)):
        why = f"{column.why}; the name suggests that it may identify persons"
        column = replace(column, role="quasi_identifier", why=why)
    return replace(column, nullable=nullable, origin="inferred", question=notes)


def _infer_kind(name: str, values: pd.Series, present: pd.Series, decimal: str | None) -> Column:
    kind = values.dtype
    if pd.api.types.is_bool_dtype(kind) and not isinstance(kind, pd.CategoricalDtype):
        return Boolean(name=name, why="all values are true or false")
    if pd.api.types.is_datetime64_any_dtype(kind):
        return Datetime(name=name, resolution=_resolution(unwrap_timestamps(present)), why="all values are dates")
    if pd.api.types.is_numeric_dtype(kind):
        return _infer_number(name, present)
    if isinstance(kind, pd.CategoricalDtype):
        return infer_category(name, kind, present)
    if not len(present):
        return Categorical(name=name, why="there are no values from which to infer a kind")
    first = present.iloc[0]
    if isinstance(first, (bool, np.bool_)):
        return Boolean(name=name, why="all values are true or false")
    if isinstance(first, str):
        return infer_text(name, present, decimal)
    if isinstance(first, (datetime.date, np.datetime64)):
        try:
            moments = unwrap_timestamps(present)
            moments = pd.to_datetime(moments, utc=True) if moments.dtype == object else moments
        except (ValueError, OverflowError):
            return _out_of_range_dates(name)
        return Datetime(name=name, resolution=_resolution(moments), why="all values are dates")
    return _infer_number(name, present if exceeds_float64(present) else pd.to_numeric(present.astype(float)))


def _out_of_range_dates(name: str) -> Column:
    return Categorical(
        name=name,
        why="some dates are outside the years 1678 to 2261",
        question="do dates such as 9999-12-31 mean that the date is missing? Leave such cells empty",
    )


def _resolution(moments: pd.Series) -> Any:
    return infer_resolution(moments) if len(moments) else None


def _rare_question(present: pd.Series) -> str:
    """Ask about columns with many rare values."""
    share, floor = count_rare(present)
    if share <= MAX_RARE_SHARE:
        return ""
    raised = " (more than min_group, because many values are rare)" if floor > MIN_GROUP else ""
    few = f"values that fewer than {floor} rows share{raised}"
    return f"{share:.1%} of the cells have {few}, and are replaced{RARE_ADVICE}"


def _may_repeat(present: pd.Series) -> bool:
    """Return a cheap test that avoids counting columns of distinct values."""
    return bool(present.iloc[:MIN_CONSTANT_ROWS].nunique() < MIN_CONSTANT_ROWS // 2)


def _infer_number(name: str, present: pd.Series) -> Column:
    """Return a column of numbers."""
    if exceeds_float64(present):
        return _infer_large_integers(name, present)
    data = present.to_numpy(dtype=np.float64)
    if not len(data):
        return Numeric(name=name, why="its type is numeric, but it has no values")
    decimals = count_decimals(data)
    why = "all values are integers" if decimals == 0 else "all values are numbers"
    if (data == data[0]).all() and len(data) > 1:
        why = "all values are the same number"
    if decimals != 0 or (np.abs(data) >= 2**63).any():
        return Numeric(name=name, decimals=decimals, why=why, question=sentinel_question(data))
    distinct = np.unique(present.to_numpy(dtype=np.int64))
    if personal := infer_personal(name, [str(value) for value in distinct[:N_SAMPLED_VALUES].tolist()]):
        return personal
    if len(distinct) == len(data):
        return _infer_unique_integers(name, data, distinct)
    repeats = len(data) / len(distinct)
    if is_key(name) and is_person_key(name, len(distinct)):
        return repeated_identifier(name)
    if is_key(name) and not (is_code(name) or len(distinct) <= 50 or repeats >= 100):
        return repeated_identifier(name)
    if len(distinct) == 2:
        return Categorical(name=name, why="it has two distinct integers, which are learned as categories")
    if is_code(name) or (is_key(name) and len(distinct) > MAX_CODE_VALUES):
        why = f"the name suggests a code, and it has {len(distinct)} distinct integers, which repeat"
        return Categorical(name=name, why=why, question="is it a code, as its name suggests, or a quantity (numeric)?")
    if is_key(name):
        why = "the name suggests a reference, and it has few distinct integers, which repeat"
        return Categorical(name=name, why=why, question="is it a code, as its name suggests, or a quantity (numeric)?")
    if dates := _infer_compact_dates(name, distinct):
        return dates
    question = sentinel_question(data) or _date_question(name, distinct)
    question = question or _code_question(name, distinct, len(data)) or _gap_question(name, present)
    return Numeric(name=name, decimals=0, why=why, question=question)


def _infer_large_integers(name: str, present: pd.Series) -> Column:
    """Infer a column of integers or decimals beyond 2**53: a key or a code."""
    distinct = [str(value) for value in present.unique().tolist()]
    if personal := infer_personal(name, distinct[:N_SAMPLED_VALUES]):
        return personal
    why = "it has numbers beyond 2**53, which are exact only as keys or codes"
    if is_code(name) and len(distinct) < len(present):
        return Categorical(name=name, why=why, question="is it a code, as its name suggests, or a key (identifier)?")
    return Identifier(name=name, why=why, question="is it a key (identifier) or a code (categorical)?")


def _infer_unique_integers(name: str, data: npt.NDArray[np.float64], distinct: npt.NDArray[np.int64]) -> Column:
    """Return the integers that never repeat: a row number, a key or a measurement."""
    run = int(distinct[-1]) - int(distinct[0]) + 1 == len(distinct)
    if len(data) >= MIN_ROWS and run and int(distinct[0]) in (0, 1):
        return Identifier(name=name, why=f"it numbers the rows from {int(distinct[0])}")
    if is_key(name):
        return Identifier(name=name, why="the name suggests a key, and no value repeats")
    if is_code(name):
        why = "the name suggests a code"
        return Categorical(name=name, why=why, question="no value repeats: is it a key (identifier)?")
    if dates := _infer_compact_dates(name, distinct):
        return dates
    question = sentinel_question(data) or _date_question(name, distinct)
    unknown = not question and len(data) >= MIN_ROWS and not is_quantity(name)
    question = "no value repeats: is it a key (identifier) or a measurement?" if unknown else question
    return Numeric(name=name, decimals=0, why="all values are integers", question=question)


def _infer_compact_dates(name: str, distinct: npt.NDArray[np.int64]) -> Datetime | None:
    """Return a datetime if all integers are dates such as 20190331, or dates with a time such as 201903310815."""
    form = compact_format(distinct)
    if form is None:
        return None
    moments = parse_dates(pd.Series(distinct), form)
    digits = len(str(int(distinct[0])))
    why = "all values are dates written as eight digits"
    if form != COMPACT_FORMAT:
        why = f"all values are dates with a time, written as {digits} digits"
    return Datetime(name=name, format=form, resolution=infer_resolution(moments), why=why)


def compact_format(distinct: npt.NDArray[np.int64]) -> str | None:
    """Return the format of integers that are all dates, or dates with a time, written without separators."""
    digits = len(str(abs(int(distinct.min()))))
    if digits not in (8, 10, 12, 14) or len(str(abs(int(distinct.max())))) != digits:
        return None
    days = distinct // 10 ** (digits - 8)
    if days.min() < 18000101 or days.max() > 22001231 or ((days % 10000 < 101) | (days % 100 > 31)).any():
        return None
    formats = find_formats([str(value) for value in distinct.tolist()])
    return next((form for form in formats if form.startswith(COMPACT_FORMAT)), None)


def count_decimals(data: npt.NDArray[np.float64]) -> int | None:
    """Return the fewest decimals (0 to 17) of which every number is, None if there are none.

    Errors of a few floating-point operations, as in 0.1 + 0.2, are no decimals; whole numbers have none.
    """
    largest = float(np.abs(data).max(initial=0.0))
    for decimals in range(18):
        with np.errstate(over="ignore"):
            scaled = np.rint(data * 10.0**decimals)
        if (np.abs(scaled) >= 2**53).any() and decimals:
            return None
        if is_decimal(data, decimals, largest).all() and (decimals or (scaled == data).all()):
            return decimals
    return None


def _code_question(name: str, distinct: npt.NDArray[np.int64], rows: int) -> str:
    """Ask whether a few distinct integers, integers of one length, or large ones that repeat, are codes."""
    if few := few_integers_question(name, len(distinct)):
        return few
    lengths = {len(str(abs(int(value)))) for value in (distinct[0], distinct[-1])}
    if len(distinct) > MAX_CODE_VALUES and distinct[0] > 0 and len(lengths) == 1 and lengths.pop() >= 5:
        return "all values have the same number of digits: is it a code such as a postcode (categorical)?"
    repeat = 3 * len(distinct) <= rows and not is_quantity(name)
    if repeat and distinct[0] >= MIN_LARGE and (distinct % 10 == 0).mean() < 0.5:
        return f"its {len(distinct)} distinct large integers repeat: is it a code (categorical) or a quantity?"
    return ""


def _gap_question(name: str, present: pd.Series) -> str:
    """Ask whether integers that repeat and leave gaps are codes, unless most of them are equal."""
    values = np.sort(present.to_numpy(dtype=np.float64))
    most = present.value_counts().iloc[0] / len(present)
    if is_quantity(name) or most > 0.5 or not is_sparse(values, np.unique(values, return_counts=True)[1], MIN_GROUP):
        return ""
    many = present.nunique()
    return f"its {many} distinct integers repeat and have gaps: is it a code (categorical) or a quantity (numeric)?"


def _date_question(name: str, distinct: npt.NDArray[np.int64]) -> str:
    """Ask about integers most of which are dates such as 20190331, or days as a spreadsheet counts them."""
    if is_date_name(name) and distinct[0] >= SERIAL_DATES[0] and distinct[-1] <= SERIAL_DATES[1]:
        return "its numbers resemble dates as a spreadsheet counts them, from 1900: convert them to dates"
    month, day = distinct % 10000 // 100, distinct % 100
    plain = (distinct > 18000101) & (distinct < 22001231) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    if len(distinct) >= MIN_ROWS and plain.mean() > 0.8:
        return "most values are dates written as eight digits: correct or empty the others to have dates"
    return ""
