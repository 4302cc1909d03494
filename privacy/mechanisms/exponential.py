"""The exponential mechanism."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import Read, as_exact_integers, hash_arrays


def exponential(
    read_scores: Read,
    *,
    sensitivity: int,
    ledger: PrivacyLedger,
    purpose: str,
    columns: Iterable[str],
    noise: Noise,
    epsilon: float | None = None,
    rho: float | None = None,
    monotone: bool = False,
) -> int:
    """Select a candidate by the exponential mechanism, with probability proportional to exp(eps s / 2 d).

    The candidate is sampled exactly, by rejection, so the run time depends on the scores.

    Args:
        read_scores: Returns a whole-number score for each candidate; their number is public.
        sensitivity: Maximum change of any score by one unit (d).
        ledger: The ledger; charged eps^2 / 8 of zCDP, by the bounded range of the mechanism (Cesar and Rogers, arXiv
            2004.07223, Lemma 3.4).
        purpose: Purpose of the selection, as recorded in the ledger.
        columns: The columns that the scores are of.
        noise: Source of randomness.
        epsilon: The mechanism's eps; give this or ``rho``.
        rho: The zCDP to spend, eps^2 / 8.
        monotone: Whether one more unit can only raise scores (or only lower them); then exp(eps s / d) costs the same.

    Raises:
        PrivacyError: The budget does not allow it (nothing was read), or the scores are not whole numbers.
    """
    if (epsilon is None) == (rho is None):
        raise PrivacyError("give either epsilon or rho")
    eps = math.sqrt(8 * rho) if rho is not None else float(epsilon or 0)
    if not (math.isfinite(eps) and eps > 0):
        raise PrivacyError(f"the exponential mechanism needs a finite epsilon above 0, not {eps!r}")
    if not (math.isfinite(sensitivity) and sensitivity > 0):
        raise PrivacyError(f"sensitivity must be a finite number above 0, not {sensitivity!r}")
    from dp_accounting.dp_event import ZCDpEvent

    event = ZCDpEvent(rho=eps * eps / 8 if rho is None else rho)
    entry = ledger.charge(event, purpose=purpose, columns=columns, sensitivity=sensitivity, rng=noise.kind)
    scores = as_exact_integers(read_scores()).ravel()
    chosen = noise.choose_exponential(scores.max() - scores, eps / sensitivity / (1 if monotone else 2))
    ledger.record(entry, hash_arrays([np.array([chosen])]))
    return chosen
