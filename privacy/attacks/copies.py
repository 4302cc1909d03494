"""Exact and near copies, smoke tests for memorisation, and k-map counts of quasi-identifiers.

Copies are attacks: they compare how often training records and control records occur in the synthetic table. The
distance to the closest record (DCR) and its ratio to the distance of the second closest (NNDR; both after Zhao, Kunar,
Birke, Chen, "CTAB-GAN", 2021) are smoke tests for memorisation and do not measure privacy: they miss leaks of few
records (Yao et al., "The DCR delusion", 2025). The k-map counts follow Sweeney ("k-anonymity", 2002) and El Emam and
Dankar ("Protecting privacy using k-anonymity", JAMIA 2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.common.binomial import wilson
from tabsynth.evaluation.metrics.memorisation import memorisation_scores
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import AttackResult, compare_rates
from tabsynth.privacy.attacks.holdout_overlap import round_significant
from tabsynth.privacy.attacks.membership import TargetScores
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest

NEAR_COPY_QUANTILE = 0.01
"""Quantile of the targets' distances to the reference rows; a near copy has a synthetic row within that distance."""

MAX_SMOKE_ROWS = 4_000
KMAP_BINS = (("none", 0, 0), ("1", 1, 1), ("2 to 4", 2, 4), ("5 to 10", 5, 10), ("more than 10", 11, None))
"""Sizes of the groups of training records that share a synthetic row's quasi-identifiers."""


def attack_copies(
    game: MembershipGame, attacks: TargetScores, holdout: EncodedTable, synthetic: EncodedTable
) -> list[AttackResult]:
    """Compare the shares of training and held-out records that occur in the synthetic table.

    Args:
        game: The attacked rows.
        attacks: Distances of the targets to their nearest rows.
        holdout: All held-out rows, because exact copies need no reference rows.
        synthetic: All synthetic rows.
    """
    synthetic_points = np.unique(hash_rows(synthetic))
    exact = [np.isin(hash_rows(table), synthetic_points) for table in (game.train, holdout)]
    close = attacks.to_synthetic <= np.quantile(attacks.to_reference, NEAR_COPY_QUANTILE)
    near = [close[game.is_member], close[~game.is_member]]
    return [
        _result("copies_exact", "Exact copies", exact, "occur in the synthetic table"),
        _result(
            "copies_near",
            "Near copies",
            near,
            f"have a synthetic row nearer than {NEAR_COPY_QUANTILE:.0%} of records have a real one",
        ),
    ]


def score_smoke_tests(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable, game: MembershipGame, rng: np.random.Generator
) -> list[Score]:
    """Compute the DCR and NNDR scores, labelled as smoke tests."""
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
            title="Nearest-neighbour distance ratio",
            value=100 * wins / len(synthetic_points),
            interval=(100 * low, 100 * high),
            better="target",
            target=50.0,
            floor=50.0,
            unit="%",
            description="Synthetic rows whose ratio of the distances to the nearest and second nearest row is smaller "
            "among training rows than among held-out rows; 50 % without memorisation.",
            method=f"{len(synthetic_points):,} synthetic rows; Wilson interval over them. {warning}",
        ),
    ]


def count_kmap(game: MembershipGame, columns: list[str]) -> dict[str, Any]:
    """Count the training records that share the quasi-identifiers of each synthetic row and of each control.

    Returns:
        ``columns``; for ``synthetic`` and ``controls`` the percentage of rows by size of the group; ``unique``, the
        number of members with unique quasi-identifiers, and ``unique_met``, the percentage of them that share theirs
        with a synthetic row.
    """
    indices = [game.train.encoding.names.index(name) for name in columns]
    members, controls, synthetic_points = (
        _hash_columns(table, indices) for table in (game.members, game.controls, game.synthetic)
    )
    sizes = pd.Series(members).value_counts()
    out: dict[str, Any] = {"columns": columns}
    for name, rows in (("synthetic", synthetic_points), ("controls", controls)):
        count = pd.Series(rows).map(sizes).fillna(0).to_numpy()
        out[name] = {
            label: 100 * float(((count >= low) & (count <= (np.inf if high is None else high))).mean())
            for label, low, high in KMAP_BINS
        }
    unique = sizes[sizes == 1].index.to_numpy()
    out["unique"] = len(unique)
    out["unique_met"] = 100 * float(np.isin(unique, synthetic_points).mean()) if len(unique) else 0.0
    return out


def hash_rows(table: EncodedTable) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of every row, shape (n,)."""
    discrete = table.codes[:, ~table.encoding.continuous]
    frame = pd.concat(
        [pd.DataFrame(discrete), pd.DataFrame(round_significant(table.values))], axis=1, ignore_index=True
    )
    return np.asarray(pd.util.hash_pandas_object(frame, index=False).to_numpy(), dtype=np.uint64)


def _hash_columns(table: EncodedTable, indices: list[int]) -> npt.NDArray[np.uint64]:
    """Return a hash of some columns of each row, with numbers as bins, shape (n,)."""
    codes: Integers = table.codes[:, indices]
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(codes), index=False).to_numpy(), dtype=np.uint64)


def _result(name: str, title: str, is_copy: list[npt.NDArray[np.bool_]], predicate: str) -> AttackResult:
    rates = compare_rates(*is_copy)
    a, n, b, m = rates["counts"]
    return AttackResult(
        name=name,
        group="copies",
        attack=title,
        records="random",
        title=title,
        **rates,
        baseline=rates["control"],
        description=f"Share of training records that {predicate} minus that of held-out records.",
        method=f"{a:,} of {n:,} training and {b:,} of {m:,} held-out records; Newcombe interval, Fisher's exact test.",
    )
