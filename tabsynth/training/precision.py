"""Floating-point type of matrix products: bfloat16 on devices with bfloat16 units, float32 elsewhere."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache

import torch

from tabsynth.errors import InputError

VARIABLE = "TABSYNTH_PRECISION"
"""Environment variable that overrides the choice: ``bfloat16`` or ``float32``."""


def product_dtype(device: torch.device) -> torch.dtype:
    """Return the type of large matrix products on a device: ``torch.bfloat16`` or ``torch.float32``.

    The choice depends only on the instruction set of the processor, not on a measurement, so that a fit with a seed
    always gives the same model on one machine.

    Raises:
        InputError: The environment variable ``TABSYNTH_PRECISION`` is neither ``bfloat16`` nor ``float32``.
    """
    forced = os.environ.get(VARIABLE)
    if forced:
        try:
            return {"bfloat16": torch.bfloat16, "float32": torch.float32}[forced]
        except KeyError:
            raise InputError(f"{VARIABLE} must be bfloat16 or float32, not {forced!r}") from None
    return torch.bfloat16 if _has_bfloat16_units(device.type) else torch.float32


def product_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which matrix products run in the type of ``product_dtype``."""
    dtype = product_dtype(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)


def precision_name(device: torch.device) -> str:
    """Name of the type for cards and reports: ``bfloat16`` or ``float32``."""
    return str(product_dtype(device)).removeprefix("torch.")


@cache
def _has_bfloat16_units(device: str) -> bool:
    """Return whether a kind of device multiplies bfloat16 faster than float32; emulation is several times slower."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    # On x86 oneDNN also claims support where it emulates the products on AVX-512 units without bfloat16.
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capabilities.get("architecture") == "x86_64":
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return bool(capabilities) or torch.cpu._is_avx512_bf16_supported()
