"""Detect names that differ in side, time, currency or another word of opposite meaning."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from tabsynth.mixing.matching.name_similarity import ABBREVIATIONS

OPPOSITES: tuple[tuple[frozenset[str], ...], ...] = tuple(
    tuple(frozenset(side.split()) for side in line.split("|"))
    for line in (
        "left l lt os sinister | right r rt od dexter | both bilateral ou",
        "pre before prior preop baseline initial | post after postop followup final",
        "systolic sys sbp | diastolic dia dbp | map",
        "hdl | ldl | vldl | total tc | triglycerides tg",
        "minimum min lowest nadir | maximum max highest peak | mean average avg | median",
        "first | second | third | last",
        "start begin beginning from opening open | end stop finish until closing close",
        "admission admitted intake | discharge discharged",
        "birth born dob | death died deceased dod",
        "mother maternal mom | father paternal dad | child | partner spouse",
        "arterial | venous | capillary", "upper | lower", "high | low", "inner inside | outer outside",
        "debit | credit", "gross | net", "buy bid purchase | sell ask sale", "income revenue | expense cost",
        "fasting | postprandial random", "morning am | evening pm | night", "inpatient | outpatient",
        "sitting | standing | supine lying", "old | new", "planned expected | actual observed",
        "length height | width | depth",
        # German, French, Spanish, Italian, Portuguese, Chinese and Japanese
        "links linke linkes linker gauche izquierdo izquierda izq sinistro sinistra esquerdo esquerda 左 | "
        "rechts rechte rechtes rechter droite droit derecho derecha destro destra direito direita 右",
        "vorher vor avant antes prima 前 | nachher nach après apres después despues depois dopo 后 後",
        "systolisch systolique sistólica sistolica 收 | diastolisch diastolique diastólica diastolica 舒",
        "aufnahme aufnahmedatum entrée entree ingreso ricovero 入 | "
        "entlassung entlassungsdatum sortie alta dimissione 出",
        "geburt geburtsdatum naissance nacimiento nascita | tod todesdatum décès deces defunción decesso",
        "brutto brut bruto lordo | netto neto líquido",
        "soll ausgaben dépenses gastos | haben einnahmen recettes ingresos",
    )
)  # fmt: skip
"""Groups of contrary words; columns whose names have different words of a group measure different quantities."""

CURRENCIES: dict[str, str] = {
    word: code
    for code, currencies in {
        "EUR": "eur euro euros keur €", "USD": "usd dollar dollars kusd $", "GBP": "gbp sterling kgbp £",
        "CHF": "chf franc francs", "JPY": "jpy yen ¥ ￥", "CNY": "cny rmb yuan renminbi 元",
        "INR": "inr rupee rupees ₹",
        "BRL": "brl reais", "RUB": "rub ruble rubles rouble ₽", "CAD": "cad", "AUD": "aud", "SEK": "sek", "NOK": "nok",
        "DKK": "dkk", "PLN": "pln zloty zł", "KRW": "krw won ₩", "MXN": "mxn peso pesos", "ZAR": "zar rand",
        "CZK": "czk koruna koruny kč", "HUF": "huf forint", "TRY": "try lira ₺", "UAH": "uah hryvnia ₴",
        "ILS": "ils shekel shekels ₪", "THB": "thb baht ฿", "VND": "vnd dong ₫", "PHP": "php ₱", "NGN": "ngn naira ₦",
        "HKD": "hkd", "SGD": "sgd", "TWD": "twd", "NZD": "nzd", "MYR": "myr ringgit", "IDR": "idr rupiah", "PKR": "pkr",
        "BDT": "bdt taka", "AED": "aed dirham", "SAR": "sar riyal", "QAR": "qar", "EGP": "egp", "MAD": "mad",
        "KES": "kes", "ARS": "ars", "CLP": "clp", "COP": "cop", "PEN": "pen", "RON": "ron", "BGN": "bgn", "ISK": "isk",
    }.items()
    for word in currencies.split()
}  # fmt: skip
"""Currency by word or symbol."""

OTHER_MEANINGS = frozenset(
    {"inr", "cad", "rand", "won", "aud", "sek", "try", "lira", "dong", "php", "mad", "cop", "pen", "ars", "sar", "ron"}
)
"""Words with another meaning, which count as a currency only with another currency; INR may be a laboratory value."""


def contrary_words(one: Sequence[str], other: Sequence[str]) -> str:
    """Return how two names contradict each other; empty if they do not.

    Args:
        one: The words of a name, and currency symbols of its values.
        other: The words of the other name.
    """
    a, b = _full(one), _full(other)
    mine, theirs = ({CURRENCIES[word] for word in words if word in CURRENCIES} for words in (a, b))
    certain = (a | b) & CURRENCIES.keys() - OTHER_MEANINGS
    if mine != theirs and (certain or (mine and theirs)):
        currencies = [" or ".join(sorted(codes)) or "no currency" for codes in (mine, theirs)]
        return f"one is in {currencies[0]}, the other names {currencies[1]}"
    for sides in OPPOSITES:
        for left, right in combinations(sides, 2):
            for first, second in ((left, right), (right, left)):
                if a & first and b & second and not (a & second or b & first):
                    return f"{min(a & first)!r} and {min(b & second)!r} have different meanings"
    numbers = [{word for word in words if word.isdigit()} for words in (a, b)]
    if numbers[0] and numbers[1] and numbers[0] != numbers[1]:
        return f"they are numbered {', '.join(sorted(numbers[0]))} and {', '.join(sorted(numbers[1]))}"
    return ""


def _full(words: Sequence[str]) -> set[str]:
    """Return the words, their expanded abbreviations, and the characters of words in scripts without spaces."""
    characters = {char for word in words for char in word if "\u4e00" <= char <= "\u9fff"}
    return characters | {part for word in words for part in (word, *ABBREVIATIONS.get(word, word).split())}
