"""Detect, parse and write number formats, so that text comes back identical.

A format is written as in spreadsheets, with the column's own separators: ``$#,##0.00``, ``#.##0,## €``, ``0.0#%``. A
zero is a digit that is always there, a # one that may be, and ``0.00E+00`` is scientific. A second part shows how
negative numbers are written if not with a minus in front, a third part how zero is: ``#,##0.00;(#,##0.00)``,
``0.0;0.0-``, ``+0%;-0%;0%``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

SYMBOLS = "$€£¥￥₹₩₽₺฿₫₪₴₦₱₡₸₼₾₵₭₮៛元円원%‰"
CURRENCY = (
    rf"(?:[A-Z]{{0,3}}[{SYMBOLS}]|CHF|USD|EUR|GBP|JPY|CNY|RMB|INR|BRL|CAD|AUD|RUB|KRW|SEK|NOK|DKK|PLN|TRY|THB|"
    rf"MXN|ZAR|SGD|HKD|NZD|HUF|CZK|RON|ILS|AED|SAR|UAH|VND|IDR|MYR|PHP|kr|zł|Kč|TL|Ft|lei|руб\.?|грн\.?|Rs\.?|Fr\.|"
    "万円|億円|万元|亿元|만원)"
)
UNITS = (
    r"(?:(?:kg|mg|[µμ]g|mcg|lbs?|oz|km|cm|mm|[µμ]m|ft|m[lL]|d[lL]|k?Wh|kW|mmHg|bpm|mph|km/h|°[CF]|mg/d[lL]|g/d[lL]|"
    r"mmol/[lL]|m?I?U/m?[lL])|[ \u00a0](?:g|m|[lL]|h|s|in|mi|min|sec|hours?|days?|weeks?|months?|years?|yrs?))"
)
"""Units of measurement after a number; short ones only after a space."""
SPACES = "\u0020\u00a0\u202f\u2009"  # plain, no-break, narrow no-break, thin
UNIT_SUFFIX = re.compile(rf"[{SPACES}]?{UNITS}")
NUMBER_PATTERN = re.compile(
    rf"(?P<sign>-?)(?P<prefix>(?:{CURRENCY}[{SPACES}]?)?)(?P<body>-?[\d.,'’{SPACES}]*\d)(?P<suffix>(?:[{SPACES}]?(?:{CURRENCY}|{UNITS}))?)"
)
FORMAT_PATTERN = re.compile(
    r"(?P<prefix>[^#0]*)(?P<whole>#(?P<thousands>[^#0])(?P<lakh>##\3)?##0|0|#)"
    r"(?:(?P<decimal>[.,])(?P<least>0*)(?P<more>#*))?(?P<exponent>(?:[eE]\+00)?)(?P<suffix>[^#0]*)"
)
SCIENTIFIC = re.compile(r"-?\d(?:(?P<decimal>[.,])(?P<places>\d+))?(?P<letter>[eE])[+-]\d\d+", re.ASCII)
SEPARATORS = (("", "."), (",", "."), (".", ","), *((space, ",") for space in SPACES), ("'", "."), ("’", "."), ("", ","))
SEPARATORS = (*SEPARATORS, *((space, ".") for space in SPACES))
MAX_DECIMALS = 15
CURRENCY_BEFORE_MINUS = re.compile(rf"({CURRENCY}[{SPACES}]?)-")
NEGATIVES = ("()", "1-", "−", "$-", "+", "+0")
"""Forms of negative numbers besides a minus in front; of those with a plus, the second has it for zero too."""


@dataclass(frozen=True)
class NumberFormat:
    """A format of numbers as text.

    Attributes:
        prefix: Text before the number, such as a currency.
        suffix: Text after it.
        thousands: Separator of groups of digits; empty for none.
        decimal: Separator of decimals.
        least: Decimals that are always written.
        most: Decimals that are written at most.
        zero: Whether a zero comes before the separator of decimals (0.5, not .5).
        lakh: Whether groups after the first have two digits, as in India.
        negative: Notation of negative numbers, one of ``NEGATIVES``; empty for a leading minus sign.
        exponent: Notation of the power of ten, ``E+00`` or ``e+00``; empty for none.
    """

    prefix: str = ""
    suffix: str = ""
    thousands: str = ""
    decimal: str = "."
    least: int = 0
    most: int = MAX_DECIMALS
    zero: bool = True
    lakh: bool = False
    negative: str = ""
    exponent: str = ""

    def __str__(self) -> str:
        base = self._positive()
        if not self.negative:
            return base
        positive, zero = ("+" if self.negative[0] == "+" else ""), (f";{base}" if self.negative == "+" else "")
        return f"{positive}{base};{_with_sign(base, self.negative, self.prefix)}{zero}"

    @property
    def has_unit(self) -> bool:
        """Whether a unit of measurement, not a currency, follows the numbers."""
        return UNIT_SUFFIX.fullmatch(self.suffix) is not None

    @property
    def is_plain(self) -> bool:
        """Whether the texts are numbers as programs read them, such as 1.50, .5 or 1.5e+00, not $1,000."""
        return not (self.prefix or self.suffix or self.thousands or self.negative) and self.decimal == "."

    def _positive(self) -> str:
        group = f"#{self.thousands}##{self.thousands}##0" if self.lakh else f"#{self.thousands}##0"
        whole = group if self.thousands else "0" if self.zero else "#"
        places = "0" * self.least + ("#" if self.most > self.least else "")
        return f"{self.prefix}{whole}{self.decimal + places if places else ''}{self.exponent}{self.suffix}"

    @classmethod
    def parse(cls, text: str) -> NumberFormat | None:
        """Parse a format; None if it is malformed."""
        if ";" in text:
            base = cls.parse(text.split(";")[0].removeprefix("+"))
            signed = [] if base is None else [replace(base, negative=style) for style in NEGATIVES]
            return next((form for form in signed if str(form) == text), None)
        match = FORMAT_PATTERN.fullmatch(text)
        if match is None:
            return None
        least = len(match["least"] or "")
        return cls(
            prefix=match["prefix"],
            suffix=match["suffix"],
            thousands=match["thousands"] or "",
            decimal=match["decimal"] or ".",
            least=least,
            most=MAX_DECIMALS if match["more"] else least,
            zero=match["whole"] != "#",
            lakh=match["lakh"] is not None,
            exponent=match["exponent"],
        )

    @cached_property
    def _form(self) -> re.Pattern[str]:
        """A regular expression for the texts of this format."""
        group, mark = re.escape(self.thousands), re.escape(self.decimal)
        later = rf"(?:{group}\d{{2}})*{group}\d{{3}}" if self.lakh else rf"(?:{group}\d{{3}})+"
        whole = rf"\d{{1,3}}{later}|\d{{1,3}}" if self.thousands else r"\d+"
        places = rf"{mark}\d{{{max(self.least, 1)},{max(self.most, 1)}}}"
        places = "" if not self.most else places if self.least else f"(?:{places})?"
        body = rf"(?:{whole}){places}" if self.zero else rf"(?:{whole})?{places}"
        ends = re.escape(self.prefix), re.escape(self.suffix)
        if self.exponent or self == PLAIN:
            body = rf"{body}(?:[eE][+-]?\d+)?"
        return re.compile(rf"(?P<sign>-?){ends[0]}(?P<inner>-?)(?P<body>{body}){ends[1]}", re.ASCII)

    def read(self, text: str) -> float | None:
        """Parse a text; None if it does not match the format."""
        match = self._form.fullmatch(_with_minus(text, self.negative))
        if match is None or (match["sign"] and match["inner"]) or not any(map(str.isdigit, match["body"])):
            return None
        plain = match["body"].replace(self.thousands, "") if self.thousands else match["body"]
        return float((match["sign"] or match["inner"]) + plain.replace(self.decimal, "."))

    def write(self, number: float) -> str:
        """Return a number as text."""
        if self.exponent:
            plain = f"{abs(number):.{self.most}e}".replace(".", self.decimal).replace("e", self.exponent[0])
            return ("-" if number < 0 else "") + self.prefix + plain + self.suffix
        digits = f"{abs(number):.{self.most}f}"
        if self.most == MAX_DECIMALS:  # as short as the number is, but no exponent
            digits = np.format_float_positional(abs(number), unique=True, trim="-")
        whole, _, places = digits.partition(".")
        places = places.rstrip("0") if self.most > self.least else places
        places = places.ljust(self.least, "0")
        if self.thousands:
            head, last = whole[:-3], whole[-3:]
            size = 2 if self.lakh else 3
            groups = [head[max(at - size, 0) : at] for at in range(len(head), 0, -size)][::-1]
            whole = self.thousands.join([*groups, last])
        if not self.zero and whole == "0" and places:
            whole = ""
        body = whole + (self.decimal + places if places else "")
        written, nonzero = self.prefix + body + self.suffix, any(char in body for char in "123456789")
        # -0.00 stays as it was read; a rounded -0.001 is 0.00.
        minus = math.copysign(1, number) < 0 and (nonzero or (number == 0 and self.negative[:1] in ("", "+")))
        if self.negative[:1] == "+" and not minus and (nonzero or self.negative == "+0"):
            return "+" + written
        return _with_sign(written, self.negative, self.prefix) if minus else written


PLAIN = NumberFormat()


def _with_minus(text: str, negative: str) -> str:
    """Return the text of a number with a minus in front if it is negative, and no plus."""
    if negative == "()" and text[:1] == "(" and text[-1:] == ")":
        return "-" + text[1:-1]
    if negative == "1-" and text[-1:] == "-":
        return "-" + text[:-1]
    if negative == "−" and text[:1] == "−":
        return "-" + text[1:]
    if negative == "$-":
        return CURRENCY_BEFORE_MINUS.sub(r"-\1", text, count=1)
    return text[1:] if negative[:1] == "+" and text[:1] == "+" else text


def _with_sign(text: str, negative: str, prefix: str) -> str:
    """Return the text of a negative number, given that of its absolute value."""
    forms = {"()": f"({text})", "1-": f"{text}-", "−": f"−{text}", "$-": f"{prefix}-{text.removeprefix(prefix)}"}
    return forms.get(negative, f"-{text}")


def find_number_format(text: Sequence[str], decimal: str | None = None) -> NumberFormat | None:
    """Return the format that reads every text and writes it identically; None if there is none.

    Args:
        text: The distinct texts.
        decimal: Decimal separator; detected by default.
    """
    found = _find_scientific_format(text, decimal) or _find_unsigned_format(text, decimal)
    if found is not None:
        return found
    for negative in NEGATIVES:
        plain = [_with_minus(value, negative) for value in text]
        changed = sum(before != after for before, after in zip(text, plain, strict=True))
        # Without another number beside them, (1) is an item of a list and +43 begins a telephone number.
        if not changed or changed == len(text) or (negative[0] == "+" and not any(v[0] == "-" for v in plain)):
            continue
        base = _find_unsigned_format(plain, decimal)
        form = None if base is None else replace(base, negative=negative)
        if form is not None and all(_is_rewritten(form, value) for value in text):
            return form
    return None


def _is_rewritten(form: NumberFormat, text: str) -> bool:
    """Return whether a text is read and written back identically."""
    number = form.read(text)
    return number is not None and form.write(number) == text


def _find_scientific_format(text: Sequence[str], decimal: str | None) -> NumberFormat | None:
    """Return the format of numbers such as 6.02e+23, all with the same number of decimals."""
    first = SCIENTIFIC.fullmatch(text[0]) if len(text) else None
    if first is None or decimal not in (None, first["decimal"], *("." * (first["decimal"] is None))):
        return None
    places = len(first["places"] or "")
    form = NumberFormat(decimal=first["decimal"] or ".", least=places, most=places, exponent=f"{first['letter']}+00")
    return form if all(_is_rewritten(form, value) for value in text) else None


def _find_unsigned_format(text: Sequence[str], decimal: str | None) -> NumberFormat | None:
    """Return the format of numbers with a minus in front, if they are negative."""
    first = NUMBER_PATTERN.fullmatch(text[0]) if len(text) else None
    if first is None:
        return None
    bodies = [value.removeprefix(first["prefix"]).removesuffix(first["suffix"]) for value in text]
    for thousands, mark in SEPARATORS:
        if decimal not in (None, mark) or (thousands and not any(thousands in body for body in bodies)):
            continue
        for lakh in (False, True) if thousands == "," else (False,):
            own = NumberFormat(first["prefix"], first["suffix"], thousands, mark, lakh=lakh)
            found = _fit_decimals(own, text)
            if found is not None:
                return found
    return None


def _fit_decimals(form: NumberFormat, text: Sequence[str]) -> NumberFormat | None:
    """Fit the number of decimals; None unless every text comes back identical."""
    if any(form.read(value) is None for value in text[:20]):
        form = NumberFormat(form.prefix, form.suffix, form.thousands, form.decimal, zero=False, lakh=form.lakh)
    read = [form.read(value) for value in text]
    numbers = [number for number in read if number is not None]
    if len(numbers) < len(text):
        return None
    bodies = [value.removeprefix("-").removeprefix(form.prefix).removesuffix(form.suffix) for value in text]
    places = [len(body.rpartition(form.decimal)[2]) if form.decimal in body else 0 for body in bodies]
    least = min(places)
    zero = not any(body.startswith(form.decimal) for body in bodies)
    options = [(max(places), max(places))] if least == max(places) else [(least, MAX_DECIMALS)]
    for fewest, most in options:
        found = NumberFormat(form.prefix, form.suffix, form.thousands, form.decimal, fewest, most, zero, form.lakh)
        if all(found.write(number) == value for number, value in zip(numbers, text, strict=True)):
            return found
    return None


def parse_numbers(text: Iterable[object], form: str) -> npt.NDArray[np.float64]:
    """Parse texts; NaN where one is missing or does not match."""
    spelled = NumberFormat.parse(form)
    known: dict[object, float] = {}
    out = []
    for value in text:
        if value not in known:
            number = spelled.read(value.strip()) if spelled is not None and isinstance(value, str) else None
            known[value] = np.nan if number is None else number
        out.append(known[value])
    return np.array(out, dtype=np.float64)


def format_numbers(data: npt.NDArray[np.float64], form: str) -> npt.NDArray[np.object_]:
    """Format numbers; None where missing."""
    spelled = NumberFormat.parse(form) or NumberFormat()
    out = np.empty(len(data), dtype=object)
    out[:] = [None if np.isnan(number) else spelled.write(number) for number in data.tolist()]
    return out
