"""Copies, near copies, smoke tests for memorisation, and k-map counts of quasi-identifiers.

Exact and near copies are attacks: a training record that occurs in the synthetic table, against records that were
not learned. The distance to the closest record (DCR) and its ratio to the second (NNDR; both after Zhao, Kunar, Birke,
Chen, "CTAB-GAN", 2021) are smoke tests for memorisation, no measure of privacy: they miss leaks that touch few records
(Yao et al., "The DCR delusion", 2025). The k-map counts follow Sweeney ("k-anonymity", 2002) and El Emam and Dankar
("Protecting privacy using k-anonymity", JAMIA 2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.common.binomial import newcombe, wilson
from tabsynth.evaluation.metrics.memorisation import memorisation_scores
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.holdout_overlap import round_significant
from tabsynth.privacy.attacks.membership import TargetScores
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest
from tabsynth.privacy.attacks.rate_tests import fisher_p_value

NEAR_COPY_QUANTILE = 0.01
"""A near copy lies nearer to a synthetic row than this share of all records lies to a reference row."""

MAX_SMOKE_ROWS = 4_000
KMAP_BINS = (("none", 0, 0), ("1", 1, 1), ("2 to 4", 2, 4), ("5 to 10", 5, 10), ("more than 10", 11, None))
"""Sizes of the groups of training records that share a synthetic row's quasi-identifiers."""


def attack_copies(
    game: MembershipGame, attacks: TargetScores, holdout: EncodedTable, synthetic: EncodedTable
) -> list[Finding]:
    """Compare the shares of training and held-out records that occur in the synthetic table.

    Args:
        game: The rows attacked.
        attacks: Their distances to the nearest rows.
        holdout: All held-out rows: an exact copy needs no reference.
        synthetic: All synthetic rows.
    """
    synthetic_points = np.unique(hash_rows(synthetic))
    exact = [np.isin(hash_rows(table), synthetic_points) for table in (game.train, holdout)]
    close = attacks.to_synthetic <= np.quantile(attacks.to_reference, NEAR_COPY_QUANTILE)
    near = [close[game.is_member], close[~game.is_member]]
    return [
        _finding("copies_exact", "Exact copies", exact, "occur in the synthetic table"),
        _finding(
            "copies_near",
            "Near copies",
            near,
            f"have a synthetic row nearer than {NEAR_COPY_QUANTILE:.0%} of records have a real one",
        ),
    ]


def score_smoke_tests(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable, game: MembershipGame, rng: np.random.Generator
) -> list[Score]:
    """Return the DCR and NNDR, labelled as smoke tests."""
    dcr = memorisation_scores(train, synthetic, holdout, rng)[0]
    synthetic_points = game.points["synthetic"][:MAX_SMOKE_ROWS]
    ratios = []
    for name in ("members", "controls"):
        distance = find_nearest(synthetic_points, game.points[name], 2)[0]
        ratios.append(np.where(distance[:, 1] > 0, distance[:, 0] / np.where(distance[:, 1] > 0, distance[:, 1], 1), 1))
    wins = float((ratios[0] < ratios[1]).sum() + 0.5 * (ratios[0] == ratios[1]).sum())
    low, high = wilson(wins, len(synthetic_points))
    warning = "A smoke test for memorisation, not a measure of privacy."
    return [
        Score.from_dict({**dcr.to_dict(), "name": "smoke_dcr_share", "method": f"{dcr.method} {warning}"}),
        Score(
            name="smoke_nndr_share",
            title="Closer call with training",
            value=100 * wins / len(synthetic_points),
            interval=(100 * low, 100 * high),
            better="target",
            target=50.0,
            floor=50.0,
            unit="%",
            description="Synthetic rows whose nearest training row is more distinct among training rows (NNDR) than "
            "the nearest held-out row does among held-out rows; 50 % if none was memorised.",
            method=f"{len(synthetic_points):,} synthetic rows; Wilson interval over them. {warning}",
        ),
    ]


def count_kmap(game: MembershipGame, columns: list[str]) -> dict[str, Any]:
    """Count the training records that share the quasi-identifiers of a synthetic row, and of controls.

    Returns:
        ``columns``, and for ``synthetic`` and ``controls`` the share of rows by size of the group, in percent;
        ``unique`` counts the members that are alone with theirs, ``unique_met`` the share of them that a synthetic row
        meets.
    """
    at = [game.train.encoding.names.index(name) for name in columns]
    members, controls, synthetic_points = (
        _hash_columns(table, at) for table in (game.members, game.controls, game.synthetic)
    )
    sizes = pd.Series(members).value_counts()
    out: dict[str, Any] = {"columns": columns}
    for name, rows in (("synthetic", synthetic_points), ("controls", controls)):
        count = pd.Series(rows).map(sizes).fillna(0).to_numpy()
        out[name] = {
            label: 100 * float(((count >= low) & (count <= (np.inf if high is None else high))).mean())
            for label, low, high in KMAP_BINS
        }
    alone = sizes[sizes == 1].index.to_numpy()
    out["unique"] = len(alone)
    out["unique_met"] = 100 * float(np.isin(alone, synthetic_points).mean()) if len(alone) else 0.0
    return out


def hash_rows(table: EncodedTable) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of every row, shape (n,)."""
    discrete = table.codes[:, ~table.encoding.continuous]
    frame = pd.concat(
        [pd.DataFrame(discrete), pd.DataFrame(round_significant(table.values))], axis=1, ignore_index=True
    )
    return np.asarray(pd.util.hash_pandas_object(frame, index=False).to_numpy(), dtype=np.uint64)


def _hash_columns(table: EncodedTable, columns: list[int]) -> npt.NDArray[np.uint64]:
    """Return a hash of some columns' codes, a number by its bin, shape (n,)."""
    codes: Integers = table.codes[:, columns]
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(codes), index=False).to_numpy(), dtype=np.uint64)


def _finding(name: str, title: str, found: list[npt.NDArray[np.bool_]], what: str) -> Finding:
    a, n, b, m = int(found[0].sum()), len(found[0]), int(found[1].sum()), len(found[1])
    low, high = newcombe(a, n, b, m)
    return Finding(
        name=name,
        group="copies",
        attack=title,
        records="random",
        title=title,
        value=100 * (a / n - b / m),
        interval=(100 * low, 100 * high),
        floor=0.0,
        p=fisher_p_value(a, n, b, m),
        p_reverse=fisher_p_value(b, m, a, n),
        counts=(a, n, b, m),
        success=a / n,
        control=b / m,
        baseline=b / m,
        description=f"Training records that {what}, less the same share of others.",
        method=f"{a:,} of {n:,} training and {b:,} of {m:,} held-out records; Newcombe interval, Fisher's exact test.",
    )
