"""How a network of tokens is fitted: it is trained, then a critic looks at what it draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from tabsynth.synthesizers.base import Run
from tabsynth.synthesizers.choosing import Pool, critic_of
from tabsynth.training.loop import Recipe, train
from tabsynth.training.networks.layout import Layout
from tabsynth.training.stages import Stages
from tabsynth.training.trees.discriminator import TreeCritic
from tabsynth.training.validation_split import Parts


def fit_net(
    net: nn.Module,
    layout: Layout,
    loss: Callable[[Tensor, torch.Generator], Tensor],
    judge: Callable[[], float],
    parts: Parts,
    recipe: Recipe,
    pool: Pool,
    run: Run,
    fingerprint: str,
    pace: Callable[[float], None] | None = None,
    trained: Callable[[], None] | None = None,
) -> tuple[float | None, TreeCritic | None]:
    """Train a network in place; return its score on held-out rows, and a critic of its rows where one is of use.

    Args:
        net: What is trained.
        layout: The slots.
        loss: See ``train``, as for the judge, the recipe and the pace.
        judge: Score of the network on held-out rows.
        parts: The rows of the fit.
        recipe: How long and how fast.
        pool: Draws rows for a critic.
        run: The fit's seed, callbacks and checkpoint.
        fingerprint: Names the fit for its checkpoint.
        pace: Told before every step which share of the fit is done.
        trained: Called when the network is trained, before a critic looks.
    """

    def fit(checkpoint: Path | None, fingerprint: str) -> float | None:
        return train(
            net,
            loss,
            judge,
            parts.training,
            recipe,
            seed=run.seed,
            checkpoint=checkpoint,
            fingerprint=fingerprint,
            callbacks=run.callbacks,
            progress=run.progress,
            pace=pace,
            weights=parts.weights,
        )

    stages = Stages(run.checkpoint, fingerprint)
    score = stages.run("network", net, fit)
    if trained is not None:
        trained()
    trees = critic_of(layout, parts, pool, run.seed, run.progress)
    stages.clear()
    return score, trees
