"""If a discriminator can separate synthetic from real rows, oversample and select rows by its score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.common.progress import progress_bar
from tabsynth.synthesizers.options import SampleContext
from tabsynth.synthesizers.sampling.importance_resampling import (
    cap_weights,
    rake_weights,
    resample_per_group,
    resample_systematically,
)
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.discriminator import TreeDiscriminator, cross_validated_gain, validation_rows
from tabsynth.training.validation_split import TrainValidation

MIN_CALIBRATED_ROWS = 1000
"""Minimum rows for calibration to the training marginal."""

CHUNK_ROWS = 1 << 16
"""Rows sampled at once."""

MIN_CANDIDATES, MAX_CANDIDATES = 2, 6
"""Minimum and maximum candidates per selected row; small samples and independent draws take the maximum."""

BRANCHES = 2
"""Candidates that may have their first slots in common, if then these have at least ``MIN_CANDIDATES`` as well.

On Credit default the first two thirds of the slots determine a fifth of the discriminator's gain, so they need fewer
candidates.
"""

MIN_ADDED_SHARE = 0.015
"""Minimum share of the weights that one more candidate adds.

On Credit default the fourth candidate adds 0.018 and the fifth 0.009: four select as well as five, and three worse.
"""

CHUNK_SELECTED_ROWS = 1 << 15
"""Rows selected at once."""

N_SORT_SLOTS = 6
"""Number of slots by which rows are sorted for systematic resampling: those with the fewest tokens."""

MIN_ROWS = 3000
"""Minimum training rows for a discriminator."""

N_TRIAL_ROWS, MIN_TRIAL_GAIN = 8000, 0.0005
"""Rows of a preliminary discriminator, and its minimum gain in nats per row for fitting the full one.

Rows of equal populations gain less than 0.0001. Those of Credit default gain 0.0009 to 0.007, depending on the draw,
and the full discriminator 0.1.
"""

MIN_ROWS_FOR_TRIAL = 2 * N_TRIAL_ROWS
"""Maximum rows for which the full discriminator is fitted at once."""

SYNTHETIC_ROWS_RATIO, MAX_SYNTHETIC_ROWS = 2, 100_000
"""Synthetic training rows per real row, and their maximum."""

MIN_GAIN = 0.003
"""Minimum validation gain in nats per row for selection."""


SampleFn = Callable[[Tensor, RowOptions], Tensor]
"""Samples the tokens that are -1."""

RefineFn = Callable[[Tensor, Tensor, RowOptions], Tensor]
"""Resamples some cells of filled rows, given which are free."""

PoolFn = Callable[[int, int, RowOptions], Tensor]
"""Samples rows, each in a number of branches that may have slots in common and are next to each other."""

CandidateFn = Callable[[int, int, bool], Tensor]
"""Samples rows with a seed, refined or not."""


def fit_discriminator(
    layout: Layout, parts: TrainValidation, pool: CandidateFn, seed: int, progress: bool | None
) -> TreeDiscriminator | None:
    """Return a discriminator of a model's rows; None if it gains nothing or there are too few rows.

    Args:
        layout: The slots.
        parts: The rows of the fit.
        pool: Samples rows; selection corrects unrefined rows for what the discriminator detects in refined ones.
        seed: Seed of the fit.
        progress: Whether to show a bar.
    """
    real, weights = parts.training, parts.weights
    if len(real) < MIN_ROWS or layout.slots_with_absent_rows:
        return None
    first, second, own = (int(part) for part in np.random.SeedSequence([seed, 4]).generate_state(3))
    looked = min(N_TRIAL_ROWS, len(real))
    if len(real) >= MIN_ROWS_FOR_TRIAL:
        few = None if weights is None else weights[:looked]
        if (
            cross_validated_gain(layout, real[:looked], pool(looked, first, True), seed=own, weights=few)
            < MIN_TRIAL_GAIN
        ):
            return None
    wanted, many = min(SYNTHETIC_ROWS_RATIO * len(real), MAX_SYNTHETIC_ROWS), list[Tensor]()
    with progress_bar(wanted, "learn to choose", "row", progress) as shown:
        for begin in range(0, wanted, N_TRIAL_ROWS):
            many.append(pool(min(N_TRIAL_ROWS, wanted - begin), second + begin, False))
            shown.update(len(many[-1]))
    drawn = torch.cat(many)
    critic = TreeDiscriminator.fit(layout, real, drawn, seed=own, weights=weights)
    if critic.gain < MIN_GAIN:
        return None
    return replace(critic, candidates=needed_candidates(critic.log_odds(validation_rows(real, drawn))))


def needed_candidates(log_odds: Tensor) -> int:
    """Return the candidates per selected row for weights of this distribution.

    A row is selected at most once, so its weight counts up to the number of candidates in multiples of the mean. Most
    weights are near the mean if the discriminator gains little; two or three candidates then select as well as six.
    Another candidate adds the part of the weights between its number and the next; the few rows far above count no
    more than others, because no number of candidates uses their weight.
    """
    weights = _row_weights(log_odds)
    weights = weights / weights.mean()
    added = [float((weights - count).clamp(0, 1).mean()) for count in range(MIN_CANDIDATES, MAX_CANDIDATES)]
    return MIN_CANDIDATES + sum(share > MIN_ADDED_SHARE for share in added)


def _row_weights(log_odds: Tensor) -> Tensor:
    """Return the density ratios of rows, bounded, shape (rows,)."""
    return log_odds.double().clamp(-10, 10).exp()


@dataclass(frozen=True, eq=False)
class DiscriminatorSelection:
    """Selection of rows among candidates.

    Attributes:
        layout: The slots.
        emit: Allowed tokens of each slot; two-dimensional for a low digit.
        log_odds: Log-odds that rows are real, shape (rows,).
        candidates: Candidates per selected row in stratified samples of at least ``MIN_CALIBRATED_ROWS`` rows.
    """

    layout: Layout
    emit: Sequence[npt.NDArray[np.bool_]]
    log_odds: Callable[[Tensor], Tensor]
    candidates: int = MAX_CANDIDATES

    @classmethod
    def by(
        cls, trees: TreeDiscriminator | None, emit: Sequence[npt.NDArray[np.bool_]]
    ) -> DiscriminatorSelection | None:
        """Return the selection by a tree discriminator; None without one."""
        return None if trees is None else cls(trees.forest.layout, emit, trees.log_odds, trees.candidates)

    def candidates_for(self, rows: int, stratify: bool) -> int:
        """Return the candidates per row for a number of selected rows."""
        return self.candidates if stratify and rows >= MIN_CALIBRATED_ROWS else MAX_CANDIDATES

    def draw(self, rows: int, pool: PoolFn, options: RowOptions) -> Tensor:
        """Return rows that are selected from a pool of candidates, shape (rows, slots)."""
        many = self.candidates_for(rows, options.stratify)
        large = options.stratify and rows >= MIN_CALIBRATED_ROWS
        branches = BRANCHES if large and many >= BRANCHES * MIN_CANDIDATES else 1
        parts = torch.split(torch.arange(-(-many * rows // branches)), CHUNK_ROWS // branches)
        tokens = torch.cat([pool(len(part), branches, options) for part in parts])
        return tokens[self.of(tokens, rows, options, branches)]

    def of(self, tokens: Tensor, rows: int, options: RowOptions, branches: int = 1) -> Tensor:
        """Return the positions of the selected rows among their candidates, shape (rows,).

        Args:
            tokens: The candidates; without stratification, a whole multiple of ``rows``.
            rows: The number of rows to select.
            options: Options of sampling rows.
            branches: Candidates in succession that have slots in common. With stratification, the sum of their weights
                decides how many of them are selected, rarely more than one.
        """
        many = len(tokens) / rows
        # The weight of a row is limited to a multiple of the mean, so that no row is selected twice.
        weights = cap_weights(_row_weights(self.log_odds(tokens)), many)
        if options.calibrate:
            weights = rake_weights(weights, tokens, self._targets(tokens.device), many)
        if not options.stratify:
            return resample_per_group(weights, int(many), options.noise)
        first = tokens[::branches]
        order = torch.randperm(len(first), generator=options.noise, device=tokens.device)
        for slot in sorted(range(len(self.layout.sizes)), key=lambda slot: -self.layout.sizes[slot])[-N_SORT_SLOTS:]:
            order = order[first[order, slot].argsort(stable=True)]
        order = (order.unsqueeze(1) * branches + torch.arange(branches, device=tokens.device)).flatten()
        chosen = resample_systematically(weights, rows, order, options.noise)
        # In the order in which they were sampled: rows of a sample are not sorted by their values.
        return chosen.sort().values

    def _targets(self, device: torch.device) -> dict[int, Tensor]:
        """Return the target share of each token in the selected rows; a low digit's follow from its high digit's."""
        layout, one = self.layout, [slot for slot, emit in enumerate(self.emit) if emit.ndim == 1]
        return {slot: torch.from_numpy(layout.target_marginal(slot, self.emit[slot])).to(device) for slot in one}


def sample_rows(
    fill: SampleFn,
    pool: PoolFn,
    finish: RefineFn,
    choice: DiscriminatorSelection | None,
    fixed: Tokens,
    limits: list[Floats | None],
    draw: SampleContext,
    device: torch.device,
) -> Tokens:
    """Draw the tokens that are -1, some rows at a time, shape (rows, slots).

    Args:
        fill: Draws the tokens of some rows.
        pool: Draws the candidates of rows.
        finish: Refinement of the selected rows.
        choice: How rows are chosen among more of them; None draws only what is wanted. Rows of which something is
            known or restricted are never chosen.
        fixed: Tokens, -1 where free.
        limits: The allowed share of each token of a slot, None where unrestricted.
        draw: The sampling context.
        device: Device of the sampling.
    """
    noise = torch.Generator(device).manual_seed(int(draw.rng.integers(2**63)))
    if any(limit is not None for limit in limits) or bool((fixed >= 0).any()):
        choice = None
    together = CHUNK_ROWS if choice is None else CHUNK_SELECTED_ROWS
    out = np.empty_like(fixed)
    with progress_bar(len(fixed), "sample", "row", draw.progress) as shown:
        for begin in range(0, len(fixed), together):
            wanted = torch.from_numpy(fixed[begin : begin + together].astype(np.int64)).to(device)
            calibrate = draw.calibrate and len(wanted) >= MIN_CALIBRATED_ROWS
            options = RowOptions(limits, noise, calibrate, draw.stratify)
            free = wanted < 0
            rows = fill(wanted, options) if choice is None else choice.draw(len(wanted), pool, options)
            out[begin : begin + together] = finish(rows, free, options).cpu().numpy()
            shown.update(len(wanted))
    return out
