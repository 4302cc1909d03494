"""Detect the date format of text: a date, a time after it, and a time zone, in any combination."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

import pandas as pd

from tabsynth.schema.columns import Resolution
from tabsynth.schema.datetime_formats import (
    COLON_OFFSET,
    PADDED_DAY,
    ZONE,
    format_dates,
    infer_iso_format,
    infer_resolution,
    parse_dates,
    parse_text,
    spell_fraction,
)
from tabsynth.schema.month_names import split_language, tags_of

DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%y", "%d.%m.%y", "%d %m %Y")
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m/%d/%y", "%m-%d-%y", "%m.%d.%y", "%m %d %Y")
NAMED_MONTHS = (
    "%d-%b-%Y",
    "%d %b %Y",
    "%d/%b/%Y",
    "%d%b%Y",
    "%d-%b-%y",
    "%d%b%y",
    "%b %d, %Y",
    "%b. %d, %Y",
    "%b %d %Y",
    "%Y-%b-%d",
    "%Y %b %d",
    "%d %B %Y",
    "%d-%B-%Y",
    "%d-%B-%y",
    "%d. %B %Y",
    "%d. %b %Y",
    "%d de %B de %Y",
    "%d de %b de %Y",
    "%d %b %y",
    "%d/%b/%y",
    "%B %d, %Y",
    "%B %d %Y",
)
WEEKDAYS = tuple(
    before + day
    for before in ("%a, ", "%a ", "%A, ", "%A ")
    for day in ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y")
)
OTHER_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y %m %d", "%G-W%V-%u", "%GW%V%u", "%Y年%m月%d日", "%Y년 %m월 %d일")
COMPACT_FORMAT = "%Y%m%d"
DAYS = (*DAY_FIRST, *MONTH_FIRST, *OTHER_DAYS, *NAMED_MONTHS, *WEEKDAYS, COMPACT_FORMAT)
"""Formats of a day, likeliest first."""

CLOCKS = (
    "%H:%M",
    "%H:%M:%S",
    "%H:%M:%S.%f",
    "%I:%M %p",
    "%I:%M:%S %p",
    "%I:%M%p",
    "%I:%M:%S%p",
    "%H.%M",
    "%H.%M.%S",
    "%H%M",
    "%H%M%S",
    "%H%M%S.%f",
    "%H",
    "%H时%M分",
    "%H时%M分%S秒",
    "%H時%M分",
    "%H時%M分%S秒",
    "%H시 %M분",
    "%H시 %M분 %S초",
)
"""Formats of a time of day."""
SEPARATORS = (" ", "T", ":", ", ", "-", "_", " - ", "")
"""Texts between a day and a time."""
MONTHS_AND_TIMES = (
    *("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p"),
    *(
        "%Y-%m",
        "%Y/%m",
        "%m/%Y",
        "%b %Y",
        "%b-%Y",
        "%b-%y",
        "%b/%Y",
        "%b/%y",
        "%b %y",
        "%B %Y",
        "%B de %Y",
        "%Y年%m月",
        "%Y년 %m월",
        "%H时%M分",
        "%H時%M分",
        "%H시 %M분",
        "%G-W%V",
        "%GW%V",
    ),
)
"""Formats of a time without a day, and of a month or a week."""
UNIX_DATES = tuple(f"%a %b %d {clock}{zone} %Y" for clock in ("%H:%M:%S",) for zone in ("", " UTC", " GMT"))

DIRECTIVE_PATTERNS = {
    "Y": r"\d{4}", "G": r"\d{4}", "y": r"\d\d", "m": r"\d\d?", "d": r"(?:\d\d| ?\d)", "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]{3,9}", "a": "[A-Z][a-z]{2}", "A": "[A-Z][a-z]{5,8}", "V": r"\d\d", "u": "[1-7]",
    "H": r"\d\d?", "I": r"\d\d?", "M": r"\d\d", "S": r"\d\d", "f": r"\d{1,9}", "p": "[AaPp][Mm]",
}  # fmt: skip
ZONE_AFTER_TIME = re.compile(r"(?<=\d)(?:Z| ?[+-]\d\d:?\d\d| UTC| GMT)$")
MAX_DATE_CHARACTERS = 40
"""Longer texts are no dates."""
N_PROBED_TEXTS = 100
"""Texts that select candidate formats; one that fits all is kept."""


def find_formats(text: Sequence[str]) -> list[str]:
    """Return the likeliest format of all texts, and a second if day and month are ambiguous.

    Args:
        text: Each different text once.
    """
    head = text[:N_PROBED_TEXTS]
    every = pd.Series([str(value) for value in text], dtype=object)  # pandas refuses numpy's subclass of str
    for found in candidate_formats(head):
        if _fits(every, found):
            other = found.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")
            ambiguous = found.startswith(("%d/", "%d-", "%d.", "%d ")) and "%m" in found
            return [found, other] if ambiguous and _fits(every, other) else [found]
    local = (form for form in _local_formats(head) if _fits(every, form) and _comes_back(every, form))
    return [form for form, _ in zip(local, range(1), strict=False)]


def infer_padding(text: Sequence[str], format: str) -> str:
    """Return the format with the spelling that writes every text identically, such as ``%-d`` or ``%^b``.

    Args:
        text: Each different text once, all of this format.
        format: The format.
    """
    if format == COMPACT_FORMAT:
        return format
    moments = parse_dates(pd.Series(list(text), dtype=object), format)
    resolution = infer_resolution(moments)
    for spelled in _spellings(text, format, resolution):
        if format_dates(moments, spelled, resolution).to_pylist() == list(text):
            return spelled
    return format


def _spellings(text: Sequence[str], format: str, resolution: Resolution) -> Iterator[str]:
    """Yield the spellings of a format: digits of seconds that are always 0, capitals, and fields without zeros."""
    fraction = re.search(r"\.(\d+)\D*$", text[0])
    spelled = format if fraction is None else spell_fraction(format, len(fraction[1]), resolution)
    if any(word.isupper() for word in re.findall(r"[^\W\d_]{3,}", text[0])):
        spelled = re.sub("%([bB])", r"%^\1", spelled)
    if text[0].endswith(("am", "pm")):
        spelled = spelled.replace("%p", "%P")
    for fields in ("", "mdHI", "md", "HI", "d", "m"):
        yield re.sub(f"%([{fields}])", r"%-\1", spelled) if fields else spelled
    yield spelled.replace("%d", PADDED_DAY)
    yield re.sub("%([HI])", r"%-\1", spelled.replace("%d", PADDED_DAY))


def candidate_formats(text: Sequence[str]) -> list[str]:
    """Return the formats whose pattern every text matches."""
    if not len(text) or len(text[0]) > MAX_DATE_CHARACTERS or not any(char.isdigit() for char in text[0]):
        return []
    iso = infer_iso_format(text[0])
    zoned = ZONE.sub(COLON_OFFSET if iso.endswith("Z") or iso[-3] == ":" else "%z", iso) if iso else None
    own = [known for known in (iso, zoned) if known and all(infer_iso_format(value) for value in text)]
    others = (known for known in _formats_of(text[0]) if known != iso)
    return own + [known for known in others if all(_pattern(known).fullmatch(value) for value in text)]


def is_date_in_other_digits(text: str) -> bool:
    """Return whether a text would resemble a date if its digits of another script were 0 to 9."""
    if not any(char.isdecimal() and not char.isascii() for char in text):
        return False
    return is_date_like("".join(str(unicodedata.decimal(char, char)) for char in text))


def is_date_like(text: str) -> bool:
    """Return whether a text matches the pattern of some format."""
    return bool(candidate_formats([text])) or any(True for _ in _local_formats([text]))


def _local_formats(text: Sequence[str]) -> Iterator[str]:
    """Yield the formats that every text matches with the names of months of another language."""
    if not len(text) or len(text[0]) > MAX_DATE_CHARACTERS or not any(char.isdigit() for char in text[0]):
        return
    for tag in tags_of(text[0]):
        names, _ = split_language(tag)
        for directive in ("%B", "%b"):
            english = [value if names is None else names.to_english(value, directive) for value in text]
            known = (form for form in candidate_formats(english) if directive in form)
            yield from (tag + form for form in known if not re.search("%[aA]", form))


def _comes_back(text: pd.Series, format: str) -> bool:
    """Return whether every text is written identically in some spelling of a format."""
    spelled = infer_padding(text.tolist(), format)
    moments = parse_dates(text, spelled)
    return bool(format_dates(moments, spelled, infer_resolution(moments)).to_pylist() == text.tolist())


def _formats_of(example: str) -> Iterator[str]:
    """Yield the formats whose pattern a text matches, likeliest first."""
    zone = ZONE_AFTER_TIME.search(example)
    for day in DAYS:
        match = _pattern(day).match(example)
        if match is None:
            continue
        if match.end() == len(example):
            yield day
        for clock in _clocks_of(example[match.end() :], day):
            yield day + clock
        if zone is not None and zone.start() > match.end():
            for clock in _clocks_of(example[match.end() : zone.start()], day):
                yield day + clock + zone[0]
    yield from (known for known in (*UNIX_DATES, *MONTHS_AND_TIMES) if _pattern(known).fullmatch(example))


def _clocks_of(rest: str, day: str) -> Iterator[str]:
    """Yield the separators and times of day that a text after a day matches."""
    for separator in SEPARATORS:
        if not rest.startswith(separator) or not rest[len(separator) : len(separator) + 1].isdigit():
            continue
        for clock in CLOCKS:
            # Digits alone are a time only where they are separated from a day, or after one of eight digits.
            compact = clock == "%H" or clock.startswith("%H%M")
            if compact and not (day == COMPACT_FORMAT or (separator in ("T", " ") and day[:2] in ("%Y", "%G"))):
                continue
            if separator == "" and not (compact and day == COMPACT_FORMAT) and clock[2] not in "时時시":
                continue
            if _pattern(clock).fullmatch(rest[len(separator) :]):
                yield separator + clock


@cache
def _pattern(format: str) -> re.Pattern[str]:
    """Return a regular expression of the texts of a format; fields without separators have all their digits."""
    fixed = "%m%d" in format or "%H%M" in format

    def directive(match: re.Match[str]) -> str:
        return r"\d\d" if fixed and match[1] in "mdH" else DIRECTIVE_PATTERNS[match[1]]

    return re.compile(re.sub(r"%(\w)", directive, re.escape(format)), re.ASCII)


def _fits(text: pd.Series, format: str) -> bool:
    """Return whether every text is a date of this format, in a plausible year."""
    moments = parse_text(text, format, utc=True)
    if moments.isna().any():
        return False
    has_year = "%Y" in format or "%G" in format
    return not has_year or bool(moments.dt.year.between(1800, 2200).all())
