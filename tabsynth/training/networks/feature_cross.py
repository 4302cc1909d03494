"""Feature crosses: slots that are informative only jointly, such as year, month and day.

Feature crosses: Cheng et al., "Wide & deep learning for recommender systems", arXiv 1606.07792. A network with
summed inputs learns the value of one combination slowly; an embedding of the combination represents it directly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import logsumexp
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.networks.layout import Layout, coarsen_tokens

MIN_CODE_ROWS = 5
"""Minimum rows of a combination with an embedding, and minimum mean rows of all combinations."""

MAX_SLOTS = 4
"""Maximum slots in a cross."""

CANDIDATES = 8
"""Number of candidate slots, those of highest entropy."""

MAX_SLOT_TOKENS = 64
"""Maximum tokens of a crossed slot."""

MAX_INDEPENDENT_SHARE = 1 / 30
"""Maximum share of each other's entropy that crossed slots explain; the network represents dependent slots by sums."""

MAX_SAMPLE_ROWS = 20_000
"""Rows on which crosses are compared."""

MIN_EXPLAINED_SHARE = 1 / 25
"""Minimum share of the other slots' entropy that a cross explains beyond its single slots."""

SHARPNESS_EXPONENTS = (1.0, 1.5, 2.0, 3.0)
"""Factors of the additive model's log-ratios, which attenuate each other."""

GROUPS = 16
SMOOTH = 4.0
"""Number of groups of a predicted slot, and prior weight in rows of its marginal in each combination."""


Rows = TypeVar("Rows", npt.NDArray[np.int32], Tensor)


@dataclass(frozen=True, eq=False)
class FeatureCross:
    """Slots whose combinations of tokens get their own embeddings.

    Attributes:
        slots: The slots.
        codes: The combinations that are frequent enough, ascending, as ``code_of`` numbers them.
    """

    slots: tuple[int, ...]
    codes: npt.NDArray[np.int64]

    @classmethod
    def select(
        cls, tokens: npt.NDArray[np.int32], layout: Layout, information: npt.NDArray[np.float64]
    ) -> FeatureCross | None:
        """Return the cross that best explains other slots beyond an additive model of its slots; None if too little.

        Explained entropy is estimated leave-one-out, so a cross of many combinations gains nothing by chance.

        Args:
            tokens: Training rows, shape (rows, slots).
            layout: The slots.
            information: Their mutual information with their entropies on the diagonal, shape (slots, slots).
        """
        entropy = information.diagonal()
        near = information > MAX_INDEPENDENT_SHARE * np.minimum.outer(entropy, entropy)
        few = [
            slot
            for slot, size in enumerate(layout.sizes)
            if 1 < size <= MAX_SLOT_TOKENS and slot not in layout.slots_with_absent_rows
        ]
        few = sorted(few, key=lambda slot: -entropy[slot])[:CANDIDATES]
        every, tokens = tokens, tokens[:: max(1, round(len(tokens) / MAX_SAMPLE_ROWS))]
        codes = coarsen_tokens(tokens, layout, GROUPS)
        targets = {slot: code for slot, code in enumerate(codes) if slot not in layout.slots_with_absent_rows}
        single = {slot: _information(tokens[:, slot], targets) for slot in few}
        best, best_gain, joint = None, 0.0, dict[int, float]()
        for slots in (slots for most in range(2, MAX_SLOTS + 1) for slots in combinations(few, most)):
            if any(near[one, two] for one, two in combinations(slots, 2)):
                continue
            met, combination = np.unique(code_of(tokens, slots, layout), return_inverse=True)
            if len(tokens) < MIN_CODE_ROWS * len(met):
                continue
            others = {slot: code for slot, code in targets.items() if slot not in slots}
            gains = _information(combination, others)
            gain = sum(gains[slot] - sum(single[own][slot] for own in slots) for slot in others)
            if gain > max(best_gain, MIN_EXPLAINED_SHARE * float(entropy[list(others)].sum())):
                best, best_gain, joint = slots, gain, gains
        if best is None:
            return None
        gain = sum(joint[slot] - _summed(best, tokens, layout, targets[slot]) for slot in joint)
        if gain <= MIN_EXPLAINED_SHARE * float(entropy[list(joint)].sum()):
            return None
        numbers, counts = np.unique(code_of(every, best, layout), return_counts=True)
        return cls(best, numbers[counts >= MIN_CODE_ROWS].astype(np.int64))


class FeatureCrossEmbedding(nn.Module):
    """Embedding of a feature cross, added to the first layer; zero where the combination is rare or masked.

    Args:
        cross: The cross.
        layout: The slots.
        width: Width of the residual stream.
    """

    def __init__(self, cross: FeatureCross, layout: Layout, width: int) -> None:
        super().__init__()
        self.slots, self.layout = cross.slots, layout
        self.register_buffer("codes", torch.from_numpy(cross.codes))
        self.embed = nn.Parameter(torch.zeros(len(cross.codes) + 1, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the embeddings of the combinations in rows of tokens, shape (rows, slots), -1 where masked."""
        return functional.embedding(self.positions(tokens), self.embed, padding_idx=len(self.embed) - 1)

    def positions(self, tokens: Tensor) -> Tensor:
        """Return the embedding indices, shape (rows,); the last index is for rare or masked combinations."""
        codes: Tensor = self.codes  # type: ignore[assignment]
        code = code_of(tokens, self.slots, self.layout)
        at = torch.searchsorted(codes, code).clamp(max=len(codes) - 1)
        known = (tokens[:, list(self.slots)] >= 0).all(1)
        return torch.where(known & (codes[at] == code), at, len(codes))


def code_of(tokens: Rows, slots: Sequence[int], layout: Layout) -> Rows:
    """Return an index of the combination of tokens of some slots, shape (rows,); undefined where one is masked."""
    code = tokens[:, slots[0]]
    for slot in slots[1:]:
        code = code * layout.sizes[slot] + tokens[:, slot]
    return code


def _information(rows: npt.NDArray[np.integer], targets: Mapping[int, npt.NDArray[np.int64]]) -> dict[int, float]:
    """Return the nats per row that combinations explain of other slots, leave-one-out."""
    here = np.bincount(rows)[rows] - 1
    out = {}
    for slot, own in targets.items():
        width = int(own.max()) + 1
        marginal = np.bincount(own, minlength=width)[own] / len(own)
        pair = rows.astype(np.int64) * width + own
        both = np.bincount(pair)[pair] - 1
        out[slot] = float(np.log((both + SMOOTH * marginal) / ((here + SMOOTH) * marginal)).mean())
    return out


def _summed(slots: Sequence[int], tokens: npt.NDArray[np.int32], layout: Layout, own: npt.NDArray[np.int64]) -> float:
    """Return the nats per row that an additive model of single slots explains of another slot, with the best factor."""
    width = int(own.max()) + 1
    marginal = np.log(np.bincount(own, minlength=width) / len(own) + 1e-12)
    log_ratios = np.zeros((len(own), width))
    for slot in slots:
        both = np.bincount(tokens[:, slot] * width + own, minlength=layout.sizes[slot] * width).reshape(-1, width)
        smooth = (both + SMOOTH * np.exp(marginal)) / (both.sum(1, keepdims=True) + SMOOTH)
        log_ratios += (np.log(smooth) - marginal)[tokens[:, slot]]
    best = 0.0
    for sharp in SHARPNESS_EXPONENTS:
        found = marginal + sharp * log_ratios
        found -= logsumexp(found, axis=1, keepdims=True)
        best = max(best, float((found[np.arange(len(own)), own] - marginal[own]).mean()))
    return best
