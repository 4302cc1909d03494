"""Names of months in languages other than English, in date formats such as ``[fr]%d %B %Y``.

A tag in front of a format names the language. Further lists of abbreviations have a number (``[de-2]``), a dot after
the language stands for one after each abbreviation (``[fr.]``), and a capital letter (``[Fr]``) for capitalised names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

ENGLISH = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
LANGUAGES: dict[str, tuple[str, ...]] = {
    "de": (
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez",
        "Jan Feb März Apr Mai Juni Juli Aug Sept Okt Nov Dez",
        "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    ),
    "fr": (
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "janv févr mars avr mai juin juil août sept oct nov déc",
        "jan fév mar avr mai jun jul aoû sep oct nov déc",
    ),
    "es": (
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "ene feb mar abr may jun jul ago sep oct nov dic",
        "ene feb mar abr may jun jul ago sept oct nov dic",
    ),
    "it": (
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "gen feb mar apr mag giu lug ago set ott nov dic",
    ),
    "pt": (
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "jan fev mar abr mai jun jul ago set out nov dez",
    ),
    "nl": (
        "januari februari maart april mei juni juli augustus september oktober november december",
        "jan feb mrt apr mei jun jul aug sep okt nov dec",
    ),
    "pl": (
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        "sty lut mar kwi maj cze lip sie wrz paź lis gru",
    ),
    "ru": (
        "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
        "янв фев мар апр май июн июл авг сен окт ноя дек",
    ),
    "hi": (
        "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
        "जन फ़र मार्च अप्रै मई जून जुल अग सित अक्टू नव दिस",
        "जनवरी फरवरी मार्च अप्रैल मई जून जुलाई अगस्त सितम्बर अक्टूबर नवम्बर दिसम्बर",
    ),
    "tr": (
        "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
        "Oca Şub Mar Nis May Haz Tem Ağu Eyl Eki Kas Ara",
    ),
}
"""Names from January to December: in full, then lists of abbreviations."""

TAG = re.compile(r"\[([A-Za-z]{2})(?:-(\d))?(\.?)\]")
WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0963])+\.?")
"""A word; the vowel signs of Devanagari are no letters of regular expressions."""


@dataclass(frozen=True)
class MonthNames:
    """The names of months in one language.

    Attributes:
        full: Names in full, from January to December.
        short: Abbreviations.
    """

    full: tuple[str, ...]
    short: tuple[str, ...]

    def to_english(self, text: str, format: str) -> str:
        """Replace the names in a text by the English ones that ``%B`` or ``%b`` of a format reads."""
        whole = _has_full_names(format)
        own = {name.lower(): at for at, name in enumerate(self.full if whole else self.short)}

        def english(match: re.Match[str]) -> str:
            word = match[0].lower()
            dot = "" if word in own else "." if word.endswith(".") else ""
            at = own.get(word.removesuffix(".") if dot else word)
            return match[0] if at is None else (ENGLISH[at] if whole else ENGLISH[at][:3]) + dot

        return WORD.sub(english, text)

    def from_english(self, text: str, format: str) -> str:
        """Replace the English names that ``%B`` or ``%b`` of a format wrote; capitals stay capitals."""
        whole = _has_full_names(format)
        own = self.full if whole else self.short
        english = {(name if whole else name[:3]).lower(): at for at, name in enumerate(ENGLISH)}

        def local(match: re.Match[str]) -> str:
            at = english.get(match[0].lower())
            if at is None:
                return match[0]
            return own[at].upper() if match[0].isupper() else own[at]

        return re.sub(r"[^\W\d_]+", local, text)


def split_language(format: str) -> tuple[MonthNames | None, str]:
    """Return the month names that the tag of a format asks for, and the format without it; None without a tag."""
    match = TAG.match(format)
    names = None if match is None else _names_of(match[0])
    return names, (format if names is None or match is None else format[match.end() :])


@cache
def _names_of(tag: str) -> MonthNames | None:
    """Return the names of a tag; None for an unknown one."""
    match = TAG.fullmatch(tag)
    if match is None or match[1].lower() not in LANGUAGES:
        return None
    full, *lists = (names.split() for names in LANGUAGES[match[1].lower()])
    number = int(match[2] or 1)
    if not 1 <= number <= len(lists):
        return None
    short = [
        name + "." * (bool(match[3]) and name != whole) for name, whole in zip(lists[number - 1], full, strict=True)
    ]
    if match[1][0].isupper():
        full, short = [name.capitalize() for name in full], [name.capitalize() for name in short]
    return MonthNames(tuple(full), tuple(short))


def tags_of(text: str) -> list[str]:
    """Return the tags of the languages in which a text has the name of a month."""
    words = {word.lower().removesuffix(".") for word in WORD.findall(text)}
    found: list[str] = []
    for language, (full, *lists) in LANGUAGES.items():
        for number, short in enumerate(lists, start=1):
            if words.isdisjoint(full.lower().split()) and words.isdisjoint(short.lower().split()):
                continue
            tag = language if number == 1 else f"{language}-{number}"
            spelled = (tag, tag.capitalize()) if full[0].islower() else (tag,)
            found += [f"[{one}{dot}]" for dot in ("", ".") for one in spelled]
    return found


def _has_full_names(format: str) -> bool:
    return "%B" in format or "%^B" in format
