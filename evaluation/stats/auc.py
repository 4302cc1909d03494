"""Area under the ROC curve (AUC) with confidence intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from tabsynth.common.arrays import Floats


def delong_auc(
    positive: npt.NDArray[np.bool_],
    score: Floats,
    n_compared: int = 1,
    folds: int | None = None,
    linear: bool = False,
) -> tuple[float, tuple[float, float]]:
    """Return the AUC and its 95 % interval by DeLong's variance on the logit scale, which keeps it between 0 and 1.

    Fast form: Sun and Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 21 (2014),
    equations 9 to 13. If the variance is zero (complete separation, or few rows) the interval follows the rule of
    three: an event that is not observed in m rows has a rate of at most 3 / m.

    Args:
        positive: Rows of the positive class, shape (n,); both classes must occur.
        score: Higher for rows predicted positive, shape (n,).
        n_compared: Number of AUCs of which this is the largest. If none of them differs from 0.5, only the lower end
            can err, for any of them; if one differs much, only its upper end can. The lower end therefore gets a
            Bonferroni share of the 5 %, and the upper end the rest.
        folds: Number of folds of a cross-validated score. Training rows add variance that held-out rows do not show,
            so the variance is increased by the ratio of held-out to training rows (after Nadeau and Bengio, "Inference
            for the generalization error", Machine Learning 52, 2003).
        linear: Whether the models of the folds are linear. Under the null hypothesis the gain of such a model of one
            fold on another equals the gain in the reverse direction, so the variance is twice that of held-out rows.
    """
    x, y = score[positive], score[~positive]
    m, n = len(x), len(y)
    ranks = rankdata(np.concatenate([x, y]))
    positive_placements = (ranks[:m] - rankdata(x)) / n  # share of negatives below each positive
    below = 1 - (ranks[m:] - rankdata(y)) / m
    auc = float(positive_placements.mean())
    variance = (positive_placements.var(ddof=1) / m if m > 1 else 0.0) + (below.var(ddof=1) / n if n > 1 else 0.0)
    variance *= 1.0 if folds is None else 2.0 if linear else 1 + 1 / (folds - 1)
    if variance <= 0 or not 0 < auc < 1:
        slack = 3 / max(min(m, n), 3)
        return auc, (max(0.0, auc - slack), min(1.0, auc + slack))
    rate = 0.05 / max(n_compared, 2)
    down, up = (float(norm.isf(each)) * variance**0.5 / (auc * (1 - auc)) for each in (rate, 0.05 - rate))
    centre = np.log(auc / (1 - auc))
    return auc, (float(1 / (1 + np.exp(down - centre))), float(1 / (1 + np.exp(-up - centre))))


def weighted_auc(positive: npt.NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Return the AUC for several weightings of the same rows, such as bootstrap weights; ties count half.

    Args:
        positive: Rows of the positive class, shape (n,).
        score: Shape (n,).
        weights: Weights of the rows, shape (b, n).

    Returns:
        AUCs of shape (b,); NaN if a class has no weight.
    """
    positives, negatives = np.flatnonzero(positive), np.flatnonzero(~positive)
    negatives = negatives[np.argsort(score[negatives], kind="stable")]
    below, upto = (np.searchsorted(score[negatives], score[positives], side) for side in ("left", "right"))
    out, running = np.empty(len(weights)), np.zeros(len(negatives) + 1)
    for i, drawn in enumerate(weights):  # one at a time, so that the running sums stay in the cache
        np.cumsum(drawn[negatives], out=running[1:])
        up = drawn[positives]
        pairs = up.sum() * running[-1]
        out[i] = up @ (running[below] + running[upto]) / (2 * pairs) if pairs else np.nan
    return out
