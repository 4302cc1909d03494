"""Map category codes between sources: by synonyms, or by frequencies and by the means of other columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from tabsynth.mixing.matching.column_profiles import MAX_CODES, SCALE_SENTINELS, Profile
from tabsynth.mixing.matching.contrary_words import contrary_words
from tabsynth.mixing.plan.entries import code_text
from tabsynth.schema.column_names import split_words

SYNONYMS = (
    frozenset({"f", "female", "woman", "w", "femme", "frau", "weiblich"}),
    frozenset({"m", "male", "man", "h", "homme", "mann", "männlich"}),
    frozenset({"yes", "y", "true", "t", "positive", "pos", "present", "ja", "oui", "si"}),
    frozenset({"no", "n", "false", "negative", "neg", "absent", "nein", "non"}),
    frozenset({"unknown", "unk", "u", "not known", "not stated"}),
    frozenset({"never", "nev"}), frozenset({"former", "ex", "past", "quit"}), frozenset({"current", "cur"}),
)  # fmt: skip
"""Groups of synonyms."""

MAX_ABSENCE_PROBABILITY = 0.01
"""A code's absence is suspicious if its probability by chance is below this value."""

MAX_TAIL_SHARE = 0.05
"""Two columns are counts if the values that occur in only one of them have less than this share."""

KEPT_COST = 1e6
"""Cost of mapping a code of both sources to another one."""

MIN_EXCHANGE_Z = 4.0
"""Standard errors by which the means must contradict the codes' names before an exchange is reported."""


@dataclass(frozen=True)
class CodeMapping:
    """A mapping from one source's codes (as text) to another's.

    Attributes:
        meaning: The other source's code by own code; empty when they are equal.
        certain: Whether synonyms decide every code.
        score: Quality of the mapping, 0 to 1.
        question: The open decision; empty if there is none.
    """

    meaning: Mapping[str, str]
    certain: bool
    score: float
    question: str = ""


def map_codes(
    one: Profile, other: Profile, links: tuple[pd.DataFrame, pd.DataFrame] | None = None
) -> CodeMapping | None:
    """Map the codes of ``other`` to those of ``one``; None where either is not categorical.

    Args:
        one: The column whose codes are kept.
        other: The column to recode.
        links: For both, the mean of each anchor column by code, in standard units.
    """
    a, b = one.shares, other.shares
    if (
        not a
        or not b
        or max(len(a), len(b)) > 4 * MAX_CODES
        or not (one.is_coded or other.is_coded or one.kind == "categorical")
    ):
        return None
    if (one.is_words and other.is_measurement) or (other.is_words and one.is_measurement):
        return None
    folded = {key.casefold(): key for key in a}
    if all(key.casefold() in folded for key in b):
        same = {key: folded[key.casefold()] for key in b if key != folded[key.casefold()]}
        if links is not None and len(b) >= 2 and (pair := _exchanged_codes(one, other, *links)):
            exchange = {pair[0]: pair[1], pair[1]: pair[0]}
            question = (
                f"the codes {pair[0]} and {pair[1]} of {other.source}.{other.name} appear to be exchanged against "
                f"{one.source}: is {pair[0]} → {pair[1]}, {pair[1]} → {pair[0]} right?"
            )
            return CodeMapping(same | exchange, False, 0.5, question)
        return CodeMapping(same, not (doubt := _doubt(one, other)), 0.95, doubt)
    synonyms = {key: partner for key in b if (partner := _synonym(key, a)) is not None}
    if len(synonyms) == len(b) and len(set(synonyms.values())) == len(synonyms):
        return CodeMapping(synonyms, True, 0.95)
    if one.kind == other.kind == "numeric" and (not (one.is_coded and other.is_coded) or _are_counts(a, b)):
        return None
    return _assign_by_shares(one, other, synonyms, links)


def _are_counts(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Return whether both are integer ranges that differ only in rare high values, as counts but not codes do."""
    if not all(key.isdigit() for key in (*a, *b)):
        return False
    every = sorted(int(key) for key in {*a, *b})
    apart = sum(share for table, other in ((a, b), (b, a)) for key, share in table.items() if key not in other)
    return every[-1] - every[0] <= len(every) and apart < MAX_TAIL_SHARE and min(map(int, a)) == min(map(int, b))


def _synonym(key: str, others: Mapping[str, float]) -> str | None:
    """Return the only other code that is equal or a synonym."""
    synonyms = next((group for group in SYNONYMS if key.casefold() in group), None)
    if key.casefold().isdigit():
        synonyms = None
    matches = [
        other
        for other in others
        if other.casefold() == key.casefold() or (synonyms is not None and other.casefold() in synonyms)
    ]
    return matches[0] if len(matches) == 1 else None


def _doubt(one: Profile, other: Profile) -> str:
    """Return why equal codes may differ in meaning: a frequent code is absent."""
    a, b = one.shares or {}, other.shares or {}
    own = {key.casefold() for key in b}
    gone = {key: share for key, share in a.items() if key.casefold() not in own}
    missed = [key for key, share in gone.items() if (1 - share) ** other.count < MAX_ABSENCE_PROBABILITY]
    if missed:
        share = sum(gone[key] for key in missed)
        return (
            f"{other.source}.{other.name} never has {', '.join(missed[:5])}, which {one.source} has in {share:.0%} of "
            "its rows: does it use other codes?"
        )
    return ""


def _exchanged_codes(one: Profile, other: Profile, mine: pd.DataFrame, theirs: pd.DataFrame) -> tuple[str, str] | None:
    """Return the two codes whose means of other columns fit far better if exchanged."""
    a, b = one.shares or {}, other.shares or {}
    shared = [key for key in b if key in a and key in mine.index and key in theirs.index]
    for i, key in enumerate(shared):
        for partner in shared[i + 1 :]:
            n = min(a[key] * one.count, a[partner] * one.count, b[key] * other.count, b[partner] * other.count)
            if n < 20:
                continue
            first = (mine.loc[key] - mine.loc[partner]).to_numpy(dtype=np.float64)
            second = (theirs.loc[key] - theirs.loc[partner]).to_numpy(dtype=np.float64)
            is_finite = np.isfinite(first) & np.isfinite(second)
            if is_finite.sum() < 2:
                continue
            # The difference of two means in standard units has a variance of about 2/n in each source.
            z_score = float(first[is_finite] @ second[is_finite]) / np.sqrt(
                float(np.square(first[is_finite]).sum()) * 2 / n + 1e-12
            )
            if z_score < -MIN_EXCHANGE_Z:
                return key, partner
    return None


def _assign_by_shares(
    one: Profile, other: Profile, words: Mapping[str, str], links: tuple[pd.DataFrame, pd.DataFrame] | None
) -> CodeMapping:
    """Return the assignment by frequencies and anchor means; always a question."""
    a, b = one.shares or {}, other.shares or {}
    rows, columns = list(b), list(a)
    fixed = _kept_codes(rows, columns)
    cost = np.zeros((len(rows), len(columns)))
    for key in fixed:
        cost[rows.index(key)] = cost[:, columns.index(key)] = KEPT_COST
        cost[rows.index(key), columns.index(key)] = 0.0
    for i, key in enumerate(rows):
        for j, partner in enumerate(columns):
            if _are_contrary(key, partner) or (
                fixed and key != partner and (_is_missing_code(key) or _is_missing_code(partner))
            ):
                cost[i, j] = KEPT_COST
    if all(key.lstrip("-").isdigit() for key in (*rows, *columns)):
        # The order of numeric codes rarely differs between sources.
        ranks = [np.argsort(np.argsort([int(key) for key in keys])) for keys in (rows, columns)]
        cost += 0.5 * np.abs(ranks[0][:, None] - ranks[1][None, :])
    for i, key in enumerate(rows):
        for j, partner in enumerate(columns):
            cost[i, j] += abs(b[key] - a[partner]) - (1.0 if words.get(key) == partner else 0.0)
            # By convention 1 is yes.
            cost[i, j] -= 1.0 if (key.casefold() in SYNONYMS[2] and partner == "1") else 0.0
            cost[i, j] -= 1.0 if (key.casefold() in SYNONYMS[3] and partner == "0") else 0.0
            if links is not None and partner in links[0].index and key in links[1].index:
                gap = (links[0].loc[partner] - links[1].loc[key]).abs()
                if gap.notna().any():
                    cost[i, j] += min(float(np.nanmean(gap.to_numpy(dtype=np.float64))), 2.0)
    chosen = linear_sum_assignment(cost)
    pairs_kept = [(i, j) for i, j in zip(*chosen, strict=True) if cost[i, j] < KEPT_COST / 2]
    meaning = {rows[i]: columns[j] for i, j in pairs_kept}
    costs = [cost[i, j] for i, j in pairs_kept] or [KEPT_COST]
    score = round(float(np.exp(-max(0.0, np.mean(costs)))), 3)
    changed = {key: partner for key, partner in meaning.items() if key != partner}
    pairs = ", ".join(f"{key} → {partner}" for key, partner in list(changed.items())[:6])
    unpaired = [key for key in rows if key not in meaning]
    fate = "stay unchanged" if one.values is None or all(map(_is_integer, unpaired)) else "become missing"
    questions = [f"is {pairs} right?"] if changed else []
    questions += [f"{', '.join(unpaired[:6])} have no partner and {fate}: is that right?"] if unpaired else []
    question = f"{other.source}.{other.name} has codes that {one.source} does not have: {' '.join(questions)}"
    return CodeMapping(meaning if changed else {}, False, score, question)


def _kept_codes(rows: Sequence[str], columns: Sequence[str]) -> set[str]:
    """Return the codes of both sources with equal meanings; none if numeric codes are shifted or mostly different."""
    both = set(rows) & set(columns)
    if all(map(_is_integer, (*rows, *columns))):
        gaps = {a - b for a, b in zip(sorted(map(int, rows)), sorted(map(int, columns)), strict=False)}
        shifted = len(rows) == len(columns) and len(gaps) == 1
        if shifted or 2 * len(both) < min(len(rows), len(columns)):
            return set()
    return both


def _are_contrary(code: str, other: str) -> bool:
    """Return whether two codes are words of opposite meaning or different currencies."""
    words = [[word for word in split_words(text) if not word.isdigit()] for text in (code, other)]
    return bool(contrary_words(*words))


def _is_missing_code(code: str) -> bool:
    """Return whether a numeric code often means missing, and is no code of a scale."""
    return _is_integer(code) and int(code) in SCALE_SENTINELS and not 0 <= int(code) <= MAX_CODES


def _is_integer(code: str) -> bool:
    return code.lstrip("-").isdigit()


def code_means(frame: pd.DataFrame, column: str, anchors: Sequence[str], mapped: Sequence[str]) -> pd.DataFrame:
    """Return the mean of each anchor by code, in the source's standard units; columns are named by ``mapped``."""
    keys = frame[column].map(code_text, na_action="ignore")
    out = {}
    for anchor, name in zip(anchors, mapped, strict=True):
        values = pd.to_numeric(frame[anchor], errors="coerce").astype("float64")
        deviation = float(values.std())
        if deviation > 0:
            out[name] = (values - values.mean()).groupby(keys).mean() / deviation
    return pd.DataFrame(out)
