"""One Gibbs step on low-cardinality columns, with boosted-tree conditionals, where they beat the network.

Trees are kept if validation rows are more likely under them than under the conditional distribution that the network
implies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import entropy
from torch import Tensor

from tabsynth.common.arrays import Arrays, check_numbers
from tabsynth.common.progress import progress_bar
from tabsynth.synthesizers.sampling.slot_sampler import SlotSampler
from tabsynth.training.networks.autoregressive import AutoregressiveModel
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.conditional import TreeConditional, observed_tokens
from tabsynth.training.trees.token_forest import features
from tabsynth.training.validation_split import TrainValidation

MIN_OPEN_NATS = 0.05
"""Minimum conditional entropy of a column under the network, in nats, for fitting trees."""

MIN_CLASSES_LIMIT, MAX_CLASSES_LIMIT, MAX_CELLS = 8, 16, 150_000
"""Maximum tokens of a slot with trees: in any table, and in tables with few rows times tokens."""

MIN_ROWS = 3000
"""Minimum training rows for trees."""

MAX_PASSES, MIN_JUDGED_ROWS = 300_000, 1024
"""Network passes for the implied conditionals, and minimum validation rows for them."""

TREES_KEY, CALIBRATION_KEY, REFINED_KEY = "trees.", "pull.", "again."
"""Prefixes of the arrays of trees and weights in a model file."""


@dataclass(frozen=True, eq=False)
class TreeConditionals:
    """Conditional models of single columns beside the network.

    Attributes:
        trees: Trees of slots that they predict better, in resampling order.
        calibration_weights: Weights of a slot's tokens that calibrate samples of any size.
        refined_weights: The same for slots that trees resample.
    """

    trees: tuple[TreeConditional, ...] = ()
    calibration_weights: Mapping[int, Tensor] = field(default_factory=dict)
    refined_weights: Mapping[int, Tensor] = field(default_factory=dict)

    def arrays(self) -> Arrays:
        """Return the arrays for a model file."""
        arrays: Arrays = {}
        for trees in self.trees:
            arrays |= trees.forest.arrays(f"{TREES_KEY}{trees.slot}")
        for name, weights in ((CALIBRATION_KEY, self.calibration_weights), (REFINED_KEY, self.refined_weights)):
            arrays |= {f"{name}{slot}": slot_weights.cpu().numpy() for slot, slot_weights in weights.items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, layout: Layout, order: Sequence[int]) -> tuple[TreeConditionals, Arrays]:
        """Rebuild from the result of ``arrays``; also return the other arrays."""
        other = {
            name: array
            for name, array in arrays.items()
            if not name.startswith((TREES_KEY, CALIBRATION_KEY, REFINED_KEY))
        }
        trees: list[TreeConditional] = []
        calibration_weights: dict[int, Tensor] = {}
        refined_weights: dict[int, Tensor] = {}
        for slot in order:
            # Files of the first version store trees as text under the bare name; ``from_arrays`` refuses them.
            if not arrays.keys().isdisjoint({f"{TREES_KEY}{slot}{part}" for part in ("", ".nodes", ".leaves")}):
                trees.append(TreeConditional.from_arrays(arrays, f"{TREES_KEY}{slot}", layout, slot))
            for name, by_slot in ((CALIBRATION_KEY, calibration_weights), (REFINED_KEY, refined_weights)):
                if (weights := arrays.get(f"{name}{slot}")) is not None:
                    check_numbers(weights, (layout.sizes[slot],), "the weights of tokens", low=0)
                    by_slot[slot] = torch.from_numpy(weights.copy())
        return cls(tuple(trees), calibration_weights, refined_weights), other


@torch.inference_mode()
def fit_tree_conditionals(
    chain: AutoregressiveModel,
    order: Sequence[int],
    allowed: Sequence[npt.NDArray[np.bool_]],
    parts: TrainValidation,
    seed: int,
    progress: bool | None,
) -> tuple[TreeConditional, ...]:
    """Return the trees for each slot that they predict better than the network, in the fixed order.

    Args:
        chain: The trained model.
        order: The slots in sampling order.
        allowed: Allowed tokens of each slot; two-dimensional for a low digit.
        parts: The rows of the fit.
        seed: Seed of the fit.
        progress: Whether to show a bar.
    """
    layout = chain.layout
    if layout.slots_with_absent_rows or len(parts.training) < MIN_ROWS:
        return ()
    most = int(np.clip(MAX_CELLS / len(parts.training), MIN_CLASSES_LIMIT, MAX_CLASSES_LIMIT))
    few = [slot for slot in order if len(observed_tokens(layout, slot)) <= most and allowed[slot].ndim == 1]
    few = [slot for slot in few if entropy(layout.counts[slot]) > MIN_OPEN_NATS]
    if not few:
        return ()
    passes = sum((len(observed_tokens(layout, slot)) - 1) * (len(order) - list(order).index(slot)) for slot in few)
    validation = parts.validation[: max(MIN_JUDGED_ROWS, MAX_PASSES // passes)]
    log_probs = chain.log_probs(validation, order)
    left = {slot: -float(chain.conditional_log_prob(validation, slot, order, log_probs).mean()) for slot in few}
    refined_slots = [slot for slot in left if left[slot] > MIN_OPEN_NATS]
    rows, tokens = features(parts.training, layout), parts.training.cpu().numpy()
    seeds = np.random.SeedSequence(seed).generate_state(len(layout.sizes))

    def learn(slot: int) -> tuple[TreeConditional, float]:
        trees = TreeConditional.fit(layout, slot, rows, tokens[:, slot], seed=int(seeds[slot]), weights=parts.weights)
        log_prob = trees.read(validation)[0].gather(1, validation[:, slot : slot + 1])
        return trees, left[slot] + float(log_prob.mean())

    accepted = []
    with (
        ThreadPoolExecutor(torch.get_num_threads()) as pool,
        progress_bar(len(refined_slots), "learn columns", "column", progress) as shown,
    ):
        for trees, gain in pool.map(learn, refined_slots):
            accepted += [trees] if gain > 0 else []
            shown.update(1)
    return tuple(accepted)


def refine_rows(
    tokens: Tensor,
    free: Tensor,
    conditionals: Sequence[TreeConditional],
    slot_sampler: SlotSampler,
) -> Tensor:
    """Return the rows with the free cells of some slots resampled, shape (rows, slots).

    Args:
        tokens: Drawn rows, shape (rows, slots).
        free: The cells that may change, shape (rows, slots).
        conditionals: The trees.
        slot_sampler: Samples tokens, within limits.
    """
    conditionals = [trees for trees in conditionals if bool(free[:, trees.slot].any())]
    if not conditionals or not len(tokens):
        return tokens
    tokens = tokens.clone()
    for trees in conditionals:
        slot = trees.slot
        logits, groups = trees.read(tokens)
        drawn = slot_sampler.sample(tokens, slot, logits, groups=groups if slot_sampler.options.stratify else None)
        tokens[:, slot] = torch.where(free[:, slot], drawn, tokens[:, slot])
    return tokens
