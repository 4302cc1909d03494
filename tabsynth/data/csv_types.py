"""Convert text columns to typed columns, by exact rules on all values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.errors import DataError, quote
from tabsynth.schema.cell_types import is_text
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.datetime_formats import parse_dates, parse_iso
from tabsynth.schema.number_formats import MAX_DECIMALS, NumberFormat, find_number_format, format_numbers

# A number with a leading zero (007) is a code; one with a plus is a telephone number.
INTEGER = r"^ *-?(?:0|[1-9][0-9]*) *$"
DECIMAL = r"^ *-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *$"
# 1e5 is a code, unless another value shows that the column holds numbers: 0.5, 1e+05 or -1e5.
CODE_WITH_E = r"^ *[0-9]+[eE][0-9]+ *$"
EVIDENT_DECIMAL = r"[.+-]"
INFINITE = r"^ *[+-]?(?:[iI]nf(?:inity)?|INF(?:INITY)?) *$"
BOOLEAN = r"^(?:True|False|true|false|TRUE|FALSE)$"
DECIMAL_OR_THOUSANDS = re.compile(r"\D*\d{1,3}(?:,\d{3})+\D*")
N_PROBED_VALUES = 64
"""First values that select the rules that are checked on the whole column."""


def infer_series(text: pa.Array, missing: Collection[str], decimal: str | None = None) -> tuple[pd.Series, str | None]:
    """Convert a column to the type of all its values: integers, numbers, booleans, ISO 8601 datetimes or text.

    Args:
        text: Strings, missing as null.
        missing: Spellings of missing, if all other values have one type.
        decimal: Decimal separator. With a comma, numbers with points stay text, to be parsed by their format.

    Returns:
        The column, and its datetime format.
    """
    head = [value for value in text.drop_null()[:N_PROBED_VALUES].to_pylist() if value not in missing]
    if head and all(re.match(DECIMAL, value) or re.match(INFINITE, value) for value in head):
        pointed = decimal == "," and pc.any(pc.match_substring(text, ".")).as_py()
        number = None if pointed else _parse_number(text, missing)
        if number is not None:
            return number, None
    if head and all(re.match(BOOLEAN, value) for value in head):
        kept = _match_all(text, BOOLEAN, missing)
        if kept is not None:
            return _to_pandas(pc.is_in(kept, pa.array(["True", "true", "TRUE"])), kept), None
    if head and all(value[:2].isdigit() and value[4:5] == "-" for value in head):
        read = parse_iso(_to_objects(text).replace(dict.fromkeys(missing, None)))
        if read is not None:
            return read
    return _to_objects(text), None


def cast_to_column(values: pd.Series, column: Column) -> pd.Series | None:
    """Convert a column, text or typed, to its declared kind; None if its values decide.

    Values that do not fit stay: validation reports them.
    """
    text = values.dtype == object and is_text(values)
    if isinstance(column, Numeric):
        return _cast_numbers(values, column)
    if isinstance(column, Datetime) and not pd.api.types.is_datetime64_any_dtype(values.dtype):
        if column.format is None and text:
            read = parse_iso(values)
            return None if read is None else read[0]
        if column.format is None:
            return None
        moments = parse_dates(values, column.format)
        return moments if moments.isna().sum() == values.isna().sum() else values
    if isinstance(column, Boolean) and values.dtype != bool:
        return _cast_members(values, {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False})
    if isinstance(column, Categorical) and column.values is not None:
        return _cast_members(values, _spellings(column.values))
    if isinstance(column, (Identifier, Text)) and text:
        whole = isinstance(column, Identifier) and values.dropna().str.fullmatch(INTEGER[1:-1]).all()
        return None if whole else values
    return None


def has_numbers(column: Column | None) -> bool:
    """Return whether a column is declared as numbers, or as categories that are numbers."""
    values = column.values if isinstance(column, Categorical) else None
    return isinstance(column, Numeric) or (bool(values) and all(type(value) in (int, float) for value in values or ()))


def has_decimal_comma(text: pa.Array) -> bool:
    """Return whether all values of a text column are numbers with decimal commas."""
    distinct = [value for value in pc.unique(text.drop_null()[: N_PROBED_VALUES**2]).to_pylist() if "," in value]
    form = find_number_format(distinct, ",")
    return form is not None and form.most > 0 and not all(DECIMAL_OR_THOUSANDS.fullmatch(value) for value in distinct)


def number_spelling(text: pa.Array, values: pd.Series) -> str | None:
    """Return the format of a column of decimals as text; None if Python spells them so, or if they are not uniform.

    Args:
        text: The fields, missing as null.
        values: The numbers, float64.
    """
    known = pa.array(values.notna())
    kept, numbers = text.filter(known), pa.array(values.dropna())
    if not len(kept) or kept.equals(shortest_decimals(numbers)):
        return None
    if pc.any(pc.match_substring_regex(kept, "[eE]")).as_py():
        form = find_number_format(kept[:N_PROBED_VALUES].to_pylist())
    else:
        point = pc.find_substring(kept, ".")
        places = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(pc.utf8_length(kept), point), 1))
        least, most = (bound.as_py() for bound in pc.min_max(places).values())
        bare = pc.any(pc.match_substring_regex(kept, r"^-?\.")).as_py()
        form = NumberFormat(least=least, most=most if least == most else MAX_DECIMALS, zero=not bare)
    if form is None or not form.is_plain or (form.least == form.most and form.most >= MAX_DECIMALS):
        return None
    return str(form) if spell_numbers(values.dropna(), str(form)).equals(kept) else None


def spell_numbers(values: pd.Series, form: str) -> pa.Array:
    """Return numbers as text of a format, missing as null.

    A column that a plain format would round is written as the shortest exact decimals instead.
    """
    spelled = NumberFormat.parse(form)
    data = pa.array(values, pa.float64(), from_pandas=True)
    text = None
    if spelled is not None and spelled.is_plain and not spelled.exponent:
        if spelled.least == spelled.most:
            text = pa.array([None if n is None else f"{n:.{spelled.most}f}" for n in data.to_pylist()], pa.string())
            rounded = pc.and_(pc.match_substring_regex(text, r"^-0(?:\.0*)?$"), pc.not_equal(data, 0.0))
            text = pc.if_else(rounded, pc.utf8_slice_codeunits(text, 1), text)
        elif spelled.least <= 1 and not pc.any(pc.match_substring(data.cast(pa.string()), "e")).as_py():
            text = (
                shortest_decimals(data)
                if spelled.least
                else pc.replace_substring_regex(shortest_decimals(data), r"\.0$", "")
            )
    if text is None or spelled is None:
        codes, numbers = pd.factorize(data.to_numpy(zero_copy_only=False))
        text = pa.array(np.array([*format_numbers(numbers, form), None], dtype=object)[codes], pa.string())
    elif not spelled.zero:
        text = pc.replace_substring_regex(text, r"^(-?)0\.", r"\1.")
    is_exact = spelled is None or not spelled.is_plain or text.cast(pa.float64()).equals(data)
    return text if is_exact else shortest_decimals(data)


def shortest_decimals(numbers: pa.Array) -> pa.Array:
    """Return floats as their shortest exact decimals; 1.0 has a point."""
    text = numbers.cast(pa.string())
    return pc.if_else(pc.match_substring_regex(text, r"^-?[0-9]+$"), pc.binary_join_element_wise(text, ".0", ""), text)


def _parse_number(text: pa.Array, missing: Collection[str]) -> pd.Series | None:
    for rule, kind in ((INTEGER, pa.int64()), (DECIMAL, pa.float64())):
        kept = _match_all(text, rule, missing)
        if kept is None:
            continue
        try:
            data = pc.utf8_trim(kept, " ").cast(kind)
        except pa.ArrowInvalid:  # more digits than 64 bits hold: such a number is a name
            return None
        if kind == pa.float64() and (_are_codes(kept) or not pc.all(pc.is_finite(data)).as_py()):
            return None
        return _to_pandas(data, kept)
    # Numbers with infinities are numbers: validation reports the infinities.
    kept = _match_all(text, f"{DECIMAL}|{INFINITE}", missing)
    if kept is None or not len(kept.drop_null()) or pc.all(pc.match_substring_regex(kept, INFINITE)).as_py():
        return None
    return _to_pandas(pc.utf8_trim(kept, " ").cast(pa.float64()), kept)


def _are_codes(text: pa.Array) -> bool:
    codes = pc.any(pc.match_substring_regex(text, CODE_WITH_E)).as_py()
    return bool(codes) and not pc.any(pc.match_substring_regex(text, EVIDENT_DECIMAL)).as_py()


def _match_all(text: pa.Array, rule: str, missing: Collection[str]) -> pa.Array | None:
    """Return the text with spellings of missing as null, if all of it matches a rule."""
    bad = pc.invert(pc.match_substring_regex(text, rule))
    odd = pc.unique(text.filter(bad, null_selection_behavior="drop")).to_pylist()
    if any(value not in missing for value in odd):
        return None
    return pc.if_else(bad, pa.scalar(None, pa.string()), text) if odd else text


def _to_pandas(data: pa.Array, text: pa.Array) -> pd.Series:
    """Convert Arrow to pandas; integers and booleans with missing values become nullable."""
    if text.null_count == 0 or pa.types.is_floating(data.type):
        return pd.Series(data.to_pandas())
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    gapped = pc.if_else(pc.is_valid(text), data, pa.scalar(None, data.type))
    return pd.Series(gapped.to_pandas(types_mapper=nullable.get))


def _to_objects(text: pa.Array) -> pd.Series:
    return pd.Series(text.to_pandas(), dtype=object)


def _cast_numbers(values: pd.Series, column: Numeric) -> pd.Series:
    """Return the numbers as float, or as integers if neither schema nor values have decimals."""
    formatted = column.format is not None and values.dtype == np.float64  # floats, as where the format is inferred
    if formatted or pd.api.types.is_bool_dtype(values.dtype):
        return values
    try:
        data = pd.to_numeric(values)
    except (ValueError, TypeError):
        return values
    if pd.api.types.is_integer_dtype(data.dtype) or column.decimals != 0 or data.dtype == object:
        return data
    floats = data.astype(np.float64)
    if not (floats.dropna() % 1 == 0).all() or (floats.abs() >= 2**53).any():
        return data
    return floats.astype("Int64") if floats.isna().any() else floats.astype(np.int64)


def _spellings(values: Iterable[object]) -> dict[str, object]:
    """Return the declared values by their spellings; a whole number may be written as 1 or 1.0."""
    known: dict[str, object] = {}
    for value in values:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer():
            known |= {str(int(value)): value, str(float(value)): value}
    return known | {str(value): value for value in values}


def _member(value: object, known: dict[str, object]) -> object:
    """Return the declared value with the spelling of a value, or the value."""
    return known.get(str(value), known.get(str(value).lower(), value))


def _cast_members(values: pd.Series, known: dict[str, object]) -> pd.Series:
    """Replace each value by the declared one of the same spelling; unknown ones stay."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values
    cells = values.astype(object)
    if is_text(cells):  # each distinct text once; in other objects 1, 1.0 and True would be the same
        codes, distinct = pd.factorize(cells)
        members = np.array([_member(value, known) for value in distinct] + [None], dtype=object)
        out = pd.Series(members[codes], index=values.index, name=values.name, dtype=object)
    else:
        out = cells.map(lambda value: _member(value, known), na_action="ignore").where(values.notna(), None)
    if is_text(out):
        return out
    if unknown := [value for value in out.dropna().unique() if isinstance(value, str) and value not in known.values()]:
        raise DataError(
            f"column {values.name!r}: {len(unknown)} values are not in the schema, such as {quote(unknown, 3)}; the "
            f"schema allows {quote(dict.fromkeys(known.values()), 6)}; fix the values or add them to the schema"
        )
    kinds = set(out.dropna().map(type))
    if kinds == {bool}:
        return out.astype("boolean" if out.isna().any() else bool)
    if kinds == {int}:
        return out.astype("Int64" if out.isna().any() else np.int64)
    return out.astype(np.float64) if kinds and kinds <= {int, float} else out
