"""Oversampling of small classes and groups.

``oversample`` and ``balanced_sample`` sample the missing rows from a fitted model. ``smote`` and ``mixup`` need no
model: they interpolate between real rows, and are no more private than those rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.augment.class_balance import CellCounts, Goal, balance_columns, balance_plan, round_to_total, select_cell
from tabsynth.augment.smote_mixup import interpolate, mixup, replace_identifiers
from tabsynth.common.validation import random_seed, validate_seed
from tabsynth.data.table import Table, TableLike
from tabsynth.errors import DataError, InputError, quote
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.base import Synthesizer

__all__ = ["Augmented", "Goal", "balance_plan", "balanced_sample", "mixup", "oversample", "smote"]

POOL_FACTOR = 4
"""Unconditional candidates per row of a balanced sample; conditional sampling fills what they leave open."""


@dataclass(frozen=True, eq=False)
class Augmented:
    """A real table with synthetic rows after its own.

    Attributes:
        frame: The real rows in their order, then the synthetic ones.
        synthetic: True for synthetic rows, shape (n,).
        counts: One row per class (of each group): the ``rows`` it had, and how many were added (``add``).
    """

    frame: pd.DataFrame
    synthetic: npt.NDArray[np.bool_]
    counts: pd.DataFrame


def oversample(
    model: Synthesizer,
    data: TableLike,
    *,
    target: str,
    by: str | Sequence[str] | None = None,
    to: Goal = "equal_shares",
    seed: int | None = None,
) -> Augmented:
    """Add rows sampled from a model until classes, or groups, are balanced.

    Each added row is sampled given its class and group only. Real rows are unchanged, and so are the distributions
    within a class of a group.

    Args:
        model: A fitted model of the table that samples under conditions.
        data: The table to add to.
        target: The column of classes.
        by: The columns that define the groups.
        to: ``equal_shares`` brings every class (of every group) to the size of the largest; ``equal_rates`` gives the
            classes of every group the shares that they have in the whole table (equal base rates). Rows whose class or
            group is missing are kept and not counted.
        seed: Seed of the sampling.

    Raises:
        InputError: A column is not categorical, or has fewer than two classes.
        ConditionError: The model cannot sample a class or group, or takes no conditions.
    """
    table = Table.of(data, model.schema_ if not isinstance(data, Table) else None)
    plan = balance_plan(table.frame, target=target, by=by, to=to, schema=table.schema)
    seeds = _seeds(seed, len(plan) + 1)
    drawn = _sample_cells(model, plan, seeds)
    return _append_rows(table, drawn, plan, np.random.default_rng(seeds[-1]))


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
    """Return a synthetic table in which every group has the same share of every class.

    The reweighing of Kamiran and Calders ("Data preprocessing techniques for classification without discrimination",
    Knowledge and Information Systems 33, 2012, section 4.3) by sampling: group and class become independent. Within a
    class of a group nothing changes, so other columns may still reveal the group: measure a classifier's parity with
    ``tabsynth.evaluation.augmentation.parity_scores``.

    Args:
        model: A fitted model that samples under conditions.
        n: Number of rows.
        target: The column of classes.
        by: The columns that define the groups.
        shares: ``own`` keeps the model's shares of the groups, ``equal`` makes all groups equally large.
        classes: The share of each class in every group; by default the mean of the model's shares over the groups.
        seed: Seed of the sampling.

    Raises:
        InputError: A column is not categorical, or ``n`` rows cannot hold every class of every group.
        ConditionError: The model cannot sample a class or group, or takes no conditions.
    """
    if shares not in ("own", "equal"):
        raise InputError(f"shares must be 'own' or 'equal', not {shares!r}")
    first, seed = _seeds(seed, 2)
    plain = model.sample(POOL_FACTOR * n, seed=first)
    names = balance_columns(target, by, model.schema_)
    plain = plain[plain[names].notna().all(axis=1)]
    had = CellCounts.count(plain, names)
    size = had.rows.sum(axis=1, keepdims=True)
    groups = np.ones(size.shape) if shares == "equal" else size
    own = (groups * had.rows / size).sum(axis=0) / groups.sum()
    share = own if classes is None else _class_shares(classes, had)
    wanted = round_to_total(n * groups / groups.sum() * share)
    if (wanted == 0).any():
        raise DataError(f"n={n} rows cannot hold every class of every group of {quote(names)}; increase n")
    plan = had.plan(wanted)
    keep = [select_cell(plain, names, cell).iloc[: int(cell["rows"] + cell["add"])] for _, cell in plan.iterrows()]
    plan["add"] = plan["add"].clip(lower=0)
    seeds = _seeds(seed, len(plan) + 1)
    rng = np.random.default_rng(seeds[-1])
    rows = _concat([*keep, _sample_cells(model, plan, seeds)])
    rows = rows.iloc[rng.permutation(len(rows))].reset_index(drop=True)
    return replace_identifiers(rows, model.schema_, plain, rng)


def smote(
    data: TableLike,
    *,
    target: str,
    by: str | Sequence[str] | None = None,
    to: Goal = "equal_shares",
    neighbours: int = 5,
    schema: Schema | None = None,
    seed: int | None = None,
) -> Augmented:
    """Add rows interpolated between neighbours of the same class until classes, or groups, are balanced.

    SMOTE-NC of Chawla, Bowyer, Hall and Kegelmeyer ("SMOTE: synthetic minority over-sampling technique", Journal of
    Artificial Intelligence Research 16, 2002), from imbalanced-learn. Numbers lie between those of two neighbours,
    rounded to the column's decimals; categories and missingness are the neighbours' majority.

    **This gives no privacy.** Each row lies between two real people. Protect the result like the data, or use
    ``oversample`` with a private model.

    Args:
        data: The table to add to.
        target: The column of classes.
        by: The columns that define the groups.
        to: As in ``oversample``.
        neighbours: Number of nearest neighbours within the class (and group); at most the rows it has less one.
        schema: The schema; by default the table's own, or inferred.
        seed: Seed of the interpolation.

    Raises:
        InputError: A column is not categorical, or a class to be filled has fewer than two rows.
        MissingDependencyError: imbalanced-learn is not installed.
    """
    table = Table.of(data, schema)
    plan = balance_plan(table.frame, target=target, by=by, to=to, schema=table.schema)
    names = balance_columns(target, by, table.schema)
    rng = np.random.default_rng(_seeds(seed, 1)[0])
    parts = [(select_cell(table.frame, names, cell), int(cell["add"])) for _, cell in plan.iterrows()]
    drawn = interpolate(table, parts, names, neighbours, rng)
    return _append_rows(table, drawn, plan, rng)


def _class_shares(classes: Mapping[Any, float], had: CellCounts) -> npt.NDArray[np.float64]:
    if set(classes) != set(had.classes):
        raise InputError(f"classes must map each of {quote(had.classes)} to a share, not {quote(classes)}")
    share = np.array([classes[value] for value in had.classes], dtype=np.float64)
    if not (share > 0).all() or abs(share.sum() - 1) > 1e-6:
        raise InputError(f"the shares of classes must be positive and sum to 1, not {dict(classes)!r}")
    return share


def _sample_cells(model: Synthesizer, plan: pd.DataFrame, seeds: list[int]) -> pd.DataFrame:
    """Return the rows that the plan adds, sampled cell by cell."""
    names = list(plan.columns[:-2])
    parts = [
        model.sample(int(cell["add"]), given={name: cell[name] for name in names}, seed=seeds[i], progress=False)
        for i, (_, cell) in enumerate(plan.iterrows())
        if cell["add"] > 0
    ]
    return _concat(parts) if parts else pd.DataFrame(columns=list(model.schema_))


def _append_rows(table: Table, drawn: pd.DataFrame, plan: pd.DataFrame, rng: np.random.Generator) -> Augmented:
    """Return the real rows, then synthetic rows with new identifiers."""
    drawn = replace_identifiers(drawn.reset_index(drop=True)[list(table.frame.columns)], table.schema, table.frame, rng)
    frame = _concat([table.frame, drawn]) if len(drawn) else table.frame.copy()
    return Augmented(frame, np.arange(len(frame)) >= len(table), plan)


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate frames, with the union of categories."""
    frames = [frame for frame in frames if len(frame)]
    out = pd.concat(frames, ignore_index=True)
    for name in out.columns:
        kind = frames[0][name].dtype
        if isinstance(kind, pd.CategoricalDtype) and out[name].dtype != kind:
            values = list(dict.fromkeys(value for frame in frames for value in frame[name].cat.categories))
            out[name] = pd.Categorical(out[name], categories=values, ordered=bool(kind.ordered))
    return out


def _seeds(seed: int | None, count: int) -> list[int]:
    """Return the distinct seeds derived from one."""
    start = random_seed() if seed is None else validate_seed(seed)
    return [int(value) >> 1 for value in np.random.SeedSequence(start).generate_state(count, np.uint64)]
