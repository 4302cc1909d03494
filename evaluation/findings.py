"""Findings: descriptions of faults, each with the affected columns, groups or rows.

A part of a score is a fault if it exceeds its floor by a limit and by a factor, and exceeds its family-wise bound.
Consequences of a reported fault are not reported again: pairs with a faulty column are omitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from tabsynth.evaluation.inputs import Inputs
from tabsynth.evaluation.metric_specs import GATE_INTERVAL_FACTOR, SPECS, area_of, excess_over_floor, level_of
from tabsynth.evaluation.metrics.dependence import related_columns, target_information_gains
from tabsynth.evaluation.metrics.rounding import describe_rounding
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import FAMILYWISE_RATE
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.unit_mismatch import describe_unit_change
from tabsynth.evaluation.stats.value_format import find_format_faults
from tabsynth.reporting.number_format import format_number

MIN_FLOOR_RATIO = 3.0
"""Minimum ratio of a part to its floor."""

MIN_GROUP_EXCESS, MIN_GROUP_DEVIATIONS = 2.5, 6.0
"""Minimum excess of a faulty group over the median of all groups, in points and in median absolute deviations."""

MIN_LEAK = 0.15
"""Minimum increase of the normalised mutual information with the target (0 to 1) of a leaking column."""

MIN_BROKEN_SHARE, MIN_SHARED_INFORMATION = 0.75, 0.015
"""Minimum share of a column's relations that are wrong if the column is reported instead of its pairs, and minimum
normalised mutual information (0 to 1) of related columns in the real table."""

MIN_BROKEN_RELATIONS = 3
"""Minimum number of wrong pairs that are reported as one fault of their common column."""

MAX_FINDINGS = 12
"""Maximum number of findings of one kind."""

MIN_CATEGORY_SHARE, MIN_CATEGORY_ROWS = 0.005, 10
"""Minimum share and number of real rows of a missing category that is reported."""


@dataclass(frozen=True)
class Finding:
    """One fault: its area, the score that shows it, the columns, group or rows, and one sentence."""

    area: str
    score: str
    where: tuple[str, ...]
    text: str

    def to_dict(self) -> dict[str, object]:
        """Return the finding as plain data."""
        return {"area": self.area, "score": self.score, "where": list(self.where), "text": self.text}


def find_faults(
    scores: Mapping[str, Score], real: EncodedTable, synthetic: EncodedTable, target: str | None
) -> list[Finding]:
    """Return the faults in the scores, those of single columns first."""
    shapes, faulty = _wrong_shapes(scores, real, synthetic)
    dropped = _missing_categories(real, synthetic)
    pairs = _wrong_pairs(scores, real, faulty | {finding.where[0] for finding in dropped})
    out = [*shapes, *dropped]
    out += _target_leaks(real, synthetic, target)
    out += pairs
    out += _wrong_parts(scores, "tail_error", faulty, "the tails of {0} have an error of {1} (real rows: {2})")
    out += _wrong_parts(scores, "missing_pattern_error", set(), "missing values of {0}: error {1} (real rows: {2})")
    out += _wrong_missingness(scores, faulty)
    out += _wrong_groups(scores, bool(faulty))
    out += _wrong_parts(scores, "parity_error", set(), "gap between groups of {0}: error {1} (real rows: {2})")
    return out + _wrong_table_scores(scores)


def find_value_faults(
    inputs: Inputs, scores: Mapping[str, Score], real: EncodedTable, synthetic: EncodedTable
) -> list[Finding]:
    """Return a finding for each column whose synthetic values have another resolution, type or rounding."""
    faults = inputs.retyped | dict(find_format_faults(inputs.train, inputs.synthetic, inputs.schema))
    out = [Finding("fidelity", "value_format", (name,), text) for name, text in faults.items()]
    if (score := scores.get("rounding_error")) is None:
        return out
    wrong = [part for part in score.detail if part.name not in faults and _is_fault(part, score)]
    for part in sorted(wrong, key=lambda part: -part.excess)[:MAX_FINDINGS]:
        shares = describe_rounding(real, synthetic, inputs.schema, part.name)
        out.append(Finding("fidelity", "rounding_error", part.columns, f"{part.name}: {shares}"))
    return out


def _error_text(part: Part) -> str:
    return f"an error of {format_number(part.value, '%')} (real rows: {format_number(part.floor or 0.0, '%')})"


def _is_fault(part: Part, score: Score) -> bool:
    """Return whether a part is a fault. Its floor is a single draw, so it is raised to the mean floor if smaller."""
    floor, limit = max(part.floor or 0.0, score.floor or 0.0), SPECS[score.name].finding or 0.0
    return part.value > MIN_FLOOR_RATIO * floor and part.value - floor > limit and part.value > (part.chance or 0.0)


def _wrong_shapes(
    scores: Mapping[str, Score], real: EncodedTable, synthetic: EncodedTable
) -> tuple[list[Finding], set[str]]:
    """Return findings on column distributions, with a note on probable changes of unit, and the faulty columns."""
    if "shape_error" not in scores:
        return [], set()
    out = []
    parts = [part for part in scores["shape_error"].detail if _is_fault(part, scores["shape_error"])]
    for part in sorted(parts, key=lambda part: -part.excess):
        name = part.columns[0]
        text = f"the distribution of {name} has {_error_text(part)}"
        changed = describe_unit_change(real, synthetic, name)
        out.append(Finding("fidelity", "shape_error", (name,), f"{text}{changed}"))
    return out[:MAX_FINDINGS], {finding.where[0] for finding in out}


def _missing_categories(real: EncodedTable, synthetic: EncodedTable) -> list[Finding]:
    """Return findings on categories that never occur in the synthetic table, if that is improbable by chance."""
    out = []
    categories = int(real.encoding.sizes[~real.encoding.continuous].sum())
    min_count = max(
        MIN_CATEGORY_ROWS, np.log(max(categories, 1) / FAMILYWISE_RATE) / np.log(1 + len(synthetic) / len(real))
    )
    for j, name in enumerate(real.encoding.names):
        if real.encoding.continuous[j]:
            continue
        size = int(real.encoding.sizes[j])
        counts, other = (np.bincount(table.codes[:, j], minlength=size)[1:] for table in (real, synthetic))
        expected = counts / len(real) * len(synthetic)
        for code in np.argsort(-counts, kind="stable"):
            share = counts[code] / len(real)
            if not other[code] and share >= MIN_CATEGORY_SHARE and counts[code] >= min_count and expected[code] >= 10:
                label = real.encoding.labels[j][code]
                text = f"{name} = {label} never occurs, but occurs in {format_number(100 * share, '%')} of real rows"
                out.append(Finding("diversity", "coverage", (name, label), text))
    return out[:MAX_FINDINGS]


def _wrong_pairs(scores: Mapping[str, Score], real: EncodedTable, faulty: set[str]) -> list[Finding]:
    """Return findings on pairs with a wrong relation, or on the column that they have in common."""
    wrong: dict[tuple[str, ...], tuple[str, Part]] = {}
    for score in ("trend_error", "information_error"):
        for part in scores[score].detail if score in scores else ():
            if _is_fault(part, scores[score]) and not set(part.columns) & faulty:
                wrong.setdefault(tuple(sorted(part.columns)), (score, part))
    out: list[Finding] = []
    named = {name for pair in wrong for name in pair}
    related = related_columns(real, named, faulty, MIN_SHARED_INFORMATION)
    while wrong:
        counts: dict[str, int] = {}
        for pair in wrong:
            for name in pair:
                counts[name] = counts.get(name, 0) + 1
        top = max(counts, key=lambda name: (counts[name], name))
        others = max(len(related.get(top, ())), counts[top])
        # Most relations of the column are wrong, or all wrong relations are its own.
        if counts[top] < max(2, MIN_BROKEN_SHARE * others) and (
            counts[top] < MIN_BROKEN_RELATIONS or counts[top] < len(wrong)
        ):
            break
        text = f"{top} has lost its relation to {counts[top]} of {others} related columns; it may have been shuffled"
        out.append(Finding("fidelity", "trend_error", (top,), text))
        wrong = {pair: fault for pair, fault in wrong.items() if top not in pair}
    for score, part in sorted(wrong.values(), key=lambda fault: -fault[1].excess)[:MAX_FINDINGS]:
        text = f"the relation of {part.name} has {_error_text(part)}"
        out.append(Finding("fidelity", score, part.columns, text))
    return out


def _target_leaks(real: EncodedTable, synthetic: EncodedTable, target: str | None) -> list[Finding]:
    """Return findings on columns that predict the target much better in the synthetic table than in the real one."""
    if target is None or target not in real.encoding.names:
        return []
    gains = target_information_gains(real, synthetic, target, MIN_LEAK)
    texts = {n: f"{n} explains {after:.0%} of {target} (in the real table {before:.0%})" for n, before, after in gains}
    return [
        Finding("utility", "information_error", (name, target), f"{text}: the target may have leaked")
        for name, text in texts.items()
    ]


def _wrong_parts(scores: Mapping[str, Score], name: str, known: set[str], text: str) -> list[Finding]:
    """Return findings on the faulty parts of a score, without those of ``known`` columns."""
    if name not in scores or (name == "parity_error" and level_of(scores[name]) != "poor"):
        return []
    parts = [p for p in scores[name].detail if _is_fault(p, scores[name]) and not set(p.columns) & known]
    return [
        Finding(
            area_of(name),
            name,
            p.columns,
            text.format(p.name, format_number(p.value, "%"), format_number(p.floor or 0.0, "%")),
        )
        for p in sorted(parts, key=lambda p: -p.excess)[:MAX_FINDINGS]
    ]


def _wrong_missingness(scores: Mapping[str, Score], faulty: set[str]) -> list[Finding]:
    """Return findings on columns whose missing values depend on other columns differently than in the real table."""
    name = "missing_relation_error"
    if name not in scores:
        return []
    worst: dict[str, list[Part]] = {}
    for part in scores[name].detail:
        if part.columns[1] not in faulty and _is_fault(part, scores[name]):
            worst.setdefault(part.columns[0], []).append(part)
    out = []
    for column, parts in list(worst.items())[:MAX_FINDINGS]:
        top = sorted(parts, key=lambda part: -part.excess)[:3]
        others = ", ".join(part.columns[1] for part in top)
        text = f"missing values of {column} depend differently on {others} than in the real table"
        out.append(Finding("fidelity", name, (column, *(part.columns[1] for part in top)), text))
    return out


def _wrong_groups(scores: Mapping[str, Score], has_faulty_columns: bool) -> list[Finding]:
    """Return findings on groups whose excess over the floor is much larger than that of other groups."""
    if "subgroup_error" not in scores:
        return []
    parts = scores["subgroup_error"].detail
    excesses = np.array([part.excess for part in parts])
    median = float(np.median(excesses))
    deviation = float(np.median(np.abs(excesses - median)))
    limit = max(median, 0.0) + max(
        MIN_GROUP_EXCESS * (2 if has_faulty_columns else 1), MIN_GROUP_DEVIATIONS * deviation
    )
    faulty = [
        p for p in parts if p.excess > limit and p.value > 1.25 * (p.floor or 0.0) and p.value > (p.chance or 0.0)
    ]
    out = []
    for part in sorted(faulty, key=lambda part: -part.excess)[:MAX_FINDINGS]:
        text = f"rows with {part.name} have {_error_text(part)}"
        out.append(Finding("fairness", "subgroup_error", part.columns, text))
    return out


def _explained_by_chance(score: Score) -> bool:
    """Return whether held-out real rows could have the same score by chance."""
    if score.name == "utility_gap":
        return any(part.value <= (part.chance or 0.0) for part in score.detail)
    if score.name != "conclusions":
        return excess_over_floor(score, GATE_INTERVAL_FACTOR) <= 0
    # McNemar's exact test of coefficients that are lost with synthetic rows only or with held-out rows only.
    lost = sum(part.value < (part.floor or 0.0) for part in score.detail)
    gained = sum(part.value > (part.floor or 0.0) for part in score.detail)
    return float(binom.sf(lost - 1, lost + gained, 0.5)) > FAMILYWISE_RATE


def _wrong_table_scores(scores: Mapping[str, Score]) -> list[Finding]:
    """Return findings on scores of the whole table that are not good."""
    out = []
    texts = {
        "detection_auc": "a detection AUC far below 0.5 ({0}): training rows may be copied",
        "mode_loss": "a cluster of rows is missing or repeated: {1}",
        "beta_recall": "part of the real table is not covered: β-recall {0}",
        "copies": "{0} of the rows are copies of training rows",
        "dcr_share": "{0} of the rows are closer to training rows than to held-out rows",
        "utility_gap": "models trained on it perform worse than models trained on real rows, by {0} AUC or R²",
        "conclusions": "only {0} of the significant regression coefficients are preserved",
    }
    for name, text in texts.items():
        if name not in scores:
            continue
        score = scores[name]
        top = [part for part in score.detail if part.excess > 20]
        if name == "mode_loss":
            top = [part for part in top if part.value > (part.chance or 0.0)]
            if not top or max(part.value - MIN_FLOOR_RATIO * (part.floor or 0) for part in top) < 10:
                continue
        elif level_of(score) in (None, "good") or _explained_by_chance(score):
            continue
        elif name == "detection_auc" and score.value > 0.5:
            continue  # the pairs, groups and columns that the classifier uses have their own findings
        named = ", ".join(part.name for part in top[:3])
        where = tuple(part.name for part in top[:3]) if name == "mode_loss" else ("rows",)
        out.append(
            Finding(
                area_of(name),
                name,
                where,
                text.format(format_number(score.value, score.unit if score.unit == "%" else ""), named),
            )
        )
    return out
