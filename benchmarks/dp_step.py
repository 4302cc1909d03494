"""What a step of DP-SGD costs beside a plain one on the same rows, for each network that is trained so.

A plain step is a forward and a backward pass of the mean loss and Adam's update, in the same precision. Both are
medians of CPU seconds, so that other work on the machine counts little.

    python benchmarks/dp_step.py
    python benchmarks/dp_step.py --short              few rows, nothing is kept
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import print_result
from torch import Tensor, nn

from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig, DpSgdStep
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.private.gan import CRITIC_WIDTH, real_losses
from tabsynth.training.networks.discriminator import Critic
from tabsynth.training.networks.ghost_networks import RowwiseCritic, RowwiseDecoder
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import slot_losses
from tabsynth.training.networks.masked_dp import PlainNet
from tabsynth.training.networks.vae import LatentNet, LatentSizing

RESULTS = Path(__file__).resolve().parent / "results" / "dp_step.jsonl"
SIZES = (40, 9, 60, 16, 16, 7, 15, 6, 5, 2, 30, 25, 40, 42, 2)
LINES = (40, 0, 60, 0, 16, 0, 0, 0, 0, 0, 30, 25, 40, 0, 0)

Made = tuple[nn.Module, Callable[[nn.Module], Tensor]]


def main() -> None:
    """Print and keep a line of JSON for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096, help="rows of a step")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--short", action="store_true", help="few rows; nothing is kept")
    args = parser.parse_args()
    rows, steps = (256, 3) if args.short else (args.rows, args.steps)
    for name, make in {"masked": masked, "vae": vae, "critic": critic}.items():
        facts: dict[str, Any] = {"network": name, "rows": rows, "threads": torch.get_num_threads()}
        plain, private = (seconds(step, steps) for step in (plain_step(*make(rows)), private_step(*make(rows), rows)))
        facts |= {"plain_cpu_ms": round(1000 * plain, 1), "private_cpu_ms": round(1000 * private, 1)}
        facts |= {"ratio": round(private / plain, 2), "date": datetime.date.today().isoformat()}
        print_result(facts, None if args.short else args.output)


def seconds(step: Callable[[], None], steps: int) -> float:
    """Median CPU seconds of a step; the first one is not counted."""
    found = []
    for _ in range(steps + 1):
        began = time.process_time()
        step()
        found.append(time.process_time() - began)
    return float(np.median(found[1:]))


def plain_step(module: nn.Module, losses: Callable[[nn.Module], Tensor]) -> Callable[[], None]:
    """A step of Adam."""
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        losses(module).mean().backward()
        optimiser.step()

    return step


def private_step(module: nn.Module, losses: Callable[[nn.Module], Tensor], rows: int) -> Callable[[], None]:
    """A step of DP-SGD."""
    step = DpSgdStep(module, DpSgdConfig(1, 1.0, 1.0, 1.0, rows), Noise.secure())
    return lambda: step.take(losses)


def masked(rows: int) -> Made:
    """The masked network."""
    net, tokens = PlainNet(layout(), width=128, blocks=2, generator=seeded()), drawn(rows)
    hidden = torch.rand(tokens.shape, generator=seeded()) < 0.5
    return net, lambda own: slot_losses(own(tokens.masked_fill(hidden, -1)), tokens, net.layout).sum(1)


def vae(rows: int) -> Made:
    """Prior and decoder of a VAE."""
    sizing = LatentSizing.of(32_000, layout())
    net, tokens = LatentNet(layout(), range(len(SIZES)), sizing, seeded()), drawn(rows)
    latents = torch.randn(rows, sizing.latents, generator=seeded())
    return RowwiseDecoder(net), lambda own: own(latents, tokens)


def critic(rows: int) -> Made:
    """The critic of a GAN, on real rows."""
    module, tokens = RowwiseCritic(Critic(layout(), width=CRITIC_WIDTH, generator=seeded())), drawn(rows)
    return module, lambda own: real_losses(own, tokens=tokens, generator=seeded())


def layout() -> Layout:
    """Slots as Adult has them."""
    return Layout(SIZES, LINES, tuple(np.full(size, 100) for size in SIZES))


def drawn(rows: int) -> Tensor:
    """Random tokens."""
    return torch.stack([torch.randint(0, size, (rows,), generator=seeded()) for size in SIZES], 1)


def seeded() -> torch.Generator:
    """The same randomness every time."""
    return torch.Generator().manual_seed(0)


if __name__ == "__main__":
    main()
