"""Discover rules that every row satisfies, with the evidence that they do not hold by chance.

The evidence of a rule is the expected number of rows that would violate it by chance. For an order between two columns
it is the smaller of two estimates: the violations if the columns were independent, and those if the distribution of
their difference, or of their ratio, continued smoothly beyond the boundary, by log-linear extrapolation of its two
outermost bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.order_evidence import log_ratios, smooth_violations, tail_rows
from tabsynth.relations.row_rules import BandRule, EqualityRule, OrderRule
from tabsynth.relations.rule_columns import MAX_GROUPS, Columns
from tabsynth.schema.column_names import names_say_birth, names_say_order
from tabsynth.schema.rounding import roundest_number

MIN_EVIDENCE_ROWS = 12.0
"""Minimum evidence: expected number of rows that violate the rule by chance."""

MIN_BOUND_EVIDENCE_ROWS = 40.0
"""Minimum evidence of a bound other than 0 on a difference."""

MIN_ROWS = 50
MAX_SCAN_ROWS = 2000
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MIN_OVERLAP_SHARE = 0.02
"""Minimum share of violations under independence, for an order without rows near its boundary."""

MAX_TAIL_ROWS = 0.01
"""Maximum expected number of rows beyond the boundary of such an order."""

MIN_BOUNDARY_ROWS = 5
"""Minimum rows at the boundary of a bounded difference."""

MAX_SUM_COLUMNS = 60
"""Maximum numeric columns whose sums and differences are searched for bands."""

BAND_SCAN_ROWS = 1000


def discover_rules(
    columns: Columns, computed: Mapping[str, frozenset[str]]
) -> tuple[OrderRule | EqualityRule | BandRule, ...]:
    """Find the rules that hold in all rows.

    Args:
        columns: The table.
        computed: Columns that an arithmetic relation computes, with the columns that it reads. No rule is searched
            between a computed column and a column that it reads, or between two computed columns.
    """
    rows = len(next(iter(columns.numbers.values()), ()))
    if rows < MIN_ROWS:
        return ()
    found: list[OrderRule | EqualityRule | BandRule] = []
    for unit in dict.fromkeys(columns.units.values()):
        names = [name for name, own in columns.units.items() if own == unit]
        found += _pair_rules(names, columns, computed)
    return (*found, *_band_rules(columns, computed))


def _pair_rules(
    names: list[str], columns: Columns, computed: Mapping[str, frozenset[str]]
) -> Iterator[OrderRule | EqualityRule]:
    """Find order and equality between columns of one unit."""
    if len(names) < 2:
        return
    rows = len(columns.numbers[names[0]])
    scan = np.stack([columns.numbers[name][:: max(1, rows // MAX_SCAN_ROWS)] for name in names])
    labelled, owner = _label_rows(columns, slice(None, None, max(1, rows // MAX_SCAN_ROWS)))
    least, most = np.nanmin(scan, axis=1), np.nanmax(scan, axis=1)
    whole = np.array([columns.steps[name] > 0 and columns.steps[name] % 1 == 0 for name in names])
    for i, name in enumerate(names):
        differences = scan - scan[i]
        minimum = np.fmin.reduce(differences, axis=1)
        at_minimum = (differences == minimum[:, None]).sum(axis=1)
        equal = (differences == 0).sum(axis=1)
        for j in np.flatnonzero((minimum >= 0) & (least < most[i])):
            # Repairs cannot change a computed column, so the other column of its rule must be free.
            if j != i and is_free(name, names[j], computed):
                rule = order_rule(name, names[j], 0.0, columns)
                if rule is not None:
                    yield rule
        # A bound that follows from the ranges of the two columns is not a rule.
        bounded = whole & whole[i] & (minimum != 0) & (at_minimum >= 3) & (least - most[i] < minimum)
        for j in np.flatnonzero(bounded):
            free = is_free(name, names[j], computed)
            rule = order_rule(name, names[j], float(minimum[j]), columns) if free else None
            if rule is not None:
                yield rule
        for j in np.flatnonzero(equal >= 0.01 * scan.shape[1]):
            if j > i and is_free(name, names[j], computed):
                both = (differences[j] == differences[j]).astype(np.float32)
                size, hits = labelled @ both, labelled @ (differences[j] == 0).astype(np.float32)
                groups = dict.fromkeys(owner[at] for at in np.flatnonzero((hits == size) & (size > 0)))
                if groups:
                    yield from _equalities(names[j], name, list(groups), columns)


def _sources(name: str, computed: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the columns from which a column is computed, directly or not."""
    own = computed.get(name, frozenset())
    return own.union(*(_sources(other, computed) for other in own))


def is_free(one: str, other: str, computed: Mapping[str, frozenset[str]]) -> bool:
    """Return whether a rule between two columns can be repaired without breaking an exact relation."""
    both = one in computed and other in computed
    return not both and one not in _sources(other, computed) and other not in _sources(one, computed)


def order_rule(low: str, high: str, gap: float, columns: Columns) -> OrderRule | None:
    """Return the rule ``high - low >= gap`` if it holds in all rows and has enough evidence."""
    first, second = columns.numbers[low], columns.numbers[high]
    both = np.flatnonzero(~np.isnan(first) & ~np.isnan(second))
    first, second = first[both], second[both]
    if len(first) < MIN_ROWS:
        return None
    difference = second - first
    if gap != 0:
        gap = float(difference.min())
        end = both[difference == gap]
        if gap == 0 or len(end) < MIN_BOUNDARY_ROWS or not columns.is_supported(end):
            return None
    if difference.min() < gap or np.ptp(difference) == 0:
        return None
    text = f"{low} <= {high}"
    if gap == 0 and names_say_order(low, high):
        return OrderRule(low, high, gap, text, float(len(first)))
    # Rows that satisfy the rule with any value of the other column are no evidence.
    relevant = (first + gap > second.min()) & (second < first.max() + gap)
    if relevant.sum() < MIN_EVIDENCE_ROWS:
        return None
    if gap == 0 and names_say_birth(low, high, typed=columns.units[low] != "number"):
        return OrderRule(low, high, gap, text, float(relevant.sum()))
    first, second, margin = first[relevant], second[relevant], difference[relevant] - gap
    independent = float(np.searchsorted(np.sort(second), first + gap, side="left").sum() / len(first))
    step = max(columns.steps[low], columns.steps[high])
    smooth = smooth_violations(np.sort(margin), step)
    if gap == 0:
        smooth = max(smooth, smooth_violations(np.sort(log_ratios(first, second, step)), 0.0))
    evidence = min(independent, smooth)
    far = gap == 0 and independent >= MIN_OVERLAP_SHARE * len(margin) and tail_rows(margin) <= MAX_TAIL_ROWS
    needed = MIN_EVIDENCE_ROWS if gap == 0 else MIN_BOUND_EVIDENCE_ROWS
    if independent < needed or (evidence < needed and not far):
        return None
    unit = columns.units[low].removeprefix("number").replace("datetime", "")
    if gap > 0:
        text = f"{high} - {low} >= {gap:g}{unit}"
    if gap < 0:
        text = f"{low} - {high} <= {-gap:g}{unit}"
    return OrderRule(low, high, gap, text, round(independent if far else evidence, 1))


def _label_rows(columns: Columns, rows: slice) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return indicators of each value of the low-cardinality columns, shape (values, rows), and each value's column."""
    known = [(name, value) for name, labels in columns.labels.items() for value in labels]
    if not known:
        return np.zeros((0, len(next(iter(columns.numbers.values()))[rows])), np.float32), []
    return np.stack([columns.groups[name][rows] == value for name, value in known]).astype(np.float32), [
        name for name, _ in known
    ]


def _equalities(column: str, source: str, groups: Sequence[str], columns: Columns) -> Iterator[EqualityRule]:
    """Find values of other columns for which two numeric columns are always equal."""
    first, second = columns.numbers[column], columns.numbers[source]
    both = ~np.isnan(first) & ~np.isnan(second)
    equal = (first == second)[both]
    if equal.all():
        return
    for name in groups:
        if name in (column, source):
            continue
        values = columns.groups[name]
        known, code = np.unique(values[both], return_inverse=True)
        size = np.bincount(code, minlength=len(known))
        hits = np.bincount(code, weights=equal, minlength=len(known))
        for at in np.flatnonzero((hits == size) & (size >= MIN_ROWS) & ~np.isnan(known)):
            rest = (len(equal) - size[at] - hits.sum() + hits[at]) / max(len(equal) - size[at], 1)
            # Two columns that are constant in a group are equal without depending on each other.
            if size[at] * rest >= MIN_EVIDENCE_ROWS and np.ptp(first[both][code == at]) > 0:
                value = float(known[at])
                text = f"{column} == {source} if {name} == {columns.labels[name][value]}"
                yield EqualityRule(name, value, column, source, text, round(float(size[at] * rest), 1))


def _band_rules(columns: Columns, computed: Mapping[str, frozenset[str]]) -> Iterator[BandRule]:
    """Find low-cardinality columns that are step functions of a number, or of a sum or difference of two."""
    rows = len(next(iter(columns.numbers.values())))
    step = max(1, rows // BAND_SCAN_ROWS)
    groups = {name: own[::step] for name, own in columns.groups.items() if name not in computed}
    varied = {name: len(np.unique(own[~np.isnan(own)])) for name, own in groups.items()}
    groups = {name: own for name, own in groups.items() if varied[name] > 1}
    if not groups:
        return
    codes = np.stack(list(groups.values()))
    sizes = np.array([varied[name] for name in groups])
    done: set[str] = set()
    scan = {name: own[::step] for name, own in columns.numbers.items()}
    for terms in _features(columns, computed):
        feature = _feature(terms, columns, slice(None, None, step))
        order = np.argsort(feature, kind="stable")[: int((~np.isnan(feature)).sum())]
        if len(order) < MIN_ROWS or len(np.unique(feature[order])) <= 2 * MAX_GROUPS * (len(terms) > 1):
            continue
        own = codes[:, order]
        switches = ((own[:, 1:] != own[:, :-1]) & ~np.isnan(own[:, 1:]) & ~np.isnan(own[:, :-1])).sum(axis=1)
        for at in np.flatnonzero((switches > 0) & (switches <= 2 * sizes)):
            name = list(groups)[at]
            if (
                name not in done
                and name not in dict(terms)
                and not (len(terms) > 1 and _decided(codes[at], terms, scan))
            ):
                rule = _band(name, terms, columns)
                if rule is not None:
                    done.add(name)
                    yield rule


def _decided(codes: Floats, terms: tuple[tuple[str, float], ...], numbers: Mapping[str, Floats]) -> bool:
    """Return whether a single term already determines the column, so that a sum of two is not needed."""
    for name, _ in terms:
        pairs = np.stack([numbers[name], codes], axis=1)
        pairs = np.unique(pairs[~np.isnan(pairs).any(axis=1)], axis=0)
        if len(np.unique(pairs[:, 0])) == len(pairs) < len(codes) / 2:
            return True
    return False


def _features(columns: Columns, computed: Mapping[str, frozenset[str]]) -> Iterator[tuple[tuple[str, float], ...]]:
    """Yield single numeric columns, then sums and differences of two of one unit."""
    names = [name for name in columns.numbers if len(np.unique(columns.numbers[name][:1000])) > 3]
    yield from (((name, 1.0),) for name in names)
    plain = [name for name in names if name not in computed and columns.units[name] == "number"]
    if len(plain) <= MAX_SUM_COLUMNS:
        for sign in (1.0, -1.0):
            yield from (((one, 1.0), (other, sign)) for one, other in combinations(plain, 2))


def _feature(terms: tuple[tuple[str, float], ...], columns: Columns, rows: slice) -> Floats:
    return np.asarray(np.sum([sign * columns.numbers[name][rows] for name, sign in terms], axis=0))


def _band(name: str, terms: tuple[tuple[str, float], ...], columns: Columns) -> BandRule | None:
    """Return the rule that a column is a step function of a feature, None if a row violates it."""
    feature, values = _feature(terms, columns, slice(None)), columns.groups[name]
    both = ~np.isnan(feature) & ~np.isnan(values)
    feature, values = feature[both], values[both]
    order = np.lexsort((values, feature))
    feature, values, rows = feature[order], values[order], np.flatnonzero(both)[order]
    kinds, counts = np.unique(values, return_counts=True)
    start = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    stop = np.append(start[1:], len(values))
    evidence = len(values) - float(counts.max())
    if (
        len(kinds) < 2
        or len(start) > 2 * len(kinds)
        or (stop - start).min() < MIN_BOUNDARY_ROWS
        or not all(columns.is_supported(rows[begin:end]) for begin, end in zip(start, stop, strict=True))
    ):
        return None
    if evidence < MIN_EVIDENCE_ROWS or (feature[start[1:]] <= feature[stop[:-1] - 1]).any():
        return None
    if len(np.unique(feature)) <= len(kinds):
        return None
    lower, upper = _edges(feature, start, stop, rows, columns)
    spelled = " ".join(("- " if sign < 0 else "+ ") + term for term, sign in terms).removeprefix("+ ")
    text = f"{name} is a step function of {spelled} with {len(start)} steps"
    return BandRule(name, terms, tuple(lower), tuple(upper), tuple(values[start].tolist()), text, evidence)


def _edges(
    feature: Floats, start: Integers, stop: Integers, rows: Integers, columns: Columns
) -> tuple[list[float], list[float]]:
    """Return the ends of each band: round numbers beside the outermost values that enough persons support."""
    spans = [slice(begin, end) for begin, end in zip(start.tolist(), stop.tolist(), strict=True)]
    ends = [supported_end(feature[own], columns.supporting_rows(rows[own])) for own in spans]
    mirrored = [-supported_end(-feature[own][::-1], columns.supporting_rows(rows[own][::-1])) for own in spans]
    return ends, mirrored


def supported_end(own: Floats, min_group: int) -> float:
    """Return the lower end of ascending numbers that at least ``min_group`` rows support, rounded."""
    at = min(max(min_group, 1), len(own)) - 1
    if (own[: at + 1] == own[0]).all():
        return float(own[0])
    inner = own[own > own[at]]
    return roundest_number(float(own[at]), float(inner[0])) if len(inner) and min_group > 1 else float(own[at])
