"""Weights of a masked network for an extended vocabulary: those of known tokens are copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tabsynth.common.arrays import Integers
from tabsynth.training.networks.feature_cross import FeatureCross, code_of
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import MaskedNet, TokenEmbedding


@dataclass(frozen=True, eq=False)
class SlotOrigin:
    """Origin of a slot of the new network in the old one.

    Attributes:
        slot: The old slot.
        place: The new token of each old one, shape (old size,).
        origin: The old token from which each new one continues, shape (size,).
    """

    slot: int
    place: Integers
    origin: Integers


Origins = Sequence[SlotOrigin | None]
"""Origin of each new slot; None for a slot that the old network did not learn."""


@torch.no_grad()
def copy_weights(old: MaskedNet, new: MaskedNet, origins: Origins) -> None:
    """Copy the weights of the old network into the new one, in place; other slots keep their initial weights."""
    source, same_token = _token_sources(old.layout, new.layout, origins)
    for one, other in ((old.embed, new.embed), (old.head, new.head)):
        _copy_embedding(one, other, source, origins)
    for at, origin in enumerate(origins):
        if origin is not None:
            new.mask[at] = old.mask[origin.slot]
    new.bias[same_token] = old.bias[source[same_token]]  # a new token starts from its own frequency
    new.blocks.load_state_dict(old.blocks.state_dict())
    new.norm.load_state_dict(old.norm.state_dict())
    if old.skip is not None and new.skip is not None:
        _copy_skip(old, new, source)
    if old.cross is not None and new.cross is not None:
        new.cross.embed.copy_(old.cross.embed)


def extend_cross(cross: FeatureCross, old: Layout, new: Layout, origins: Origins) -> FeatureCross | None:
    """Return a feature cross in the new vocabulary, combinations in the same order; None where that is impossible."""
    slots = [
        next((at for at, origin in enumerate(origins) if origin and origin.slot == slot), None) for slot in cross.slots
    ]
    digits, rest = [], cross.codes.copy()
    for slot in reversed(cross.slots[1:]):
        digits.append(rest % old.sizes[slot])
        rest = rest // old.sizes[slot]
    digits.append(rest)
    tokens = np.zeros((len(cross.codes), len(new.sizes)), dtype=np.int64)
    for at, slot, digit in zip(slots, cross.slots, reversed(digits), strict=True):
        origin = None if at is None else origins[at]
        if at is None or origin is None or origin.slot != slot:
            return None
        tokens[:, at] = origin.place[digit]
    new_slots = tuple(at for at in slots if at is not None)
    codes = code_of(torch.from_numpy(tokens), new_slots, new).numpy()
    return FeatureCross(new_slots, codes) if (np.diff(codes) > 0).all() else None


def _token_sources(old: Layout, new: Layout, origins: Origins) -> tuple[Tensor, Tensor]:
    """Return the old logit from which each new one starts, -1 for none, and whether its token is the same."""
    source, same_token = np.full(new.total, -1, dtype=np.int64), np.zeros(new.total, bool)
    for at, origin in enumerate(origins):
        if origin is not None:
            source[new.segment(at)] = old.offsets[origin.slot] + origin.origin
            same_token[new.offsets[at] + origin.place] = True
    return torch.from_numpy(source), torch.from_numpy(same_token)


def _copy_embedding(old: TokenEmbedding, new: TokenEmbedding, source: Tensor, origins: Origins) -> None:
    known = source >= 0
    new.free[known] = old.free[source[known]]
    for at, origin in enumerate(origins):
        if origin is not None:
            new.slow[at] = old.slow[origin.slot]


def _copy_skip(old: MaskedNet, new: MaskedNet, source: Tensor) -> None:
    """Copy the skip connection; a group of tokens gets the mean of its tokens' old groups, by their frequency."""
    assert old.skip is not None and new.skip is not None  # noqa: PT018
    known = torch.nonzero(source >= 0).flatten()
    frequency = new.layout.log_frequencies().exp()[known]
    groups, old_groups = new.group[known], old.group[source[known]]  # type: ignore[index]
    shares = torch.zeros(len(new.skip), len(old.skip))
    shares.index_put_((groups, old_groups), frequency, accumulate=True)
    shares /= shares.sum(1, keepdim=True).clamp(min=1e-12)
    rows = shares @ old.skip
    new.skip[:, known] = rows[:, source[known]]
    new.skip[-1] = 0  # the row of masked slots
