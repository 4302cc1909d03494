"""From tokens to a model: count the pairs of tokens, fit the model to the counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.synthesizers.marginal.adaptive_remeasurement import SHARE, kept_back, look_again
from tabsynth.synthesizers.marginal.budget_allocation import Effort, effort_of
from tabsynth.synthesizers.marginal.count_source import Exact, Source
from tabsynth.synthesizers.marginal.graphical_model import Cliques
from tabsynth.synthesizers.marginal.opendp_adapter import ALGORITHMS, check_source, released
from tabsynth.synthesizers.marginal.product_mixture import Mixture, fit
from tabsynth.synthesizers.marginal.tree import Tree, grow
from tabsynth.synthesizers.marginal.two_way_marginals import Measured, Plan, chosen_pairs, measure

Model = Mixture | Tree | Cliques


@dataclass(frozen=True, eq=False)
class Slots:
    """What is known of the learned slots before pairs are counted.

    Attributes:
        names: The column of each slot.
        counts: Rows of each token of each slot.
        emitted: Which tokens of each slot a synthetic row may hold.
        target: Position of the target, if any.
        rows: Number of rows.
    """

    names: list[str]
    counts: list[npt.NDArray[np.int64]]
    emitted: list[npt.NDArray[np.bool_]]
    target: int | None
    rows: float

    @cached_property
    def kept(self) -> list[npt.NDArray[np.int64]]:
        """The tokens of each slot that are learned; one that no row has and no row may have would only cost noise."""
        return [np.flatnonzero(may | (own > 0)) for may, own in zip(self.emitted, self.counts, strict=True)]

    @cached_property
    def marginals(self) -> list[Floats]:
        """The distribution of each slot's kept tokens."""
        return [own[at] / own[at].sum() for own, at in zip(self.counts, self.kept, strict=True)]

    def reader(self, tokens: Callable[[], Tokens]) -> Callable[[], Tokens]:
        """Reads rows as places among the kept tokens: inside the first charged read, and keeps them for the others."""
        place = [np.zeros(len(own), np.int32) for own in self.counts]
        for table, at in zip(place, self.kept, strict=True):
            table[at] = np.arange(len(at))

        @cache
        def read() -> Tokens:
            found = tokens()
            return np.stack([table[found[:, i]] for i, table in enumerate(place)], axis=1)

        return read


def learn(
    slots: Slots,
    tokens: Callable[[], Tokens],
    source: Source,
    share: float,
    *,
    method: str,
    components: int | None,
    seed: int,
    progress: bool | None = False,
) -> Model:
    """Count pairs and fit a model.

    Args:
        slots: What is known of them.
        tokens: Reads the tokens of all rows, shape (n, slots).
        source: Where counts come from.
        share: The share of the budget to spend.
        method: ``mixture``, ``tree``, ``aim`` or ``mst``.
        components: Components of a mixture; by default from the rows and the budget.
        seed: Seed of the mixture's start.
        progress: Whether to show a bar; None shows one on a terminal.
    """
    kept = slots.kept
    if method == "tree":
        marginals, read = slots.marginals, slots.reader(tokens)
        tree = grow(marginals, read, slots.rows, source, share, slots.names)
        sizes = [len(count) for count in slots.counts]
        tables = tuple(
            _widened(_widened(table, kept[b], sizes[b]).T, kept[a], sizes[a]).T
            for (a, b), table in zip(tree.edges, tree.tables, strict=True)
        )
        return Tree(0, _widened(tree.root[None], kept[0], sizes[0])[0], tree.edges, tables)
    if method in ALGORITHMS:
        read = slots.reader(tokens)
        found = released(method, [len(own) for own in kept], read, check_source(source), share, slots.names)
        return _spread(found, kept, [len(count) for count in slots.counts])
    measured, effort = count_pairs(slots, tokens, source, share, components=components, seed=seed)
    small = fit(slots.marginals, measured, slots.rows, effort, seed=seed, progress=progress)
    whole = zip(small.parts, slots.counts, kept, strict=True)
    return Mixture(tuple(_widened(part, own, len(counts)) for part, counts, own in whole))


def count_pairs(
    slots: Slots, tokens: Callable[[], Tokens], source: Source, share: float, *, components: int | None, seed: int
) -> tuple[Measured, Effort]:
    """Count the pairs that a mixture is fitted to, and decide how it is fitted: all that ``learn`` reads of the rows.

    Args:
        slots: What is known of them.
        tokens: Reads the tokens of all rows, shape (n, slots).
        source: Where counts come from.
        share: The share of the budget to spend.
        components: Components of the mixture; by default from the rows and the budget.
        seed: Seed of the mixture's start.
    """
    marginals, read = slots.marginals, slots.reader(tokens)
    pairs, left = chosen_pairs(marginals, slots.target, read, slots.rows, source, share, slots.names)
    plan = Plan.of(marginals, slots.target, pairs)
    again = 0.0 if isinstance(source, Exact) else left * kept_back(plan)
    discount = 1 - SHARE if again else 1.0
    measured = measure(plan, read, slots.rows, source, left - again, slots.names, discount=discount)
    cells = sum(map(len, marginals))
    effort = effort_of(slots.rows / source.max_rows_per_unit, source.rho, components, cells, len(measured.groups))
    if again:
        facts = (tuple(slots.names), effort, seed)
        measured = look_again(marginals, measured, plan, read, slots.rows, source, again, *facts)
    return measured, effort


def to_arrays(model: Model) -> tuple[dict[str, Any], Arrays]:
    """A model as plain data and arrays."""
    if isinstance(model, Mixture):
        return {"model": "mixture"}, {str(i): part for i, part in enumerate(model.parts)}
    if isinstance(model, Cliques):
        facts = {"model": "cliques", "sizes": list(model.sizes), "columns": [list(own) for own in model.columns]}
        return facts, {str(i): table for i, table in enumerate(model.tables)}
    config = {"model": "tree", "first": model.first, "edges": [list(edge) for edge in model.edges]}
    return config, {"root": model.root} | {str(i): table for i, table in enumerate(model.tables)}


def from_arrays(config: dict[str, Any], arrays: Arrays) -> Model:
    """Rebuild what ``to_arrays`` gave."""
    if config["model"] == "mixture":
        return Mixture(tuple(arrays[str(i)] for i in range(len(arrays))))
    if config["model"] == "cliques":
        columns = tuple(tuple(int(column) for column in own) for own in config["columns"])
        tables = tuple(arrays[str(i)] for i in range(len(columns)))
        return Cliques(tuple(int(size) for size in config["sizes"]), columns, tables)
    edges = tuple((int(a), int(b)) for a, b in config["edges"])
    return Tree(int(config["first"]), arrays["root"], edges, tuple(arrays[str(i)] for i in range(len(edges))))


def _widened(part: npt.NDArray[Any], kept: npt.NDArray[np.int64], size: int) -> npt.NDArray[Any]:
    """Columns put back in their places among ``size``, zero elsewhere."""
    whole = np.zeros((len(part), size), part.dtype)
    whole[:, kept] = part
    return whole


def _spread(model: Cliques, kept: list[npt.NDArray[np.int64]], sizes: list[int]) -> Cliques:
    """Tokens of all columns put back in their places, the others without mass."""
    tables = []
    for columns, table in zip(model.columns, model.tables, strict=True):
        whole = np.zeros([sizes[column] for column in columns])
        whole[np.ix_(*(kept[column] for column in columns))] = table
        tables.append(whole)
    return Cliques(tuple(sizes), model.columns, tuple(tables))
