"""More rows where a table has few: classes and groups brought to equal shares, or groups to equal rates of a class.

``oversample`` and ``balanced_sample`` draw the rows that are lacking from a fitted model, under conditions. ``smote``
and ``mixup`` need no model: they interpolate between rows that are there, and are no more private than those rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.augment.class_balance import Cells, Goal, columns, lacking, matching, rounded
from tabsynth.augment.smote_mixup import interpolate, mixup, rekeyed
from tabsynth.common.validation import checked_seed, fresh_seed
from tabsynth.data.table import Table
from tabsynth.errors import DataError, InputError, quote
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.base import Synthesizer

__all__ = ["Augmented", "Goal", "balanced_sample", "lacking", "mixup", "oversample", "smote"]


POOL = 4
"""A balanced sample picks from so many plain rows for each of its own before it draws under conditions."""


@dataclass(frozen=True, eq=False)
class Augmented:
    """A real table with synthetic rows after its own.

    Attributes:
        frame: The real rows in their order, then the synthetic ones.
        synthetic: Which rows are synthetic, shape (n,).
        counts: One row for each class (of each group): ``rows`` it had, ``add`` it got; see ``lacking``.
    """

    frame: pd.DataFrame
    synthetic: npt.NDArray[np.bool_]
    counts: pd.DataFrame


def oversample(
    model: Synthesizer,
    data: pd.DataFrame | Table | str | Path,
    *,
    target: str,
    by: str | Sequence[str] | None = None,
    to: Goal = "equal_shares",
    seed: int | None = None,
) -> Augmented:
    """Add rows drawn by a model until classes, or groups, are balanced.

    Each added row is drawn given its class and group (and nothing else), so the real rows stay as they are and what the
    table says within a class of a group stays too.

    Args:
        model: A fitted model of such tables that samples under conditions.
        data: The rows to add to.
        target: The column of classes.
        by: Columns that make the groups.
        to: ``equal_shares`` brings every class (of every group) to as many rows as the largest; ``equal_rates`` brings
            the classes of every group to the shares that they have in the whole table, the equal base rates of
            fairness by group. Rows whose class or group is missing are kept, and count for nothing.
        seed: Seed of the draws; the same seed adds the same rows.

    Returns:
        The table, which of its rows are synthetic, and how many were added where.

    Raises:
        InputError: A column is not one of categories, or there is nothing to balance.
        ConditionError: The model cannot draw a class or group, or no conditions at all.
    """
    table = Table.of(data, model.schema_ if not isinstance(data, Table) else None)
    plan = lacking(table.frame, target=target, by=by, to=to, schema=table.schema)
    seeds = _seeds(seed, len(plan) + 1)
    drawn = _draw(model, plan, seeds)
    return _joined(table, drawn, plan, np.random.default_rng(seeds[-1]))


def balanced_sample(
    model: Synthesizer,
    n: int,
    *,
    target: str,
    by: str | Sequence[str],
    shares: Literal["own", "equal"] = "own",
    classes: Mapping[Any, float] | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    """A wholly synthetic table in which every group has the same share of every class.

    The reweighing of Kamiran and Calders ("Data preprocessing techniques for classification without discrimination",
    Knowledge and Information Systems 33, 2012, section 4.3) done by drawing: the joint share of a group and a class
    becomes the product of the two. The rows are picked from four times as many plain ones; what is lacking then is
    drawn given class and group. Within a class of a group nothing changes, so other columns may still tell the group:
    measure what a classifier makes of it with ``tabsynth.evaluation.augmentation.parity_scores``.

    Args:
        model: A fitted model that samples under conditions.
        n: Number of rows.
        target: The column of classes.
        by: Columns that make the groups.
        shares: ``own`` keeps the model's shares of the groups, ``equal`` makes all groups as large.
        classes: The share of each class in every group; by default the mean of the model's shares over the groups.
        seed: Seed of the draws; the same seed gives the same rows.

    Raises:
        InputError: A column is not one of categories, or ``n`` rows cannot hold every class of every group.
        ConditionError: The model cannot draw a class or group, or no conditions at all.
    """
    if shares not in ("own", "equal"):
        raise InputError(f"shares must be 'own' or 'equal', not {shares!r}")
    first, seed = _seeds(seed, 2)
    plain = model.sample(POOL * n, seed=first)
    names = columns(target, by, model.schema_)
    plain = plain[plain[names].notna().all(axis=1)]
    had = Cells.count(plain, names)
    size = had.rows.sum(axis=1, keepdims=True)
    groups = np.ones(size.shape) if shares == "equal" else size
    own = (groups * had.rows / size).sum(axis=0) / groups.sum()  # in a table with groups of this size
    share = own if classes is None else _shares(classes, had)
    wanted = rounded(n * groups / groups.sum() * share)
    if (wanted == 0).any():
        raise DataError(f"{n} rows cannot hold every class of every group of {quote(names)}; draw more rows")
    plan = had.plan(wanted)
    keep = [matching(plain, names, cell).iloc[: int(cell["rows"] + cell["add"])] for _, cell in plan.iterrows()]
    plan["add"] = plan["add"].clip(lower=0)
    seeds = _seeds(seed, len(plan) + 1)
    rng = np.random.default_rng(seeds[-1])
    rows = _stacked([*keep, _draw(model, plan, seeds)])
    rows = rows.iloc[rng.permutation(len(rows))].reset_index(drop=True)
    return rekeyed(rows, model.schema_, plain, rng)


def smote(
    data: pd.DataFrame | Table | str | Path,
    *,
    target: str,
    by: str | Sequence[str] | None = None,
    to: Goal = "equal_shares",
    neighbours: int = 5,
    schema: Schema | None = None,
    seed: int | None = None,
) -> Augmented:
    """Add rows between neighbours of the same class until classes, or groups, are balanced; no model is needed.

    SMOTE-NC of Chawla, Bowyer, Hall and Kegelmeyer ("SMOTE: synthetic minority over-sampling technique", Journal of
    Artificial Intelligence Research 16, 2002), by the package imbalanced-learn. Numbers lie between those of two
    neighbours, on the column's decimals; categories, and whether a cell is missing, are those of most neighbours.

    **This gives no privacy.** The rows interpolate real people: each lies between two of them. Keep the result as
    protected as the data, and use ``oversample`` with a model where that will not do.

    Args:
        data: The rows to add to.
        target: The column of classes.
        by: Columns that make the groups.
        to: As in ``oversample``.
        neighbours: Among how many nearest rows of its class (and group) a row is paired; fewer where there are fewer.
        schema: What the columns are; by default the table's own, or inferred.
        seed: Seed of the pairs; the same seed adds the same rows.

    Raises:
        InputError: A column is not one of categories, or a class to be filled has fewer than two rows.
        MissingDependencyError: imbalanced-learn is not installed.
    """
    table = Table.of(data, schema)
    plan = lacking(table.frame, target=target, by=by, to=to, schema=table.schema)
    names = columns(target, by, table.schema)
    rng = np.random.default_rng(_seeds(seed, 1)[0])
    parts = [(matching(table.frame, names, cell), int(cell["add"])) for _, cell in plan.iterrows()]
    drawn = interpolate(table, parts, names, neighbours, rng)
    return _joined(table, drawn, plan, rng)


def _shares(classes: Mapping[Any, float], had: Cells) -> npt.NDArray[np.float64]:
    """The wanted share of each class, checked."""
    if set(classes) != set(had.classes):
        raise InputError(f"classes must give a share to each of {quote(had.classes)}, not to {quote(classes)}")
    share = np.array([classes[value] for value in had.classes], dtype=np.float64)
    if not (share > 0).all() or abs(share.sum() - 1) > 1e-6:
        raise InputError(f"the shares of the classes must be above 0 and sum to 1, not {dict(classes)!r}")
    return share


def _draw(model: Synthesizer, plan: pd.DataFrame, seeds: list[int]) -> pd.DataFrame:
    """What the plan adds, drawn cell by cell: given as a mapping, so that a value unknown to the model is refused."""
    names = list(plan.columns[:-2])
    parts = [
        model.sample(int(cell["add"]), given={name: cell[name] for name in names}, seed=seeds[i], progress=False)
        for i, (_, cell) in enumerate(plan.iterrows())
        if cell["add"] > 0
    ]
    return _stacked(parts) if parts else pd.DataFrame(columns=list(model.schema_))


def _joined(table: Table, drawn: pd.DataFrame, plan: pd.DataFrame, rng: np.random.Generator) -> Augmented:
    """Real rows, then synthetic ones with identifiers that no real row has."""
    drawn = rekeyed(drawn.reset_index(drop=True)[list(table.frame.columns)], table.schema, table.frame, rng)
    frame = _stacked([table.frame, drawn]) if len(drawn) else table.frame.copy()
    return Augmented(frame, np.arange(len(frame)) >= len(table), plan)


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames of the same columns below each other, categories joined, in the first one's types where they hold."""
    frames = [frame for frame in frames if len(frame)]
    out = pd.concat(frames, ignore_index=True)
    for name in out.columns:
        kind = frames[0][name].dtype
        if isinstance(kind, pd.CategoricalDtype) and out[name].dtype != kind:
            values = list(dict.fromkeys(value for frame in frames for value in frame[name].cat.categories))
            out[name] = pd.Categorical(out[name], categories=values, ordered=bool(kind.ordered))
    return out


def _seeds(seed: int | None, count: int) -> list[int]:
    """Seeds that differ from each other, all from one."""
    start = fresh_seed() if seed is None else checked_seed(seed)
    return [int(value) >> 1 for value in np.random.SeedSequence(start).generate_state(count, np.uint64)]
