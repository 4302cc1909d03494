"""Membership inference from a synthetic table.

Each of four attacks assigns a score to a record, which is higher if the record is more likely a member:

* *density ratio*: the synthetic density at the record over the population density, by nearest neighbours (van Breugel,
  Sun, Qian, van der Schaar, "Membership inference attacks against synthetic data through overfitting detection"
  (DOMIAS), AISTATS 2023, equation 2; the estimator of Wang, Kulkarni and Verdu, IEEE Trans. Inf. Theory 55, 2009);
* *likelihood ratio*: increase of the likelihood of nearby synthetic rows if the record is added to a reference model
  (Ward, Wang, Cheng, "Privacy auditing synthetic data release through local likelihood attacks", 2025);
* *neighbourhood*: negative distance to the closest synthetic row (Hilprecht, Härterich, Bernau, PoPETs 2019; Chen, Yu,
  Zhang, Fritz, "GAN-Leaks", CCS 2020);
* *classifier*: votes of fully grown trees that separate synthetic from reference rows (another density ratio, which
  memorises single rows).
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
from tabsynth.privacy.attacks.attack_result import AttackResult, Records, bonferroni
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest
from tabsynth.privacy.attacks.rate_tests import Rate, mann_whitney_p_value, tpr_at_fpr, tpr_in_set
from tabsynth.reporting.number_format import format_number

RATES = (0.001, 0.01, 0.1)
"""False-positive rates at which the true-positive rate is reported."""

RATES_EXPOSED = (0.001, 0.01)
"""False-positive rates for exposed records. They are a tenth of all records, so 10 % would flag all of them."""

TITLES = {
    "density_ratio": "Density ratio",
    "likelihood_ratio": "Likelihood ratio",
    "neighbourhood": "Neighbourhood",
    "classifier": "Classifier",
}
SET_SHARE = 0.1
"""Share of the attacked records in the set of isolated records, and in the set of exposed records."""

EXPOSED_NOTE = (
    " (the attack selects a tenth of all records without use of membership; controls outside that set count as true "
    "negatives, so the chance level is 1 % divided by the share of controls in the set)"
)

N_NEIGHBOURS = 3
N_TREES = 60
MAX_CLASSIFIER_ROWS = 10_000
"""Maximum training rows of the classifier in each class."""

MIN_SET_RECORDS = 40
"""Minimum number of members, and of controls, in a set of records that is attacked separately."""


@dataclass(frozen=True, eq=False)
class TargetScores:
    """Scores of all targets (members, then controls), and sets of targets.

    Attributes:
        scores: Scores by attack, shape (n,) each.
        isolation: Mean distance to the nearest reference rows, shape (n,).
        sets: Row numbers of each set of records.
        exposure: Log ratio of the distances to the nearest reference row and the nearest synthetic row, shape (n,).
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
    """Compute the scores of all attacks for every target."""
    targets = game.targets()
    to_synthetic, nearest = find_nearest(targets, game.points["synthetic"], N_NEIGHBOURS)
    to_reference, _ = find_nearest(targets, game.points["reference"], N_NEIGHBOURS)
    scale = float(np.median(to_reference[:, 0]))
    ratio = _density_ratio(to_synthetic, to_reference, scale)
    isolation = to_reference.mean(axis=1)
    scores = {
        "density_ratio": ratio,
        "likelihood_ratio": _likelihood_ratio(game, to_synthetic, nearest, scale),
        "neighbourhood": -to_synthetic[:, 0],
        "classifier": _classifier(game, rng),
    }
    count = max(1, round(SET_SHARE * len(targets)))
    exposure = _exposure(to_synthetic[:, 0], to_reference[:, 0], scale)
    sets: dict[Records, npt.NDArray[np.int64]] = {
        "random": np.arange(len(targets)),
        "isolated": _select_largest(isolation, count, rng),
        "exposed": _select_largest(exposure, count, rng),
    }
    return TargetScores(scores, isolation, sets, exposure, to_synthetic[:, 0], to_reference[:, 0])


def score_exposure(game: MembershipGame, attacks: TargetScores, table: EncodedTable) -> tuple[Floats, Floats]:
    """Return exposure and isolation of other rows, shape (n,) each, as in ``score_targets``."""
    points = game.space.points(table)
    to_reference = find_nearest(points, game.points["reference"], N_NEIGHBOURS)[0]
    to_synthetic = find_nearest(points, game.points["synthetic"], 1)[0][:, 0]
    scale = float(np.median(attacks.to_reference))
    return _exposure(to_synthetic, to_reference[:, 0], scale), to_reference.mean(axis=1)


def summarise_membership(
    game: MembershipGame, attacks: TargetScores
) -> tuple[list[AttackResult], list[dict[str, object]]]:
    """Return a result for each attack and set of records, and the rates at every false-positive rate."""
    results, rows = [], []
    for records, chosen in attacks.sets.items():
        is_member = game.is_member[chosen]
        if min(is_member.sum(), (~is_member).sum()) < (1 if records == "random" else MIN_SET_RECORDS):
            continue
        for name, scores in attacks.scores.items():
            member_scores, control_scores = scores[chosen][is_member], scores[chosen][~is_member]
            rates = [
                _compute_rate(records, member_scores, control_scores, len(game.controls), fpr)
                for fpr in _rates_of(records)
            ]
            result = _result(name, records, is_member, scores[chosen], rates)
            results.append(result)
            rows += [_rate_record(name, records, rate) for rate in rates]
    return results, rows


def summarise_exposed(game: MembershipGame, attacks: TargetScores) -> AttackResult:
    """Return the share of members among the exposed records, which are selected without use of membership."""
    chosen = attacks.sets["exposed"]
    count, members, total = len(chosen), len(game.members), len(game.is_member)
    hits = int(game.is_member[chosen].sum())
    prior = members / total
    low, high = clopper_pearson(hits, count)
    return AttackResult(
        name="exposed_members",
        group="membership",
        attack="Nearest to the synthetic table",
        records="exposed",
        title="Members among exposed records",
        value=100 * hits / count,
        interval=(100 * low, 100 * high),
        floor=100 * prior,
        p=float(hypergeom.sf(hits - 1, total, members, count)),
        p_reverse=float(hypergeom.cdf(hits, total, members, count)),
        success=hits / count,
        control=prior,
        baseline=prior,
        description="Share of training records among the exposed records: those nearest to the synthetic table "
        "relative to their distance to real rows.",
        method=f"The first {count:,} of {total:,} records, ranked without membership; exact hypergeometric test.",
    )


def _rates_of(records: Records) -> tuple[float, ...]:
    return RATES_EXPOSED if records == "exposed" else RATES


def _compute_rate(records: Records, member_scores: Floats, control_scores: Floats, controls: int, fpr: float) -> Rate:
    """Compute a rate; for exposed records, which the attack itself selects, over all controls."""
    return (
        tpr_in_set(member_scores, control_scores, controls - len(control_scores), fpr)
        if records == "exposed"
        else tpr_at_fpr(member_scores, control_scores, fpr)
    )


def _result(
    name: str, records: Records, is_member: npt.NDArray[np.bool_], scores: Floats, rates: list[Rate]
) -> AttackResult:
    """Return the result of one attack on one set of records."""
    auc, (low, high) = delong_auc(is_member, scores)
    main = rates[1]
    tests = [mann_whitney_p_value(scores[is_member], scores[~is_member]), *(rate.p for rate in rates)]
    others = "all controls" if records == "exposed" else "controls"
    most_significant = int(np.argmin(tests))
    rate = rates[max(most_significant - 1, 0)]
    evidence = (
        f"AUC {auc:.3f}; 0.5 by chance"
        if most_significant == 0
        else f"{format_number(100 * rate.value, '%')} true positives at {100 * rate.fpr:g} % false positives"
    )
    percents = ", ".join(f"{100 * rate.fpr:g}" for rate in rates[:-1]) + f" and {100 * rates[-1].fpr:g} %"
    return AttackResult(
        name=f"{name}_{records}_tpr",
        group="membership",
        attack=TITLES[name],
        records=records,
        title=f"{TITLES[name]}, {records} records",
        value=100 * main.value,
        interval=(100 * main.interval[0], 100 * main.interval[1]),
        floor=100 * main.chance,
        p=bonferroni(tests),
        p_reverse=bonferroni(
            [
                mann_whitney_p_value(scores[~is_member], scores[is_member]),
                *(tpr_at_fpr(scores[~is_member], scores[is_member], fpr).p for fpr in _rates_of(records)),
            ]
        ),
        evidence=evidence,
        success=main.value,
        control=main.chance,
        baseline=main.chance,
        description=f"True-positive rate{' among the selected records' if records == 'exposed' else ''} where 1 % of "
        f"{others} are false positives; AUC {auc:.3f} ({low:.3f} to {high:.3f}).",
        method=f"{main.members:,} members and {main.controls:,} controls{EXPOSED_NOTE if records == 'exposed' else ''};"
        f" exact interval that includes the error of the threshold. Tests of the AUC and the rates at {percents}, "
        "corrected for their number.",
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


def _offset_distance(distance: Floats, scale: float) -> Floats:
    """Add a thousandth of the typical distance between real rows, so that no distance is zero."""
    return distance + 0.001 * (scale if scale > 0 else 1.0)


def _exposure(to_synthetic: Floats, to_reference: Floats, scale: float) -> Floats:
    """Return the log ratio of the distances to the nearest reference row and the nearest synthetic row."""
    return np.asarray(np.log(_offset_distance(to_reference, scale)) - np.log(_offset_distance(to_synthetic, scale)))


def _density_ratio(to_synthetic: Floats, to_reference: Floats, scale: float) -> Floats:
    """Return the log density ratio up to a factor and a constant, which do not change the ranks."""
    return np.asarray(
        np.log(_offset_distance(to_reference, scale)).mean(axis=1)
        - np.log(_offset_distance(to_synthetic, scale)).mean(axis=1)
    )


def _likelihood_ratio(
    game: MembershipGame, to_synthetic: Floats, nearest: npt.NDArray[np.int64], scale: float
) -> Floats:
    """Return log(1 + K(s, x) / sum_r K(s, r)) for the nearest synthetic row s, with K(d) = exp(-d / h)."""
    unique, index = np.unique(nearest[:, 0], return_inverse=True)
    width = scale / 10 if scale > 0 else 0.1
    distances, _ = find_nearest(game.points["synthetic"][unique], game.points["reference"], N_NEIGHBOURS)
    density = np.exp(-np.minimum(distances / width, 500)).sum(axis=1)[index]
    return np.asarray(np.log1p(np.exp(-np.minimum(to_synthetic[:, 0] / width, 500)) / density))


def _classifier(game: MembershipGame, rng: np.random.Generator) -> Floats:
    """Return the share of trees that classify each target as synthetic, shape (n,)."""
    count = min(len(game.synthetic), len(game.reference), MAX_CLASSIFIER_ROWS)
    sides = [table.take(rng.permutation(len(table))[:count]) for table in (game.synthetic, game.reference)]
    features = np.concatenate([np.nan_to_num(side.features(), nan=-1.0) for side in sides]).astype(np.float32)
    label = np.repeat([1, 0], count)
    trees = ExtraTreesClassifier(N_TREES, random_state=draw_seed(rng), n_jobs=1).fit(features, label)
    targets = [np.nan_to_num(table.features(), nan=-1.0) for table in (game.members, game.controls)]
    return np.asarray(trees.predict_proba(np.concatenate(targets).astype(np.float32))[:, 1], dtype=np.float64)


def _select_largest(values: Floats, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the indices of the largest values, ties broken at random."""
    shuffled = rng.permutation(len(values))
    chosen: npt.NDArray[np.int64] = shuffled[np.argsort(-values[shuffled], kind="stable")[:count]]
    return chosen
