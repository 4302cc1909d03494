"""Answers to nine questions that a report on a release must address, or a note that they remain open.

After NIST SP 800-226, the Article 29 opinion WP216, EDPB 28/2024, the ICO's anonymisation guidance and HIPAA
164.514(b)(1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabsynth.evaluation.score import Score
from tabsynth.privacy.accounting.explanation import explain_claim
from tabsynth.reporting.number_format import format_number

OPEN = "not answered"
PARTLY = "partly answered"
ANSWERED = "answered"


def answer_questions(
    scores: Mapping[str, Score],
    claim: Mapping[str, Any] | None,
    significant: Sequence[str],
    provenance: Mapping[str, Any],
    level: float,
    tests: int,
    held_out: bool,
) -> list[dict[str, str]]:
    """Return nine items, each with question, status and answer."""
    return [
        _guarantee(claim),
        _item(
            "Which accesses to the data are outside the guarantee?",
            *(
                (OPEN, "An audit of tables cannot detect them; the release's ledger lists all charges.")
                if claim
                else (ANSWERED, "All of them, because no guarantee was claimed for this table.")
            ),
        ),
        _item(
            "What are the trust model, the source of randomness, and the handling of floating point and side channels?",
            OPEN,
            "An audit of tables cannot answer this; the publisher of the release must.",
        ),
        _criteria(scores, held_out),
        _intruder(scores, significant, level, tests, held_out),
        _worst(scores, held_out),
        _item(
            "Which risk counts as very small, who decided this, by which method, and with which result?",
            PARTLY,
            f"Attacks are significant at a family-wise error rate of {100 * level:.0f} % over {tests} tests (Holm). "
            "The controller must decide and record which risk is acceptable for this release.",
        ),
        _item(
            "What are utility, bias and limits for the stated use?",
            OPEN,
            "See the evaluation report of the same table; this audit measures only risk.",
        ),
        _item(
            "Who approved the release for which recipients, when is it reviewed, and is the evidence reproducible?",
            PARTLY,
            f"The evidence is reproducible with seed {provenance.get('seed')}; fingerprints of all tables and versions "
            "are below. The controller must record approval, recipients and review date.",
        ),
    ]


def _item(question: str, status: str, answer: str) -> dict[str, str]:
    return {"question": question, "status": status, "answer": answer}


def _guarantee(claim: Mapping[str, Any] | None) -> dict[str, str]:
    question = "What are epsilon, delta, the unit, the neighbouring relation and the number of releases?"
    if claim is None:
        return _item(question, ANSWERED, "No guarantee was claimed, so epsilon is infinite.")
    return _item(
        question,
        PARTLY,
        f"Claimed: epsilon {claim['epsilon']:g}, delta {claim['delta']:.1e}, by {claim['unit']}; neighbours differ in "
        f"one unit, added or removed. {explain_claim(claim['epsilon'], claim['delta'], claim['unit'])} The number of "
        "releases from the same data is not known to the audit.",
    )


def _criteria(scores: Mapping[str, Score], held_out: bool) -> dict[str, str]:
    question = "How large are the risks of singling out, linkability and inference, with intervals?"
    named = [name for name in scores if name.startswith(("singling_out", "linkability", "inference"))]
    if not held_out or not named:
        return _item(
            question, OPEN, "Without held-out rows, a risk cannot be distinguished from patterns of the population."
        )
    return _item(question, ANSWERED, "; ".join(_format_score(scores[name]) for name in named) + ".")


def _intruder(
    scores: Mapping[str, Score], significant: Sequence[str], level: float, tests: int, held_out: bool
) -> dict[str, str]:
    question = "What can a motivated intruder achieve, and with which knowledge?"
    if not held_out:
        return _item(question, OPEN, "Without held-out rows, no attack can be distinguished from guessing.")
    best = [scores[name] for name in scores if name.endswith("_random_tpr")]
    strongest = max(best, key=lambda score: score.interval[0] if score.interval else 0.0)
    return _item(
        question,
        PARTLY,
        "The intruder has the synthetic table, complete records of persons, and rows of the same population, "
        f"but not the model. {len(significant)} of {tests} attacks are significant at {100 * level:.0f} %. The best on "
        f"random records: {_format_score(strongest)}. Other knowledge and unknown attacks are not covered.",
    )


def _worst(scores: Mapping[str, Score], held_out: bool) -> dict[str, str]:
    question = "Which records and subgroups are affected most?"
    names = [name for name in scores if name.endswith(("isolated_tpr", "exposed_tpr")) or name == "subgroup_auc"]
    if not held_out or not names:
        return _item(question, OPEN, "There are too few held-out rows to test parts of the table.")
    above = {name: scores[name].value - (scores[name].floor or 0.0) for name in names if name != "subgroup_auc"}
    worst = max(above, key=above.__getitem__, default=None)
    summary = [
        _format_score(scores[name]) for name in (worst, "subgroup_auc" if "subgroup_auc" in scores else None) if name
    ]
    return _item(
        question, ANSWERED, "; ".join(summary) + ". The records themselves are named in the internal file only."
    )


def _format_score(score: Score) -> str:
    """Format a score with its interval and chance level."""
    bounds = "" if score.interval is None else " to ".join(format_number(bound, score.unit) for bound in score.interval)
    chance = format_number(score.floor or 0.0, score.unit)
    return f"{score.title} {format_number(score.value, score.unit)} ({bounds}; chance level {chance})"
