"""Table to tokens and back, one column at a time."""

from __future__ import annotations

from tabsynth.codec.codec import Codec

__all__ = ["Codec"]
