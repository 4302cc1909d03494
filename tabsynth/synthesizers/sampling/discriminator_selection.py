"""Draw rows, and where a critic tells them from real ones, draw more than are wanted and take those that look real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.common.progress import progress_bar
from tabsynth.synthesizers.options import SampleContext
from tabsynth.synthesizers.sampling.importance_resampling import capped, one_each, raked, systematic
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.discriminator import TreeCritic, first_look
from tabsynth.training.validation_split import Parts

CALIBRATE_FROM = 1000
"""Fewest rows whose mean prediction is pulled to the training marginal; fewer rows may rightly differ from it."""

CHUNK = 1 << 16
"""Rows that are drawn together."""

CANDIDATES = 6
"""Rows that are drawn for each that is wanted."""

WANTED = 1 << 15
"""Rows that are chosen together."""

SORTED = 6
"""Slots by which rows are sorted before some are taken at even steps: those of fewest tokens, which fill evenly."""

LEAST = 3000
"""Fewest training rows from which a critic can learn what is not chance."""

GLANCE, SEEN = 8000, 0.001
"""A critic first looks at so many rows; one that gains less than so many nats a row sees nothing, and that is all."""

ALL = 2 * GLANCE
"""Where there are fewer rows, a look would cost as much as teaching the critic at once."""

DRAWN, POOL = 2, 100_000
"""Rows that are drawn to teach a critic, for each real one, and most of them."""

WORTH = 0.003
"""Nats a row that a critic must gain on held-out rows for its choice to be worth drawing more rows."""


@dataclass(frozen=True, eq=False)
class Manner:
    """How rows are drawn.

    Attributes:
        limits: The allowed share of each token of a slot, None where nothing is asked.
        noise: Where random numbers come from.
        calibrate: Pull each slot's mean prediction to its training marginal.
        stratify: Deal random numbers evenly to similar rows.
    """

    limits: list[Floats | None]
    noise: torch.Generator
    calibrate: bool
    stratify: bool

    def plain(self, free: Tensor) -> bool:
        """Whether nothing is asked of rows whose free cells are given."""
        return bool(free.all()) and all(limit is None for limit in self.limits)


Fill = Callable[[Tensor, Manner], Tensor]
"""Draws the tokens that are -1."""

Finish = Callable[[Tensor, Tensor, Manner], Tensor]
"""Draws some cells of filled rows once more, given which are free."""

Pool = Callable[[int, int, bool], Tensor]
"""Draws so many rows with a seed, finished or not."""


def critic_of(layout: Layout, parts: Parts, pool: Pool, seed: int, progress: bool | None) -> TreeCritic | None:
    """A critic of what a model draws, None where that looks real already or there are too few rows to say.

    Args:
        layout: The slots.
        parts: The rows of the fit.
        pool: Draws rows: what is left to see in finished ones, the choice is to mend in those that are not.
        seed: The fit's seed.
        progress: Whether to show a bar.
    """
    real, weights = parts.training, parts.weights
    if len(real) < LEAST or layout.partial:
        return None
    first, second, own = (int(part) for part in np.random.SeedSequence([seed, 4]).generate_state(3))
    looked = min(GLANCE, len(real))
    if len(real) >= ALL:
        few = None if weights is None else weights[:looked]
        if first_look(layout, real[:looked], pool(looked, first, True), seed=own, weights=few) < SEEN:
            return None
    wanted, many = min(DRAWN * len(real), POOL), list[Tensor]()
    with progress_bar(wanted, "learn to choose", "row", progress) as shown:
        for begin in range(0, wanted, GLANCE):
            many.append(pool(min(GLANCE, wanted - begin), second + begin, False))
            shown.update(len(many[-1]))
    critic = TreeCritic.taught(layout, real, torch.cat(many), seed=own, weights=weights)
    return critic if critic.gain >= WORTH else None


@dataclass(frozen=True, eq=False)
class Choice:
    """How rows are chosen among candidates.

    Attributes:
        layout: The slots.
        emit: Which tokens of each slot a synthetic row may hold; two-dimensional for a low digit.
        log_odds: How real rows of tokens look, shape (rows,).
    """

    layout: Layout
    emit: Sequence[npt.NDArray[np.bool_]]
    log_odds: Callable[[Tensor], Tensor]

    @classmethod
    def by(cls, trees: TreeCritic | None, emit: Sequence[npt.NDArray[np.bool_]]) -> Choice | None:
        """The choice of a critic of trees; None where there is none."""
        return None if trees is None else cls(trees.forest.layout, emit, trees.log_odds)

    def of(self, tokens: Tensor, manner: Manner) -> Tensor:
        """Positions of one in ``CANDIDATES`` rows, shape (rows / CANDIDATES,)."""
        weights = self.log_odds(tokens).double().clamp(-10, 10).exp()
        # No row weighs more than so many times the mean, so that none is taken twice.
        weights = capped(weights, CANDIDATES)
        if manner.calibrate:
            weights = raked(weights, tokens, self._targets(tokens.device), CANDIDATES)
        if not manner.stratify:
            return one_each(weights, CANDIDATES, manner.noise)
        order = torch.randperm(len(tokens), generator=manner.noise, device=tokens.device)
        for slot in sorted(range(len(self.layout.sizes)), key=lambda slot: -self.layout.sizes[slot])[-SORTED:]:
            order = order[tokens[order, slot].argsort(stable=True)]
        return systematic(weights, len(tokens) // CANDIDATES, order, manner.noise)

    def _targets(self, device: torch.device) -> dict[int, Tensor]:
        """The share of each token that the chosen rows are to have; a low digit's follow from those of its high one."""
        layout, one = self.layout, [slot for slot, emit in enumerate(self.emit) if emit.ndim == 1]
        return {slot: torch.from_numpy(layout.shares(slot, self.emit[slot])).to(device) for slot in one}


def free_rows(fill: Fill, finish: Finish | None, count: int, slots: int, seed: int, device: torch.device) -> Tensor:
    """Rows as they are drawn where nothing is asked, before any choice, shape (count, slots)."""
    noise = torch.Generator(device).manual_seed(seed)
    manner = Manner([None] * slots, noise, count >= CALIBRATE_FROM, True)
    tokens = fill(torch.full((count, slots), -1, device=device), manner)
    return tokens if finish is None else finish(tokens, torch.ones_like(tokens, dtype=torch.bool), manner)


def draw_rows(
    fill: Fill,
    finish: Finish,
    choice: Choice | None,
    fixed: Tokens,
    limits: list[Floats | None],
    draw: SampleContext,
    device: torch.device,
    *,
    calibrate: bool,
    stratify: bool,
) -> Tokens:
    """Draw the tokens that are -1, some rows at a time, shape (rows, slots).

    Args:
        fill: Draws the tokens of some rows.
        finish: What is done with rows that are chosen.
        choice: How rows are chosen among more of them; None draws only what is wanted. Rows of which something is
            known or restricted are never chosen.
        fixed: Tokens, -1 where free.
        limits: The allowed share of each token of a slot, None where nothing is asked.
        draw: Where random numbers come from, and whether to show a bar.
        device: Where to draw.
        calibrate: Pull each slot's mean prediction to its training marginal, where there are rows enough.
        stratify: Deal random numbers evenly to similar rows.
    """
    noise = torch.Generator(device).manual_seed(int(draw.rng.integers(2**63)))
    if any(limit is not None for limit in limits) or bool((fixed >= 0).any()):
        choice = None
    together = CHUNK if choice is None else WANTED
    out = np.empty_like(fixed)
    with progress_bar(len(fixed), "sample", "row", draw.progress) as shown:
        for begin in range(0, len(fixed), together):
            wanted = torch.from_numpy(fixed[begin : begin + together].astype(np.int64)).to(device)
            manner = Manner(limits, noise, calibrate and len(wanted) >= CALIBRATE_FROM, stratify)
            free = wanted < 0
            rows = wanted if choice is None else wanted.repeat_interleave(CANDIDATES, 0)
            rows = torch.cat([fill(part, manner) for part in torch.split(rows, CHUNK)])
            if choice is not None:
                rows = rows[choice.of(rows, manner)]
            out[begin : begin + together] = finish(rows, free, manner).cpu().numpy()
            shown.update(len(wanted))
    return out
