"""Evidence in a column name: words for keys, codes, counts and personal data."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

KEY_WORDS = frozenset({
    "id", "ids", "key", "uuid", "guid", "pk", "nbr", "mrn", "ssn", "nhs", "identifier", "subjid", "usubjid",
    "custid", "userid", "patid", "empid", "rowid", "recid"
})  # fmt: skip
"""Last words of names of keys."""
PERSON_WORDS = frozenset({
    "patient", "person", "customer", "client", "user", "member", "subject", "employee", "student", "citizen",
    "holder", "borrower", "applicant", "mrn", "ssn"
})  # fmt: skip
ACCOUNT_WORDS = frozenset({
    "account", "card", "invoice", "order", "policy", "passport", "insurance", "licence", "license", "phone",
    "telephone"
})  # fmt: skip
"""With these, ``number`` or ``no`` means a key (``account_number``), without them a count (``number_of_visits``)."""
CODE_WORDS = frozenset({
    "code", "codes", "cd", "type", "class", "category", "cat", "kind", "group", "grp", "status", "flag", "zip",
    "zipcode", "postcode", "postal", "plz", "region", "icd", "cpt", "snomed", "loinc", "naics", "sic", "mcc",
    "level", "grade", "stage"
})  # fmt: skip
QUANTITY_WORDS = frozenset({
    "num", "number", "count", "counts", "n", "nr", "total", "qty", "quantity", "amount", "year", "month", "day",
    "week", "hour", "minute", "age", "duration", "time", "score", "rate", "size", "dependents", "credits"
})  # fmt: skip
PERSON_NAME_WORDS = frozenset({
    "firstname", "lastname", "surname", "forename", "fullname", "username", "nickname", "vorname", "nachname",
    "familienname", "nombre", "apellido", "apellidos", "nom", "prenom", "prénom", "nome", "cognome", "sobrenome",
    "imie", "imię", "nazwisko", "voornaam", "achternaam", "efternamn", "förnamn", "fornavn", "etternavn", "patronyme",
    "sukunimi", "soyad", "soyadı", "soyisim", "имя", "фамилия", "отчество", "ім", "прізвище", "όνομα", "επώνυμο",
    "login", "loginname", "handle", "screenname", "benutzername", "pseudo", "alias", "الاسم", "اسم", "שם", "नाम",
    "doctor", "physician", "surgeon", "clinician", "arzt", "médecin", "medecin", "médico"
})  # fmt: skip
"""Words for the name of a person in any column name."""
TWO_NAME_WORDS = frozenset({
    "nomfamille", "defamille", "maidenname", "mothermaiden", "nextofkin", "ofkin", "emergencycontact", "contactperson"
})  # fmt: skip
"""Two last words, joined, for the name of a person."""
NETWORK_WORDS = frozenset({
    "twitter", "instagram", "facebook", "linkedin", "xing", "tiktok", "snapchat", "mastodon", "bluesky", "github",
    "skype", "telegram", "whatsapp", "homepage", "website", "webpage", "weblink", "url", "uri", "blog"
})  # fmt: skip
"""Words for accounts and web addresses, which may be those of persons."""
EMPLOYER_WORDS = frozenset({
    "employer", "company", "companies", "workplace", "firm", "organisation", "organization", "org", "institution",
    "affiliation", "university", "school", "arbeitgeber", "firma", "unternehmen", "betrieb", "schule", "hochschule",
    "employeur", "entreprise", "société", "societe", "école", "ecole", "empleador", "empresa", "escuela",
    "universidad", "azienda", "ditta", "scuola", "empregador", "escola", "werkgever", "bedrijf", "arbetsgivare",
    "företag", "pracodawca", "работодатель", "организация", "işveren", "şirket"
})  # fmt: skip
"""Words for employers, schools and other organisations to which a person belongs."""
NAME_PART_WORDS = frozenset({"first", "last", "middle", "maiden", "full", "given", "family", "sur", "nick", "birth"})
ADDRESS_WORDS = frozenset({
    "email", "mail", "address", "street", "street1", "address1", "address2", "adresse", "anschrift", "straße",
    "strasse", "direccion", "dirección", "indirizzo", "endereco", "endereço", "correo", "courriel", "calle", "rue",
    "rua", "ulica", "улица", "адрес", "العنوان", "पता", "ipaddress"
})  # fmt: skip
PERSONAL_NUMBER_WORDS = frozenset({
    "phone", "telephone", "fax", "mobile", "cellphone", "iban", "passport", "ssn", "nhs", "telefon", "telefonnummer",
    "handynummer", "telefono", "teléfono", "téléphone", "portable", "celular", "kontonummer", "kartennummer", "dni",
    "nif", "nie", "cpf", "aadhaar", "pan", "curp", "rut", "bsn", "ahv", "avs", "svnr", "nir", "pesel", "personnummer",
    "fødselsnummer", "cpr", "hetu", "tckn", "inn", "snils", "инн", "снилс", "nino", "itin", "ein", "medicare",
    "medicaid", "sozialversicherungsnummer", "versichertennummer", "rvnr", "reisepass", "reisepassnummer", "passeport",
    "pasaporte", "passaporto", "ausweis", "ausweisnummer", "personalausweis", "führerschein", "fallnummer",
    "patientennummer", "kundennummer", "vin", "imei", "mac", "kennzeichen", "nummernschild", "matrícula", "targa",
    "телефон", "паспорт", "الهاتف", "फोन", "acct", "acctno", "acctnum", "accountno", "accountnumber", "cardno",
    "cardnumber", "ccnum", "ccnumber", "konto", "kontonr", "msisdn", "phoneno", "phonenumber", "mobileno", "passportno"
})  # fmt: skip
"""Words for numbers that reach or identify a person."""
TWO_NUMBER_WORDS = frozenset({
    "licenseplate", "licenceplate", "numberplate", "vehicleplate", "codicefiscale", "steuerid", "taxid", "nationalid",
    "socialsecurity", "seguridadsocial", "driverlicense", "driverslicense", "healthcard", "macaddress", "deviceserial"
})  # fmt: skip
"""Two last words, joined, for such numbers."""
FILE_WORDS = frozenset({"plate", "case", "file", "chart", "record", "encounter", "admission", "serial"})
"""With a word for number after them, the number of a document or a file of a person."""
STORAGE_WORDS = frozenset({"int", "str", "txt", "text", "raw", "orig", "original", "clean", "cleaned"})
UNSPACED_WORDS = (
    ("姓名", "氏名", "名前", "患者名", "顧客名", "会員名", "이름", "성명", "환자명"),
    ("地址", "住所", "주소", "邮箱", "郵箱", "メール", "이메일"),
    (
        "电话",
        "電話",
        "手机",
        "手機",
        "身份证",
        "身分證",
        "卡号",
        "账号",
        "護照",
        "护照",
        "マイナンバー",
        "전화",
        "주민등록",
    ),
)
"""The same words in scripts without spaces: names, addresses, numbers."""
UNSPACED_EMPLOYERS = ("单位名称", "公司", "雇主", "工作单位", "勤務先", "会社", "회사", "직장")
NUMBER_WORDS = frozenset({"number", "no", "nr", "num", "nbr", "id", "key"})
PLACE_WORDS = frozenset({
    "lat", "latitude", "lon", "lng", "long", "longitude", "zip", "zipcode", "postcode", "postal", "postalcode", "plz",
    "cep", "pincode", "邮编", "邮政编码", "郵便番号", "우편번호"
})  # fmt: skip
BIRTH_WORDS = frozenset({
    "dob", "birth", "birthdate", "birthday", "dateofbirth", "geburtsdatum", "geburtstag", "geburtsjahr", "birthyear",
    "yearofbirth", "yob", "naissance", "nacimiento", "nascita", "nascimento", "geboortedatum", "födelsedatum",
    "рождения", "urodzenia", "doğum", "出生日期", "出生年月", "生年月日", "생년월일", "जन्मतिथि"
})  # fmt: skip

DEATH_WORDS = frozenset({"death", "died", "deceased", "dod", "deathdate", "todesdatum", "décès", "deces", "decesso"})

DATE_WORDS = frozenset({"date", "datum", "fecha", "dob", "admitted", "discharged", "day", "日期"})


ORDERED_WORDS = tuple(
    tuple(frozenset(side.split()) for side in line.split("<"))
    for line in (
        "min minimum lowest < max maximum highest",
        "min minimum lowest < mean average median",
        "mean average median < max maximum highest",
        "low lower < high upper",
        "low lower < mid middle",
        "mid middle < high upper",
        "start begin from < end stop until to",
        "entry arrival admission admit admitted < exit departure discharge discharged",
        "birth born < death died deceased",
    )
)
"""Words by which names say the order of their columns, such as ``temp_min`` and ``temp_max``."""


def split_words(name: str) -> list[str]:
    """Return the words of a column's name in lower case: ``patientId`` and ``PATIENT_ID`` are both patient, id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    # The vowel signs of Indic scripts and accents are marks, which are no word characters of a regular expression.
    composed = unicodedata.normalize("NFC", spaced.lower())
    return re.findall(
        r"\d+|[^\d ]+", "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in composed)
    )


def is_key(name: str) -> bool:
    """Return whether a column name suggests a key: it ends in ``id`` or the like, or names a person alone."""
    words = _content_words(name)
    if not words:
        return False
    numbered = words[-1] in ("number", "no", "num", "nr") and bool(ACCOUNT_WORDS.union(PERSON_WORDS) & set(words))
    return words[-1] in KEY_WORDS or numbered or (len(words) > 1 and words[0] == "id") or is_person(name)


def is_person(name: str) -> bool:
    """Return whether a column name suggests the key of a person."""
    words = _content_words(name)
    if not set(words) & PERSON_WORDS:
        return False
    return len(words) == 1 or words[-1] in KEY_WORDS or words[-1] in ("number", "no", "nr")


def is_code(name: str) -> bool:
    """Return whether a column name suggests a category code."""
    words = split_words(name)
    # cd4 and cd8 are cell counts, not codes.
    counted = any(one == "cd" and after.isdigit() for one, after in pairwise(words))
    coded = bool(set(words) & (CODE_WORDS - {"cd"} if counted else CODE_WORDS))
    return coded or (bool(words) and words[-1].endswith(("code", "type", "zip")))


def is_quantity(name: str) -> bool:
    """Return whether a column name suggests a count or a measurement."""
    return bool(set(split_words(name)) & QUANTITY_WORDS)


def is_person_name(name: str) -> bool:
    """Return whether a column name suggests names of persons: ``surname``, ``first_name``, ``NAME``."""
    words = _content_words(name)
    if not words or any(word in name for word in UNSPACED_WORDS[0]):
        return bool(words)
    alone = len(words) == 1 and words[0] in NAME_PART_WORDS - {"full", "birth"} | {"name"}
    if words[-1] in PERSON_NAME_WORDS or alone or "".join(words[-2:]) in TWO_NAME_WORDS:
        return True
    return words[-1] in ("name", "names") and words[-2] in NAME_PART_WORDS | PERSON_WORDS | PERSON_NAME_WORDS


def is_address(name: str) -> bool:
    """Return whether a column name suggests postal or e-mail addresses."""
    words = _content_words(name)
    return any(word in name for word in UNSPACED_WORDS[1]) or (bool(words) and words[-1] in ADDRESS_WORDS)


def is_personal_number(name: str) -> bool:
    """Return whether a column name suggests numbers of telephones, accounts, cards or documents."""
    words = _content_words(name)
    if not words or any(word in name for word in UNSPACED_WORDS[2]):
        return bool(words)
    owned = PERSONAL_NUMBER_WORDS | {"cc", "account", "card", "insurance", "licence", "license"}
    if "".join(words[-2:]) in TWO_NUMBER_WORDS:
        return True
    if words[-1] in NUMBER_WORDS:
        # The id of a file or an admission may be a code of few values.
        owned = owned if words[-1] in ("id", "key") else owned | FILE_WORDS
        return len(words) > 1 and (words[-2] in owned or "".join(words[-3:-1]) in TWO_NUMBER_WORDS)
    return words[-1] in PERSONAL_NUMBER_WORDS or (len(words) == 1 and words[0] in owned)


def _content_words(name: str) -> list[str]:
    """Return the words of a name without digits and without last words on its storage, such as ``phone_raw``."""
    words = [word for word in split_words(name) if not word.isdigit()]
    while len(words) > 1 and words[-1] in STORAGE_WORDS:
        words.pop()
    return words


def is_personal(name: str) -> bool:
    """Return whether a column name suggests personal data, or may do so (``station_name``)."""
    words = split_words(name)
    contact = is_person_name(name) or is_address(name) or is_personal_number(name) or may_be_account(name)
    return contact or (bool(words) and words[-1] == "name")


def may_be_account(name: str) -> bool:
    """Return whether a column name suggests accounts or web pages, which may be those of persons."""
    words = _content_words(name)
    return bool(words) and (words[-1] in NETWORK_WORDS or (words[0] in NETWORK_WORDS and words[-1] in ("name", "user")))


def is_employer(name: str) -> bool:
    """Return whether a column name suggests employers, schools or other organisations."""
    words = _content_words(name)
    if any(word in name for word in UNSPACED_EMPLOYERS):
        return True
    named = bool(words) and words[-1] in ("name", "names")
    return bool(words) and (words[-1] in EMPLOYER_WORDS or (named and len(words) > 1 and words[-2] in EMPLOYER_WORDS))


def is_date_name(name: str) -> bool:
    """Return whether a column name suggests dates."""
    return bool(set(split_words(name)) & (DATE_WORDS | BIRTH_WORDS))


def is_quasi_identifier(name: str) -> bool:
    """Return whether a column name suggests coordinates, postal codes or dates of birth."""
    words = set(split_words(name))
    return bool(words & (PLACE_WORDS | BIRTH_WORDS)) or "".join(split_words(name)) in PLACE_WORDS | BIRTH_WORDS


def names_say_birth(low: str, high: str, *, typed: bool) -> bool:
    """Return whether names say that one column is a date of birth and the other a date; ``typed`` columns are dates."""
    born = any(word.startswith(("birth", "born", "dob")) for word in split_words(low))
    return born and (typed or ("dat" in low.lower() and "dat" in high.lower()))


def names_say_death(low: str, high: str, *, typed: bool) -> bool:
    """Return whether names say that one column is a date and the other that of a death; ``typed`` columns are dates."""
    words = [set(split_words(name)) for name in (low, high)]
    return typed and bool(words[1] & DEATH_WORDS) and not words[0] & DEATH_WORDS


def names_say_age(low: str, high: str) -> bool:
    """Return whether names say that one column is an age and the other that at an event, such as ``age_started``."""
    return split_words(high) == ["age"] and split_words(low)[0] == "age" != low.lower()


def names_say_order(low: str, high: str) -> bool:
    """Return whether two names are equal but for a pair of ``ORDERED_WORDS``."""
    one, other = split_words(low), split_words(high)
    differ = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
    return (
        len(one) == len(other)
        and len(differ) == 1
        and any(differ[0][0] in first and differ[0][1] in second for first, second in ORDERED_WORDS)
    )
