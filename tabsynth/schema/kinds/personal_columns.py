"""Detect personal data by column names and value patterns; it is never learned."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

from tabsynth.schema.column_names import is_address, is_employer, is_person_name, is_personal, is_personal_number
from tabsynth.schema.columns import Identifier, Text

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
HANDLE = re.compile(r"@\w[\w.-]*(?:@[\w-]+(?:\.[\w-]+)+)?")
WEB_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]+://|www\.)\S+|[a-z]:\\.+|/(?:[^/]+/)+[^/]*", re.IGNORECASE)
"""Addresses of pages, files and folders."""
OF_PERSON = re.compile(
    r"(?://|^)(?:[\w-]+\.)*(?:(?:facebook|instagram|linkedin|twitter|tiktok|github|orcid|xing|x)\.[a-z]+|(?:t|wa)\.me)/."
    r"|/[~@]\w|^/home/.|[/\\](?:users?|people|persons?|profiles?|members?|authors?|staff|patients?)[/\\].",
    re.IGNORECASE,
)
"""Parts of addresses that lead to a person."""
COMPANY = re.compile(
    r".*\w[,.]? (?:GmbH|mbH|AG|KG|SE|e\.V\.|Inc|Corp|Corporation|Co|Ltd|Limited|LLC|LLP|PLC|Pty|S\.?A\.?S?|SARL|"
    r"S\.?p\.?A|S\.?r\.?l|Lda|Ltda|S\.L|B\.?V|N\.?V|AB|A/S|ApS|Oy|Oyj|AS|ASA|Sp\. z o\.o|A\.Ş|Pvt)\.?|"
    r".*(?:株式会社|有限公司|주식회사).*|ООО .*"
)
"""Names that end in the legal form of a company."""
IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?", re.ASCII)
IP_ADDRESS = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?::\d{1,5})?", re.ASCII)
MAC_ADDRESS = re.compile(r"[0-9A-F]{2}(?:([:-])[0-9A-F]{2})(?:\1[0-9A-F]{2}){4}")
AHV = re.compile(r"756\.\d{4}\.\d{4}\.\d\d", re.ASCII)
CPF = re.compile(r"\d{3}\.\d{3}\.\d{3}-\d\d", re.ASCII)
NINO = re.compile(r"[A-Z]{2}(?: ?\d\d){3} ?[A-D]", re.ASCII)
SSN = re.compile(r"\d{3}-\d{2}-\d{4}", re.ASCII)
NHS = re.compile(r"\d{3}([ -]?)\d{3}\1\d{4}", re.ASCII)
CARD = re.compile(r"\d{4}(?:[ -]?\d{4}){2}[ -]?\d{1,7}", re.ASCII)
ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", re.ASCII)
CHINESE_ID = re.compile(r"[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]", re.ASCII)
PHONE = re.compile(
    r"\+\d[\d ()./-]{5,}\d|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|\(\d{3}\) ?\d{3}-\d{4}|0\d(?:[ .-]\d\d){4}", re.ASCII
)
MIN_CHECKED_VALUES = 8
"""Distinct values that must all have a valid check digit, which one number in ten has by chance."""
PAYMENT_CARD = re.compile(r"4\d{15}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|62\d{14,17}|6011\d{12}|65\d{14}", re.ASCII)
"""Lengths and first digits of the large networks of payment cards."""
MIN_CARDS = 3
"""Distinct numbers of such a form that must all have a valid check digit."""
MIN_PERSONAL_SHARE = 0.5
"""Share of e-mail addresses from which a column is not learned, even if it has other values."""
YES_NO_WORDS = frozenset({"yes", "no", "y", "n", "true", "false", "none", "unknown", "ja", "nein", "si", "non", "oui"})


def infer_personal(name: str, sample: Sequence[str]) -> Identifier | Text | None:
    """Return the column, if its name or values suggest personal data.

    Args:
        name: Its name.
        sample: Its distinct values, or many of them, as text.
    """
    worded = [value for value in sample if value.strip().lower() not in YES_NO_WORDS]
    if not worded:
        return None
    mailed = _share(EMAIL, worded)
    if mailed > MIN_PERSONAL_SHARE:
        share = "all" if mailed == 1 and len(worded) == len(sample) else "most"
        return Text(name=name, pii="email", why=f"{share} values are e-mail addresses, which are never learned")
    if _share(HANDLE, worded) > MIN_PERSONAL_SHARE or _share(WEB_ADDRESS, worded, OF_PERSON) > MIN_PERSONAL_SHARE:
        what = "names of accounts, or addresses of pages or folders of persons"
        question = f"the values are {what}: should they be removed (text), or learned (categorical)?"
        return Text(name=name, why=f"most values are {what}, which are never learned", question=question)
    what = next((what for what, known in NUMBER_CHECKS.items() if known(worded)), "")
    if what:
        share = "all" if len(worded) == len(sample) else "most"
        return Identifier(name=name, why=f"{share} values are {what}", question=_question(what))
    if is_personal_number(name) and all(map(_may_identify, worded)):
        what = "numbers of telephones, accounts, cards or documents of persons"
        return Identifier(
            name=name,
            why="the name suggests a number that identifies a person",
            question=_question(what),
        )
    lettered = any(char.isalpha() for value in worded for char in value)
    if lettered and (is_person_name(name) or is_address(name)):
        what = "names of persons" if is_person_name(name) else "addresses"
        return Text(
            name=name,
            why=f"the name suggests {what}, which are never learned",
            question=f"the name suggests {what}: should they be removed (text), or learned (categorical)?",
        )
    return None


def personal_question(name: str, sample: Sequence[str]) -> str:
    """Return a question about text that repeats and may identify persons; empty if nothing suggests so."""
    removed = "should it be removed (text) instead of learned?"
    if is_employer(name) or _share(COMPANY, sample) > MIN_PERSONAL_SHARE:
        return f"it seems to name employers or organisations, which may identify persons: {removed}"
    if is_personal(name):
        return f"the name suggests names or contact data of persons: {removed}"
    if are_web_addresses(sample):
        return f"the values are web addresses or paths of files, which may lead to persons: {removed}"
    return ""


def are_web_addresses(sample: Sequence[str]) -> bool:
    """Return whether most texts are addresses of pages, files or folders."""
    return _share(WEB_ADDRESS, sample) > MIN_PERSONAL_SHARE


def _share(form: re.Pattern[str], values: Sequence[str], part: re.Pattern[str] | None = None) -> float:
    """Return the share of values that match a pattern, and contain another."""
    plain = [value.strip() for value in values]
    found = sum(bool(form.fullmatch(value)) and (part is None or bool(part.search(value))) for value in plain)
    return found / len(plain)


def _may_identify(value: str) -> bool:
    """Return whether a value is long enough for the number of a document, or of a vehicle such as M-AB 123."""
    digits = sum(map(str.isdigit, value))
    return digits >= 4 or (digits >= 2 and value == value.upper() and sum(map(str.isalnum, value)) >= 5)


def _question(what: str) -> str:
    return f"does it contain {what} (identifier, replaced), or is it a code (categorical) or a quantity (numeric)?"


def _all_match(form: re.Pattern[str], check: Callable[[str], bool], enough: int) -> Callable[[Sequence[str]], bool]:
    """Test that enough values match a pattern and a check of their letters and digits, in any case."""
    return lambda sample: (
        len(sample) >= enough
        and all(form.fullmatch(own := value.strip().upper()) and check(re.sub(r"\W", "", own)) for value in sample)
    )


def _iban(value: str) -> bool:
    """Check ISO 7064 mod 97-10, with the first four characters at the end and letters as 10 to 35."""
    return int("".join(str(int(char, 36)) for char in value[4:] + value[:4])) % 97 == 1


def _orcid(value: str) -> bool:
    """Check ISO 7064 mod 11-2."""
    return "10X98765432"[sum(int(char) * pow(2, 15 - at, 11) for at, char in enumerate(value[:15])) % 11] == value[15]


def _are_ipv6(sample: Sequence[str]) -> bool:
    try:
        return bool(sample) and all(ipaddress.IPv6Address(value.strip()) for value in sample)
    except ValueError:
        return False


def _luhn(value: str) -> bool:
    """Check ISO/IEC 7812: from the right, every second digit counts twice, by its sum of digits."""
    return (
        sum(int(char) if at % 2 == 0 else sum(divmod(2 * int(char), 10)) for at, char in enumerate(value[::-1])) % 10
        == 0
    )


def _nhs(value: str) -> bool:
    """Check modulus 11 with weights 10 to 2."""
    return (11 - sum(int(char) * (10 - at) for at, char in enumerate(value[:9])) % 11) % 11 == int(value[9])


def _chinese_id(value: str) -> bool:
    """Check GB 11643: ISO 7064 mod 11-2."""
    total = sum(int(char) * pow(2, 17 - at, 11) for at, char in enumerate(value[:17]))
    return "10X98765432"[total % 11] == value[17].upper()


NUMBER_CHECKS: dict[str, Callable[[Sequence[str]], bool]] = {
    "IBANs": _all_match(IBAN, _iban, 1),
    "social security numbers": _all_match(SSN, lambda value: True, 1),
    "Chinese identity numbers": _all_match(CHINESE_ID, _chinese_id, 1),
    "NHS numbers": _all_match(NHS, _nhs, MIN_CHECKED_VALUES),
    "payment card numbers": lambda sample: (
        _all_match(CARD, _luhn, MIN_CHECKED_VALUES)(sample)
        or _all_match(CARD, lambda value: bool(PAYMENT_CARD.fullmatch(value)) and _luhn(value), MIN_CARDS)(sample)
    ),
    "Swiss insurance numbers": _all_match(AHV, lambda value: True, 1),
    "Brazilian taxpayer numbers": _all_match(CPF, lambda value: True, 1),
    "national insurance numbers": _all_match(NINO, lambda value: True, 1),
    "network addresses": _all_match(IP_ADDRESS, lambda value: True, 1),
    "network addresses of version 6": _are_ipv6,
    "ORCID iDs": _all_match(ORCID, _orcid, 1),
    "hardware addresses": _all_match(MAC_ADDRESS, lambda value: True, 1),
    "telephone numbers": _all_match(PHONE, lambda value: True, 1),
}
"""Personal numbers, by pattern and check digit."""
