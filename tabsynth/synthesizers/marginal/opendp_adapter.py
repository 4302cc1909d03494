"""Adapter to OpenDP's AIM and MST, which select and measure marginals of tokens and fit a graphical model to them.

McKenna and others, "AIM: an adaptive and iterative mechanism" (arXiv 2201.12677) and "Winning the NIST contest" (arXiv
2108.04978). OpenDP samples noise from its own cryptographic source; the ledger is charged before OpenDP reads a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from tabsynth.common.arrays import Tokens
from tabsynth.errors import PrivacyError, missing_package
from tabsynth.privacy.mechanisms.noisy_counts import hash_arrays
from tabsynth.synthesizers.marginal.count_source import SPENDABLE_SHARE, CountSource, NoisyCounts, Reader
from tabsynth.synthesizers.marginal.graphical_model import GraphicalModel

ALGORITHMS = ("aim", "mst")

ONE_WAY_SHARE, MEASUREMENT_SHARE = 0.25, 0.875
"""Shares of OpenDP's budget for single columns and, of the rest, for counts instead of selection. These shares and a
rho of few binary digits keep OpenDP's sums exact; rounding could otherwise exceed the budget, which OpenDP refuses."""

N_RHO_DIGITS = 20
"""Maximum number of binary digits of rho."""

MST_SLACK = 2.0**-40
"""Relative slack of MST's selection budget. OpenDP leaves one unit of rounding for the sum of all selections, which it
rounds up: with nine columns and more, the sum then exceeds the budget and is refused."""

MAX_MODEL_MB = 4.0
"""Maximum size of the graphical model that AIM may select."""


def require_opendp() -> Any:
    """Import OpenDP.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import mbi  # noqa: F401
        import opendp.prelude as dp
        import polars  # noqa: F401
    except ImportError as error:
        raise missing_package("method='aim' or 'mst'", "opendp", "opendp") from error
    dp.enable_features("contrib")
    return dp


def check_source(source: CountSource) -> NoisyCounts:
    """Check that OpenDP can spend from a source, and return it.

    Raises:
        PrivacyError: The fit is exact or its noise is seeded, which OpenDP does not support.
    """
    if not isinstance(source, NoisyCounts) or not source.noise.is_secure:
        raise PrivacyError(
            "OpenDP draws its noise itself: the methods 'aim' and 'mst' need privacy= and take no insecure_seed; "
            "use method='mixture'"
        )
    return source


def release_model(
    method: str, sizes: Sequence[int], tokens: Reader, source: NoisyCounts, share: float, names: Sequence[str]
) -> GraphicalModel:
    """Release a graphical model of tokens for one charge.

    Args:
        method: ``aim`` or ``mst``.
        sizes: Tokens of each column.
        tokens: Function that reads the tokens of all rows, shape (n, columns).
        source: The source whose ledger is charged.
        share: Share of the budget to spend.
        names: The columns' names, for the ledger.
    """
    from dp_accounting.dp_event import ZCDpEvent

    require_opendp()
    rho = _round_rho(SPENDABLE_SHARE * share * source.rho)
    entry = source.ledger.charge(
        ZCDpEvent(rho=rho),
        purpose=f"OpenDP's {method.upper()} on all columns",
        columns=list(names),
        sensitivity=source.max_rows_per_unit,
        rng="OpenDP, a cryptographic source",
    )
    released = run_opendp(method, sizes, tokens(), rho, source.max_rows_per_unit)
    source.ledger.record(entry, hash_arrays(released.tables))
    return released


def run_opendp(method: str, sizes: Sequence[int], tokens: Tokens, rho: float, max_rows_per_unit: int) -> GraphicalModel:
    """Run OpenDP on charged tokens; its other arguments are public."""
    dp = require_opendp()
    import polars as pl

    slots = [f"s{i:05d}" for i in range(len(sizes))]
    context = dp.Context.compositor(
        data=pl.DataFrame(dict(zip(slots, tokens.T.astype(np.int64), strict=True))).lazy(),
        privacy_unit=dp.unit_of(contributions=max_rows_per_unit),
        privacy_loss=dp.loss_of(rho=rho),
        split_evenly_over=1,
    )
    shares = {"measure_split": MEASUREMENT_SHARE, "oneway_split": ONE_WAY_SHARE}
    algorithm = (
        dp.mbi.AIM(queries=2, max_size=MAX_MODEL_MB, rounds=2 * len(sizes), **shares)
        if method == "aim" or len(sizes) == 1  # MST divides by its number of pairs
        else dp.mbi.MST(**shares)
    )
    keys = {slot: list(range(size)) for slot, size in zip(slots, sizes, strict=True)}
    with _mst_slack():
        model = context.query().contingency_table(keys=keys, algorithm=algorithm).release().model
    return _graphical_model(model, slots, sizes)


@contextmanager
def _mst_slack() -> Iterator[None]:
    """Replace the next smaller number, by which OpenDP's MST reduces its selection budget, by a smaller one."""
    mst: Any = import_module("opendp.extras.mbi._mst")
    original = mst.prior
    mst.prior = lambda budget: budget * (1 - MST_SLACK)
    try:
        yield
    finally:
        mst.prior = original


def _graphical_model(model: Any, slots: Sequence[str], sizes: Sequence[int]) -> GraphicalModel:
    """Convert OpenDP's model, without the cell that it adds to every column for missing values."""
    columns, tables = [], []
    for clique in model.potentials.cliques:
        factor = model.potentials[clique]
        at = [slots.index(name) for name in factor.domain.attributes]
        order = np.argsort(at)
        clique_columns = tuple(int(at[i]) for i in order)
        logs = np.asarray(factor.values, np.float64).transpose(order)[tuple(slice(sizes[i]) for i in clique_columns)]
        columns.append(clique_columns)
        tables.append(np.exp(logs - logs.max()))
    for i in sorted(set(range(len(sizes))) - {i for clique_columns in columns for i in clique_columns}):
        columns.append((i,))
        tables.append(np.ones(sizes[i]))
    return GraphicalModel(tuple(sizes), tuple(columns), tuple(tables))


def _round_rho(rho: float) -> float:
    """Round down to ``N_RHO_DIGITS`` binary digits."""
    mantissa, exponent = math.frexp(rho)
    return math.ldexp(math.floor(math.ldexp(mantissa, N_RHO_DIGITS)), exponent - N_RHO_DIGITS)
