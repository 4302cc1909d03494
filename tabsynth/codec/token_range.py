"""A range of a numeric column, and the numbers of tokens inside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Floats, Tokens


@dataclass(frozen=True, eq=False)
class TokenRange:
    """An inclusive range of a numeric column, and the part of each token inside it.

    Attributes:
        low, high: Ends of the range.
        first, last: First and last position inside each token, shape (n_ordered_tokens,).
    """

    low: float
    high: float
    first: Floats
    last: Floats

    def decode(self, coder: QuantileCoder, tokens: Tokens, rng: np.random.Generator) -> Floats:
        """Return the numbers of tokens that lie in the range, shape (n,)."""
        inside = np.minimum(tokens, coder.n_ordered_tokens - 1)
        position = self.first[inside] + rng.random(len(tokens)) * (self.last - self.first)[inside]
        return np.clip(coder.decode_at(tokens, np.minimum(position, 1 - 1e-12)), self.low, self.high)
