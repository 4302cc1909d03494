"""Detect an encoding other than UTF by the words, the letters and the bytes of a sample."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from tabsynth.data.encodings.languages import encoding_of_words

MIN_FOREIGN_BYTES = 8
"""Minimum bytes beyond ASCII from which an encoding is detected."""
ENCODINGS = (
    "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255",
    "cp1256",
)  # fmt: skip
"""Encodings that can be detected, besides UTF-8 and UTF-16 with a byte order mark."""
KANA = frozenset(map(chr, range(0x3041, 0x30FB)))
WESTERN = frozenset("ÄÖÜäöüßÀÂÇÈÉÊËÎÏÔÙÛŸŒàâçèéêëîïôùûÿœÁÍÑÓÚáíñóúÃÕãõÌÒìòÅÆØåæø¿¡€£§°ºª«»‘’“”–—…µ²³½")
"""Letters and marks of the languages of Western Europe."""
_ACCENTED = "[ÄÖÜäöüßàâçèéêëîïôùûáíñóúãõ]"
INSIDE_WORD = re.compile(f"[A-Za-z]{{2}}{_ACCENTED}|[A-Za-z]{_ACCENTED}[A-Za-z]|{_ACCENTED}[a-z]{{2}}")
"""An accented letter inside a word of ASCII letters, unlike in scripts other than Latin."""


def detect_encoding(sample: bytes, *, whole: bool) -> str | None:
    """Return the encoding of text that is not Unicode; None if it cannot be detected.

    Args:
        sample: The first bytes of the text.
        whole: Whether they are all of it; otherwise the last character may be cut.
    """
    foreign = sum(byte > 127 for byte in sample)
    if foreign >= MIN_FOREIGN_BYTES and (best := encoding_of_words(sample)):
        return codecs.lookup(best).name
    samples = (sample, sample.replace(b"|", b",")) if foreign >= MIN_FOREIGN_BYTES else ()  # many bars look like noise
    best = next((found for part in samples if (found := _encoding_of_bytes(part))), None)
    if best != "big5" and (plain := _encoding_of_letters(sample, whole)):
        return plain
    return best


def _encoding_of_bytes(sample: bytes) -> str | None:
    """Detect an encoding by the statistics of bytes."""
    matches = from_bytes(sample, cp_isolation=list(ENCODINGS))
    # Chinese decoded as Japanese is half-width katakana, which is rare in Japanese.
    return next((match.encoding for match in matches if not _has_half_width(str(match))), None)


def _encoding_of_letters(sample: bytes, whole: bool) -> str | None:
    """Detect Japanese by its kana and Western European by its accented letters.

    Byte statistics confuse short Japanese with Korean, and Western with Central European.
    """
    for encoding, letters in (("cp932", KANA), ("euc_jp", KANA), ("cp1252", WESTERN)):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(sample, final=whole)
        except UnicodeDecodeError:
            continue
        foreign = [char for char in text if ord(char) > 127]
        known = sum(char in letters for char in foreign) / max(len(foreign), 1)
        if encoding == "cp1252" and known > 0.99 and (len(foreign) >= MIN_FOREIGN_BYTES or INSIDE_WORD.search(text)):
            return encoding
        if encoding != "cp1252" and known > 0.05 and not _has_half_width(text):
            return codecs.lookup(encoding).name
    return None


def _has_half_width(text: str) -> bool:
    return any("\uff61" <= char <= "\uff9f" for char in text)
