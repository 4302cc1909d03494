"""Mutual information of slots, and the order in which an autoregressive model visits them.

Slots of low entropy come early: few distinct prefixes make sampling fast, and slots of many tokens are sampled given
all others. Independent slots of few tokens come first: they may still matter jointly, as year, day and hour do for the
weather, and the weather given the hour is easier to learn than the hour given the weather.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tabsynth.training.networks.layout import Layout, coarsen_tokens

GROUPS = 32
MAX_SAMPLE_ROWS = 20_000

MAX_INDEPENDENT_SHARE = 1 / 30
"""Maximum share of an independent slot's entropy that another slot explains."""

MAX_SLOT_TOKENS = 64
"""Maximum tokens of the independent slots that come first."""


def mutual_information(tokens: npt.NDArray[np.int32], layout: Layout) -> npt.NDArray[np.float64]:
    """Return the pairwise mutual information in nats, bias-corrected (Miller and Madow 1955), shape (slots, slots).

    The diagonal contains the entropy of each slot.
    Tokens are grouped to at most 32 per slot, and large tables are subsampled at evenly spaced rows.
    """
    slots = len(layout.sizes)
    step = max(1, round(len(tokens) / (MAX_SAMPLE_ROWS if slots <= 60 else MAX_SAMPLE_ROWS // 2)))
    codes = coarsen_tokens(tokens[::step], layout, GROUPS)
    rows = len(codes[0]) if codes else 0
    widths = [int(code.max()) + 1 for code in codes]
    entropies = [_entropy(code, width) for code, width in zip(codes, widths, strict=True)]
    here = {slot: tokens[::step, slot] >= 0 for slot in layout.slots_with_absent_rows}
    out = np.diag([entropy for entropy, _ in entropies]) if slots else np.zeros((0, 0))
    for a in range(slots):
        for b in range(a + 1, slots):
            if a in here or b in here:
                # Absent cells depend on the source of a row, and are no evidence of dependence between columns.
                both = here.get(a, True) & here.get(b, np.ones(rows, bool))
                one, other = codes[a][both], codes[b][both]
                marginal = _entropy(one, widths[a]), _entropy(other, widths[b])
            else:
                one, other, marginal = codes[a], codes[b], (entropies[a], entropies[b])
            if not len(one):
                continue
            joint = _entropy(one * widths[b] + other, widths[a] * widths[b])
            (ha, ka), (hb, kb), (hab, kab) = *marginal, joint
            bias = (kab - ka - kb + 1) / (2 * len(one))
            out[a, b] = out[b, a] = max(ha + hb - hab - bias, 0.0)
    return out


def chain_order(
    information: npt.NDArray[np.float64], sizes: Sequence[int], *, nearest_first: bool = False
) -> list[int]:
    """Return an order of the slots: independent slots of few tokens, then the others by ascending entropy.

    Rows with equal prefixes share one pass through the network, and slots of low entropy leave few prefixes. On small
    tables, and on tables with a feature cross, a network learns dependences better between neighbours in the order.

    Args:
        information: Mutual information with entropies on the diagonal, shape (slots, slots).
        sizes: Number of tokens of each slot.
        nearest_first: After the independent slots, follow the maximum spanning tree of mutual information (Chow and
            Liu, "Approximating discrete probability distributions with dependence trees", 1968) instead of entropy.
    """
    strongest = (information * (1 - np.eye(len(information)))).max(axis=1, initial=0)
    entropy = information.diagonal()
    alone = (strongest < MAX_INDEPENDENT_SHARE * entropy) & (np.array(sizes) <= MAX_SLOT_TOKENS)
    first = [int(slot) for slot in np.argsort(-entropy, kind="stable") if alone[slot]]
    if nearest_first:
        return _spanning_tree_order(information, first)
    return first + [int(slot) for slot in np.argsort(entropy, kind="stable") if not alone[slot]]


def _spanning_tree_order(information: npt.NDArray[np.float64], first: list[int]) -> list[int]:
    """Return the given slots, the most informative other, then repeatedly the nearest to them (Prim's algorithm)."""
    shared = information * (1 - np.eye(len(information)))
    order, left = list(first), np.ones(len(information), bool)
    left[first] = False
    nearest = shared.sum(axis=1)
    for number in range(int(left.sum())):
        slot = int(np.argmax(np.where(left, nearest, -1.0)))
        order.append(slot)
        left[slot] = False
        nearest = shared[slot].copy() if number == 0 else np.maximum(nearest, shared[slot])
    return order


def explained_entropy_share(information: npt.NDArray[np.float64]) -> float:
    """Return the share of the slots' entropy that their best single predictors explain, from 0 to 1."""
    shared = information * (1 - np.eye(len(information)))
    entropy = float(information.diagonal().sum())
    return float(shared.max(axis=1).sum()) / entropy if entropy > 0 else 0.0


def strongest_predecessors(information: npt.NDArray[np.float64], order: Sequence[int], most: int) -> list[list[int]]:
    """Return up to ``most`` earlier slots for each slot, the most informative first."""
    out: list[list[int]] = [[] for _ in order]
    for i, slot in enumerate(order):
        before = sorted(order[:i], key=lambda other: -information[slot, other])
        out[slot] = before[:most]
    return out


def _entropy(codes: npt.NDArray[np.int64], width: int) -> tuple[float, int]:
    """Return the plug-in entropy in nats, and the number of values seen."""
    counts = np.bincount(codes, minlength=width)
    counts = counts[counts > 0]
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum()), len(counts)
