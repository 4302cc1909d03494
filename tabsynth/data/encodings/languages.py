"""Detect encodings of one byte a character, by the letters and the capitals of the words of a language.

Statistics of bytes confuse these encodings: the same bytes are letters in all of them. Only the right one has words
whose letters all belong to one language, with capitals at their beginning or throughout.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

MIN_COHERENT_SHARE = 0.98
MAX_WORDS = 1_000
WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
MARKS = "«»“”„‘’‚‹›–—…€£¥§°ºª¿¡²³½¼\u00a0"
"""Marks that begin or end words of any language."""
MAX_ACCENTED_SHARE = 0.7
"""Of the letters of words in Latin script; words of accented letters alone are of another script."""

_WESTERN = (
    "äöüß", "àâçèéêëîïôùûüÿœæ", "áéíñóúü", "áâãàçéêíóôõúü", "äöåéü", "æøåéäöü", "àèéìíòóùú", "àçèéíïòóúü", "áéíóúýþðæö",
)  # fmt: skip
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäöü", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž")
_BALTIC = ("āčēģīķļņōŗšūž", "ąčęėįšųūž", "äöüõšž")
_TURKISH = ("çğıöşüâîûİ",)
_RUSSIAN = (
    "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "абвгґдеєжзиіїйклмнопрстуфхцчшщьюяё",
)
_GREEK = ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",)
_HEBREW = ("אבגדהוזחטיךכלםמןנסעףפץצקרשת",)
CANDIDATES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("cp1252", _WESTERN, True),
    ("cp1250", _CENTRAL, True),
    ("cp1254", _TURKISH, True),
    ("iso8859-15", _WESTERN, True),
    ("iso8859-2", _CENTRAL, True),
    ("cp1257", _BALTIC, True),
    ("iso8859-13", _BALTIC, True),
    ("cp850", _WESTERN, True),
    ("mac-roman", _WESTERN, True),
    ("cp852", _CENTRAL, True),
    ("cp857", _TURKISH, True),
    ("cp1255", _HEBREW, False),  # has no capitals, and would be small letters of the next
    ("cp1251", _RUSSIAN, False),
    ("koi8-r", _RUSSIAN, False),
    ("cp866", _RUSSIAN, False),
    ("iso8859-5", _RUSSIAN, False),
    ("mac-cyrillic", _RUSSIAN, False),
    ("cp1253", _GREEK, False),
    ("iso8859-7", _GREEK, False),
)
"""Encodings, the letters beyond ASCII of their languages, and whether the script is Latin; common ones first."""


def encoding_of_words(sample: bytes) -> str | None:
    """Return the first encoding in which the words of a sample are those of one language; None if there is none."""
    words = Counter(WORD.findall(sample)).most_common(MAX_WORDS)
    for encoding, languages, latin in CANDIDATES:
        try:
            texts = [(word.decode(encoding).strip(MARKS), count) for word, count in words]
        except UnicodeDecodeError:
            continue
        texts = [(text, count) for text, count in texts if not text.isascii()]
        total = sum(count for _, count in texts)
        letters_in_all = sum(count * len(text) for text, count in texts)
        accented = sum(count * sum(not char.isascii() for char in text) for text, count in texts)
        if latin and accented > MAX_ACCENTED_SHARE * letters_in_all:
            continue
        for letters in languages if total else ():
            known = frozenset(letters + letters.upper())
            good = sum(count for text, count in texts if _is_coherent(text, known, latin=latin))
            if good >= MIN_COHERENT_SHARE * total:
                return encoding
    return None


def _is_coherent(word: str, letters: frozenset[str], *, latin: bool) -> bool:
    """Return whether a word has only letters of the language, and capitals at its beginning or throughout."""
    foreign = [char for char in word if not char.isascii()]
    if not letters.issuperset(foreign) or len(foreign) < (0 if latin else len(word)):
        return False
    pairs = pairwise(word)
    turned = any(a.islower() and b.isupper() and not (a.isascii() and b.isascii()) for a, b in pairs)
    return not turned
