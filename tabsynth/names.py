"""What a column's name says about it: the words in it, and whether they are those of keys, codes, counts or persons."""

from __future__ import annotations

import re
from itertools import pairwise

KEYS = frozenset({
    "id", "ids", "key", "uuid", "guid", "pk", "nbr", "mrn", "ssn", "nhs", "identifier", "subjid", "usubjid",
    "custid", "userid", "patid", "empid", "rowid", "recid"
})  # fmt: skip
"""Last words of names of keys."""
PERSONS = frozenset({
    "patient", "person", "customer", "client", "user", "member", "subject", "employee", "student", "citizen",
    "holder", "borrower", "applicant", "mrn", "ssn"
})  # fmt: skip
COUNTED = frozenset({
    "account", "card", "invoice", "order", "policy", "passport", "insurance", "licence", "license", "phone",
    "telephone"
})  # fmt: skip
"""With these, ``number`` or ``no`` means a key (``account_number``), without them a count (``number_of_visits``)."""
CODES = frozenset({
    "code", "codes", "cd", "type", "class", "category", "cat", "kind", "group", "grp", "status", "flag", "zip",
    "zipcode", "postcode", "postal", "plz", "region", "icd", "cpt", "snomed", "loinc", "naics", "sic", "mcc",
    "level", "grade", "stage"
})  # fmt: skip
QUANTITIES = frozenset({
    "num", "number", "count", "counts", "n", "nr", "total", "qty", "quantity", "amount", "year", "month", "day",
    "week", "hour", "minute", "age", "duration", "time", "score", "rate", "size", "dependents", "credits"
})  # fmt: skip
NAMES = frozenset({
    "name", "firstname", "lastname", "surname", "forename", "first", "last", "middle", "maiden", "fullname",
    "given", "family"
})  # fmt: skip
PERSONAL = frozenset({
    "email", "mail", "phone", "telephone", "fax", "mobile", "address", "street", "street1", "address1",
    "address2", "iban", "passport"
})  # fmt: skip


def words(name: str) -> list[str]:
    """The words of a column's name in lower case: ``patientId`` and ``PATIENT_ID`` are both patient, id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[a-z]+|\d+", spaced.lower())


def is_key(name: str) -> bool:
    """Whether a name is that of a key: it ends in ``id`` or the like, or is a person's word alone."""
    said = [word for word in words(name) if not word.isdigit()]
    if not said:
        return False
    numbered = said[-1] in ("number", "no", "num", "nr") and bool(COUNTED.union(PERSONS) & set(said))
    return said[-1] in KEYS or numbered or (len(said) > 1 and said[0] == "id") or is_person(name)


def is_person(name: str) -> bool:
    """Whether a name may be that of the key of persons."""
    said = [word for word in words(name) if not word.isdigit()]
    if not set(said) & PERSONS:
        return False
    return len(said) == 1 or said[-1] in KEYS or said[-1] in ("number", "no", "nr")


def is_code(name: str) -> bool:
    """Whether a name is that of a code: a number or text that stands for a category."""
    said = words(name)
    # A number after "cd" makes it no code: cd4 and cd8 are cells that are counted.
    counted = any(one == "cd" and after.isdigit() for one, after in pairwise(said))
    coded = bool(set(said) & (CODES - {"cd"} if counted else CODES))
    return coded or (bool(said) and said[-1].endswith(("code", "type", "zip")))


def is_quantity(name: str) -> bool:
    """Whether a name is that of something counted or measured."""
    return bool(set(words(name)) & QUANTITIES)


def is_personal(name: str) -> bool:
    """Whether a name is that of what names or reaches a person."""
    said = words(name)
    return bool(set(said) & PERSONAL) or (bool(said) and (said[-1] in NAMES or said[0] in ("first", "last", "given")))
