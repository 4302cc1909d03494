"""Layers of networks before their weights are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def new_layer(kind: Callable[..., Layer], *sizes: int) -> Layer:
    """Return a layer whose weights the caller sets; torch's global generator stays as it is.

    ``nn.utils.skip_init`` does the same, but imports the compiler of torch, which takes a second.
    """
    with torch.random.fork_rng(devices=[]):
        return kind(*sizes)
