"""Layers of networks before their weights are set."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def new_layer(kind: type[Layer], *sizes: int) -> Layer:
    """Return a layer whose weights the caller sets; torch's global generator stays as it is.

    ``nn.utils.skip_init`` does the same, but imports the compiler of torch, which takes a second.

    Args:
        kind: Class of the layer; its constructor sets weights in ``reset_parameters`` only.
        sizes: Arguments of the constructor.
    """
    layer: Layer = type(kind.__name__, (kind,), {"reset_parameters": lambda self: None})(*sizes)
    layer.__class__ = kind
    return layer
