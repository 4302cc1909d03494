"""Fast evaluation of boosted trees on tokens with bit sets.

A token excludes the same leaves of a tree for any other tokens of its row. The remaining leaves are a precomputed
bit set per token, and the intersection over a row's tokens is its leaf: Lucchese et al., "QuickScorer: a fast algorithm
to rank documents with additive ensembles of regression trees", SIGIR 2015, with tokens instead of thresholds. It is
several times faster than traversing each tree, runs on the device of the tokens, and is stored as plain arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.errors import ModelFileError
from tabsynth.training.networks.layout import Layout

if TYPE_CHECKING:
    from lightgbm import Booster

LEAVES = 15
"""Maximum leaves of a tree: the bits of an int16 without its sign."""

TREE, SLOT, UP_TO, LEFT, RIGHT = range(5)
"""The columns of the table of nodes."""

EXPONENT_BIAS = 127
"""Exponent bias of float32."""

MAX_PLACE = 2**30
"""A rank above all others."""

MAX_JOINT_TOKENS = 128
"""Maximum combinations of the tokens of slots that share one table of bit sets."""

BLOCK_CELLS = 1 << 19
"""Bit sets evaluated at once on a CPU: enough to amortise the calls, and few enough for the cache."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees whose leaf values are summed.

    Attributes:
        layout: The slots.
        nodes: A row for each split, int32, shape (nodes, 5): its tree, its slot, the highest rank on the left (of
            ``places``), and the leaves to its left and to its right as bit sets.
        leaves: The value of each leaf, float32, shape (trees, LEAVES).
        outputs: Number of outputs; trees contribute to them in turn.
    """

    layout: Layout
    nodes: npt.NDArray[np.int32]
    leaves: npt.NDArray[np.float32]
    outputs: int = 1

    @classmethod
    def of(cls, booster: Booster, layout: Layout, slots: Sequence[int], outputs: int = 1) -> Forest:
        """Return the trees of a booster up to its best iteration.

        Args:
            booster: Trees of at most ``LEAVES`` leaves, fitted to ranks of tokens.
            layout: The slots.
            slots: The slot of each feature.
            outputs: Trees per iteration.
        """
        nodes: list[list[int]] = []
        trees = booster.dump_model(num_iteration=booster.best_iteration)["tree_info"]
        leaves = np.zeros((len(trees), LEAVES), np.float32)

        def reach(tree: int, node: Mapping[str, Any]) -> int:
            if "split_feature" not in node:
                leaf = int(node.get("leaf_index", 0))  # the single leaf of a stump has no index
                leaves[tree, leaf] = node["leaf_value"]
                return 1 << leaf
            left, right = (reach(tree, node[side]) for side in ("left_child", "right_child"))
            # Ranks are integers; a threshold above all of them separates known cells from hidden ones.
            most = int(np.floor(np.clip(node["threshold"], -1, MAX_PLACE)))
            nodes.append([tree, slots[node["split_feature"]], most, left, right])
            return left | right

        for tree, info in enumerate(trees):
            reach(tree, info["tree_structure"])
        return cls(layout, np.array(nodes, np.int32).reshape(-1, 5), leaves, outputs)

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for a model file."""
        return {f"{name}.nodes": self.nodes, f"{name}.leaves": self.leaves}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], name: str, layout: Layout, outputs: int = 1) -> Forest:
        """Rebuild a forest from ``arrays``.

        Raises:
            ModelFileError: The arrays are not trees of this layout.
        """
        nodes, leaves = arrays.get(f"{name}.nodes"), arrays.get(f"{name}.leaves")
        if nodes is None or leaves is None or not _sound(nodes, leaves, layout, outputs):
            raise ModelFileError("the model file's trees are damaged; fit the model again")
        return cls(layout, nodes, leaves, outputs)

    @cached_property
    def _open(self) -> dict[tuple[int, ...], Tensor]:
        """Return the leaves that the tokens of split slots allow, as bit sets, int16, shape (combinations, trees).

        Slots of few tokens share a table, with a row for each combination of their tokens.
        """
        whole = np.zeros(len(self.leaves), np.int32)
        np.bitwise_or.at(whole, self.nodes[:, TREE], self.nodes[:, LEFT] | self.nodes[:, RIGHT])
        whole[whole == 0] = 1
        found: dict[tuple[int, ...], Tensor] = {}
        slots: tuple[int, ...] = ()
        for slot in sorted(np.unique(self.nodes[:, SLOT]).tolist() or [0], key=lambda slot: self.layout.sizes[slot]):
            own = np.tile(whole, (self.layout.sizes[slot], 1))
            place = places(self.layout, slot)
            for tree, _, most, left, right in self.nodes[self.nodes[:, SLOT] == slot]:
                own[:, tree] &= np.where(place <= most, ~right, ~left)
            table = torch.from_numpy(own.astype(np.int16))
            if slots and len(found[slots]) * len(table) <= MAX_JOINT_TOKENS:
                table = (found.pop(slots).unsqueeze(1) & table).flatten(0, 1)
                slots = (*slots, slot)
            else:
                slots = (slot,)
            found[slots] = table
        return found

    def read(self, tokens: Tensor, ways: int = 0) -> tuple[Tensor, Tensor]:
        """Return the outputs of rows, shape (rows, outputs), and their leaves in the first trees, shape (rows, ways).

        Args:
            tokens: Shape (rows, slots), none absent.
            ways: Number of trees whose leaves are returned.
        """
        device = tokens.device
        tables = {slots: table.to(device) for slots, table in self._open.items()}
        values = torch.from_numpy(self.leaves).to(device)
        first = torch.arange(len(values), dtype=torch.int32, device=device) * LEAVES - EXPONENT_BIAS
        leaf_sums = torch.empty(len(tokens), self.outputs, device=device)
        fallen = torch.empty(len(tokens), min(ways, len(values)), dtype=torch.int32, device=device)
        block = max(BLOCK_CELLS // len(values), 1) if device.type == "cpu" else 1 << 16
        for begin in range(0, len(tokens), block):
            part = tokens[begin : begin + block]
            left = None
            for (slot, *others), table in tables.items():
                row = part[:, slot]
                for other in others:
                    row = row * self.layout.sizes[other] + part[:, other]
                own = table.index_select(0, row)
                left = own if left is None else left.bitwise_and_(own)
            assert left is not None
            # One bit is left; the exponent of the number as a float is the leaf.
            leaf = (left.float().view(torch.int32) >> 23).clamp_(min=EXPONENT_BIAS)
            fallen[begin : begin + block] = leaf[:, : fallen.shape[1]] - EXPONENT_BIAS
            found = values.view(-1).index_select(0, leaf.add_(first).view(-1))
            leaf_sums[begin : begin + block] = found.view(len(part), -1, self.outputs).sum(1)
        return leaf_sums, fallen


def _sound(nodes: npt.NDArray[Any], leaves: npt.NDArray[Any], layout: Layout, outputs: int) -> bool:
    """Return whether arrays are valid trees of these slots."""
    if nodes.dtype != np.int32 or nodes.ndim != 2 or nodes.shape[1] != RIGHT + 1:
        return False
    if leaves.dtype != np.float32 or leaves.ndim != 2 or leaves.shape[1] != LEAVES:
        return False
    limits = np.array([len(leaves), len(layout.sizes), MAX_PLACE + 1, 1 << LEAVES, 1 << LEAVES])
    within = (nodes < limits).all() and (nodes >= [0, 0, -1, 1, 1]).all()
    apart = not (nodes[:, LEFT] & nodes[:, RIGHT]).any()
    return bool(within and apart and len(leaves) and len(leaves) % outputs == 0 and np.isfinite(leaves).all())


def features(tokens: Tensor, layout: Layout) -> npt.NDArray[np.float32]:
    """Return the ranks of tokens within their slots, on which trees split, shape (rows, slots)."""
    rows = tokens.cpu().numpy()
    return np.stack([places(layout, slot)[rows[:, slot]] for slot in range(len(layout.sizes))], 1)


def places(layout: Layout, slot: int) -> npt.NDArray[np.float32]:
    """Return the rank of each token of a slot, shape (size,): ordered tokens by order, others by frequency."""
    counts = layout.counts[slot]
    found = np.arange(len(counts), dtype=np.float32)
    if layout.lines[slot]:
        return found
    out = np.empty_like(found)
    out[np.argsort(-counts, kind="stable")] = found
    return out
