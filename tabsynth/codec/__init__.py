"""Encode tables as tokens and decode tokens into tables, one column at a time."""

from __future__ import annotations

from tabsynth.codec.codec import Codec

__all__ = ["Codec"]
