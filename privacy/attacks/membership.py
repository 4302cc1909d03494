"""Membership inference from a synthetic table.

Four attacks, each a score for a record that is higher where the record is believed a member:

* *density ratio*: the synthetic density at the record over the population's, both by nearest neighbours (van Breugel,
  Sun, Qian, van der Schaar, "Membership inference attacks against synthetic data through overfitting detection"
  (DOMIAS), AISTATS 2023, equation 2; the estimator of Wang, Kulkarni and Verdu, IEEE Trans. Inf. Theory 55, 2009);
* *likelihood ratio*: how much likelier the synthetic rows around the record are under a reference model to which the
  record is added (Ward, Wang, Cheng, "Privacy auditing synthetic data release through local likelihood attacks", 2025);
* *neighbourhood*: nearness of the closest synthetic row (Hilprecht, Härterich, Bernau, PoPETs 2019; Chen, Yu, Zhang,
  Fritz, "GAN-Leaks", CCS 2020);
* *classifier*: vote of trees that separate synthetic rows from the reference (a density ratio again; fully
  grown trees remember single rows).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom
from sklearn.ensemble import ExtraTreesClassifier

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import clopper_pearson
from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.evaluation.stats.boosted_trees import draw_seed
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import Finding, Records, bonferroni
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest
from tabsynth.privacy.attacks.rate_tests import Rate, mann_whitney_p_value, tpr_at_fpr, tpr_in_set
from tabsynth.reporting.number_format import format_number

RATES = (0.001, 0.01, 0.1)
"""False-positive rates at which the true-positive rate is reported."""

RATES_EXPOSED = (0.001, 0.01)
"""The same for exposed records, a tenth of all: at 10 % all of them would be flagged."""

TITLES = {
    "density_ratio": "Density ratio",
    "likelihood_ratio": "Likelihood ratio",
    "neighbourhood": "Neighbourhood",
    "classifier": "Classifier",
}
SETS: tuple[Records, ...] = ("random", "isolated", "exposed")
SET_SHARE = 0.1
"""Share of all attacked records that counts as the most isolated, and as the most exposed."""

EXPOSED_NOTE = (
    " (a tenth of all is pointed at, blind to membership; who is not counts as not mistaken, so that chance recognises "
    "1 % of all controls over their share in the set)"
)

N_NEIGHBOURS = 3
N_TREES = 60
MAX_CLASSIFIER_ROWS = 10_000
"""Rows of each side that the classifier learns."""

MIN_SET_RECORDS = 40
"""Controls, and members, below which a set of records is not attacked on its own."""


@dataclass(frozen=True, eq=False)
class TargetScores:
    """Scores of all targets (members, then controls), and their sets.

    Attributes:
        scores: For each attack, shape (n,).
        isolation: Distance to the nearest reference rows, shape (n,).
        sets: Row numbers of each set of records.
        exposure: How near the nearest synthetic row is compared with the nearest reference row, shape (n,).
        to_synthetic: Distance to the nearest synthetic row, shape (n,).
        to_reference: Distance to the nearest reference row, shape (n,).
    """

    scores: dict[str, Floats]
    isolation: Floats
    sets: dict[Records, npt.NDArray[np.int64]]
    exposure: Floats
    to_synthetic: Floats
    to_reference: Floats


def score_targets(game: MembershipGame, rng: np.random.Generator) -> TargetScores:
    """Score every target by every attack."""
    targets = game.targets()
    to_synthetic, which = find_nearest(targets, game.points["synthetic"], N_NEIGHBOURS)
    to_reference, _ = find_nearest(targets, game.points["reference"], N_NEIGHBOURS)
    usual = float(np.median(to_reference[:, 0]))
    ratio = _density_ratio(to_synthetic, to_reference, usual)
    isolation = to_reference.mean(axis=1)
    scores = {
        "density_ratio": ratio,
        "likelihood_ratio": _likelihood_ratio(game, to_synthetic, which, usual),
        "neighbourhood": -to_synthetic[:, 0],
        "classifier": _classifier(game, rng),
    }
    count = max(1, round(SET_SHARE * len(targets)))
    gap = _exposure(to_synthetic[:, 0], to_reference[:, 0], usual)
    sets: dict[Records, npt.NDArray[np.int64]] = {
        "random": np.arange(len(targets)),
        "isolated": _select_largest(isolation, count, rng),
        "exposed": _select_largest(gap, count, rng),
    }
    return TargetScores(scores, isolation, sets, gap, to_synthetic[:, 0], to_reference[:, 0])


def score_exposure(game: MembershipGame, attacks: TargetScores, table: EncodedTable) -> tuple[Floats, Floats]:
    """Exposure and isolation of rows that are not targets, shape (n,) each, as ``score_targets`` computes them."""
    points = game.space.points(table)
    to_reference = find_nearest(points, game.points["reference"], N_NEIGHBOURS)[0]
    to_synthetic = find_nearest(points, game.points["synthetic"], 1)[0][:, 0]
    usual = float(np.median(attacks.to_reference))
    return _exposure(to_synthetic, to_reference[:, 0], usual), to_reference.mean(axis=1)


def summarise_membership(game: MembershipGame, attacks: TargetScores) -> tuple[list[Finding], list[dict[str, object]]]:
    """One finding per attack and set of records, and the rates at every false-positive rate."""
    findings, rows = [], []
    for records, chosen in attacks.sets.items():
        member = game.is_member[chosen]
        if min(member.sum(), (~member).sum()) < (1 if records == "random" else MIN_SET_RECORDS):
            continue
        for name, scores in attacks.scores.items():
            yes, no = scores[chosen][member], scores[chosen][~member]
            rates = [_compute_rate(records, yes, no, len(game.controls), fpr) for fpr in _rates_of(records)]
            finding = _finding(name, records, member, scores[chosen], rates)
            findings.append(finding)
            rows += [_rate_record(name, records, rate) for rate in rates]
    return findings, rows


def summarise_exposed(game: MembershipGame, attacks: TargetScores) -> Finding:
    """Return the share of members among the records that an intruder would name first, chosen blind to membership."""
    chosen = attacks.sets["exposed"]
    count, members, total = len(chosen), len(game.members), len(game.is_member)
    found = int(game.is_member[chosen].sum())
    prior = members / total
    low, high = clopper_pearson(found, count)
    return Finding(
        name="exposed_members",
        group="membership",
        attack="Nearest to the synthetic table",
        records="exposed",
        title="Members among exposed records",
        value=100 * found / count,
        interval=(100 * low, 100 * high),
        floor=100 * prior,
        p=float(hypergeom.sf(found - 1, total, members, count)),
        p_reverse=float(hypergeom.cdf(found, total, members, count)),
        success=found / count,
        control=prior,
        baseline=prior,
        description="Training records among those whose nearest synthetic row is nearest for how common they are.",
        method=f"The first {count:,} of {total:,} records, chosen blind to membership; exact hypergeometric test.",
    )


def _rates_of(records: Records) -> tuple[float, ...]:
    return RATES_EXPOSED if records == "exposed" else RATES


def _compute_rate(records: Records, yes: Floats, no: Floats, controls: int, fpr: float) -> Rate:
    """The exposure is a claim of the attack itself, so its false positives count over all controls."""
    return tpr_in_set(yes, no, controls - len(no), fpr) if records == "exposed" else tpr_at_fpr(yes, no, fpr)


def _finding(name: str, records: Records, member: npt.NDArray[np.bool_], score: Floats, rates: list[Rate]) -> Finding:
    """Return the rates of one attack on one set as one finding."""
    auc, (low, high) = delong_auc(member, score)
    one = rates[1]
    tests = [mann_whitney_p_value(score[member], score[~member]), *(rate.p for rate in rates)]
    others = "all others" if records == "exposed" else "others"
    surest = int(np.argmin(tests))
    rate = rates[max(surest - 1, 0)]
    seen = (
        f"AUC {auc:.3f}" if surest == 0 else f"{format_number(100 * rate.value, '%')} at {100 * rate.fpr:g} % mistakes"
    )
    percents = ", ".join(f"{100 * rate.fpr:g}" for rate in rates[:-1]) + f" and {100 * rates[-1].fpr:g} %"
    return Finding(
        name=f"{name}_{records}_tpr",
        group="membership",
        attack=TITLES[name],
        records=records,
        title=f"{TITLES[name]}, {records} records",
        value=100 * one.value,
        interval=(100 * one.interval[0], 100 * one.interval[1]),
        floor=100 * one.chance,
        p=bonferroni(tests),
        p_reverse=bonferroni(
            [
                mann_whitney_p_value(score[~member], score[member]),
                *(tpr_at_fpr(score[~member], score[member], fpr).p for fpr in _rates_of(records)),
            ]
        ),
        evidence=seen,
        success=one.value,
        control=one.chance,
        baseline=one.chance,
        description=f"Training records{' pointed at' if records == 'exposed' else ''} that are recognised where 1 % of "
        f"{others} are mistaken for one; AUC {auc:.3f} ({low:.3f} to {high:.3f}).",
        method=f"{one.members:,} members and {one.controls:,} controls{EXPOSED_NOTE if records == 'exposed' else ''}; "
        f"exact interval that covers the threshold's noise. Tested: AUC and the rates at {percents}, corrected for "
        "their number.",
    )


def _rate_record(name: str, records: Records, rate: Rate) -> dict[str, object]:
    return {
        "attack": name,
        "records": records,
        "fpr": rate.fpr,
        "chance": rate.chance,
        "tpr": rate.value,
        "interval": list(rate.interval),
        "p": rate.p,
        "members": rate.members,
        "controls": rate.controls,
    }


def _offset_distance(distance: Floats, usual: float) -> Floats:
    """Return the distances plus a thousandth of the usual distance between real rows, so that none is zero."""
    return distance + 0.001 * (usual if usual > 0 else 1.0)


def compute_exposure(to_synthetic: Floats, to_reference: Floats) -> Floats:
    """Return the exposure of all targets from the distances to their nearest rows."""
    return _exposure(to_synthetic, to_reference, float(np.median(to_reference)))


def _exposure(to_synthetic: Floats, to_reference: Floats, usual: float) -> Floats:
    """Log of how much nearer the nearest synthetic row is than the nearest reference row."""
    return np.asarray(np.log(_offset_distance(to_reference, usual)) - np.log(_offset_distance(to_synthetic, usual)))


def _density_ratio(to_synthetic: Floats, to_reference: Floats, usual: float) -> Floats:
    """Log ratio of the two densities, up to a constant and the dimension, which change no rank."""
    return np.asarray(
        np.log(_offset_distance(to_reference, usual)).mean(axis=1)
        - np.log(_offset_distance(to_synthetic, usual)).mean(axis=1)
    )


def _likelihood_ratio(game: MembershipGame, to_synthetic: Floats, which: npt.NDArray[np.int64], usual: float) -> Floats:
    """log(1 + K(s, x) / sum_r K(s, r)) for the nearest synthetic row s, with K(d) = exp(-d / h): a locality of one."""
    near, place = np.unique(which[:, 0], return_inverse=True)
    width = usual / 10 if usual > 0 else 0.1
    others, _ = find_nearest(game.points["synthetic"][near], game.points["reference"], N_NEIGHBOURS)
    density = np.exp(-np.minimum(others / width, 500)).sum(axis=1)[place]
    return np.asarray(np.log1p(np.exp(-np.minimum(to_synthetic[:, 0] / width, 500)) / density))


def _classifier(game: MembershipGame, rng: np.random.Generator) -> Floats:
    """Return the share of the trees' votes for synthetic against reference, shape (n,)."""
    count = min(len(game.synthetic), len(game.reference), MAX_CLASSIFIER_ROWS)
    sides = [table.take(rng.permutation(len(table))[:count]) for table in (game.synthetic, game.reference)]
    features = np.concatenate([np.nan_to_num(side.features(), nan=-1.0) for side in sides]).astype(np.float32)
    label = np.repeat([1, 0], count)
    trees = ExtraTreesClassifier(N_TREES, random_state=draw_seed(rng), n_jobs=1).fit(features, label)
    targets = [np.nan_to_num(table.features(), nan=-1.0) for table in (game.members, game.controls)]
    return np.asarray(trees.predict_proba(np.concatenate(targets).astype(np.float32))[:, 1], dtype=np.float64)


def _select_largest(values: Floats, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the indices of the largest values, ties broken at random."""
    lot = rng.permutation(len(values))
    chosen: npt.NDArray[np.int64] = lot[np.argsort(-values[lot], kind="stable")[:count]]
    return chosen
