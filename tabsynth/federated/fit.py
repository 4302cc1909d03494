"""Fit the private mixture to the rows of several sites, from noisy sums of their counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.federated.plan import FederatedPlan
from tabsynth.federated.replicated_fit import Query, run_fit
from tabsynth.federated.secure_sum import SecureSum
from tabsynth.federated.transport import Transport
from tabsynth.privacy.mechanisms.distributed_noise import charge_summed_counts
from tabsynth.synthesizers.card_facts import count_repairs
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer


def fit_federated(plan: FederatedPlan, transport: Transport, *, progress: bool | None = None) -> MarginalSynthesizer:
    """Run the fit at the coordinator, which has no rows and receives no counts of a single site.

    Its model's ledger repeats what each site was charged. A site that is lost after it gave its vector costs nothing;
    one that is lost earlier leaves the fit, and later counts are scaled to the rows of the first round.

    Args:
        plan: The plan, equal at every site.
        transport: Reaches the sites.
        progress: Whether to show a progress bar; by default one on a terminal, for work of over two seconds.

    Raises:
        SiteLostError: Too few sites are left; their ledgers contain the rounds that they answered.
        PrivacyError: A site refuses: another plan, or a budget that is spent.
    """
    secure = SecureSum(plan, transport)
    privacy = plan.privacy().opened()
    history: list[list[Floats]] = []
    first_rows = 0.0

    def answer(query: Query) -> list[Floats]:
        nonlocal first_rows
        sizes = [len(read()) for read in query.reads]  # of an empty table
        charge_summed_counts(
            sigmas=query.sigmas(plan),
            parts=plan.parts,
            sensitivity=plan.max_rows_per_unit,
            ledger=privacy.open_ledger,
            purpose=f"{query.purpose}, summed over sites",
            columns=query.columns,
            rng="the sites' own",
        )
        before = history[-1] if history else []
        sums = secure.run_round(len(history), query.digest(), sizes, before)
        rows = _typical_total(sums)
        first_rows = first_rows or rows
        factor = first_rows / rows if len(secure.roster) < len(plan.sites) and history and rows > 1 else 1.0
        history.append([part.astype(np.float64) * factor for part in sums])
        return history[-1]

    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in plan.schema})
    try:
        model = run_fit(plan, empty, privacy, answer, progress=progress)
    finally:
        secure.end()
        privacy.open_ledger.settle()
    model._constraint_facts = {"repaired": count_repairs(model)}
    return MarginalSynthesizer.from_file(model.to_file())


def _typical_total(sums: list[Integers]) -> float:
    """Return the median total of the histograms among vectors of counts; 0 where all are single numbers."""
    totals = [float(part.sum()) for part in sums if len(part) > 1]
    return float(np.median(totals)) if totals else 0.0
