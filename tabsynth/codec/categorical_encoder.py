"""Encoder of categorical columns, one token for each frequent value.

Token order in every encoder: the ordinary tokens, then RARE (values of fewer than ``min_group`` persons, and unseen
values), then MISSING.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.json_values import from_plain, plain_value, to_plain
from tabsynth.codec.numeric_encoder import QuantileCoder, count_persons
from tabsynth.common.arrays import Arrays, Tokens, check_numbers
from tabsynth.schema.columns import Value
from tabsynth.schema.kinds.release_floor import release_floor

MAX_SHARE_ERROR = 1e-8
"""Rounding error of the sum of shares, as numpy's sampler allows."""


@dataclass(frozen=True, eq=False)
class ValueCoder:
    """Encode categories, one token for each value.

    Attributes:
        values: The ordinary values, sorted when ``ordered``, else by frequency.
        counts: Training rows of each token, shape (size,).
        allowed_tokens: Tokens that a synthetic row may contain, shape (size,).
        public: Values that RARE may be decoded to: rare ones that the schema declares, or substitutes for rare ones.
        ordered: Whether neighbouring tokens mean neighbouring values.
        public_shares: Shares of the public values among decoded RARE tokens; equal by default.
        raised_floor: Minimum persons of a value, if it is more than ``min_group``; see ``release_floor``.
    """

    values: tuple[Value, ...]
    counts: npt.NDArray[np.int64]
    allowed_tokens: npt.NDArray[np.bool_]
    public: tuple[Value, ...] = ()
    ordered: bool = False
    public_shares: tuple[float, ...] = ()
    raised_floor: int = 0

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.values) + 2

    @property
    def rare(self) -> int:
        """The RARE token."""
        return len(self.values)

    @property
    def missing(self) -> int:
        """The MISSING token."""
        return len(self.values) + 1

    @property
    def n_ordered_tokens(self) -> int:
        """Number of leading tokens whose order has a meaning."""
        return len(self.values) if self.ordered else 0

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.values, dtype=None if self.values else object)

    def encode(self, values: pd.Series) -> Tokens:
        """Return the tokens of a column, shape (n,)."""
        codes, uniques = pd.factorize(values, use_na_sentinel=True)
        tokens = self._index.get_indexer(pd.Index(uniques)) if len(uniques) else np.empty(0, np.int64)
        table = np.append(np.where(tokens < 0, self.rare, tokens), self.missing)
        return table[codes].astype(np.int32)

    def decode(self, tokens: Tokens, rng: np.random.Generator) -> npt.NDArray[np.object_]:
        """Return the values of tokens, shape (n,), None where missing."""
        table = np.empty(self.size, dtype=object)
        table[: len(self.values)] = self.values
        out: npt.NDArray[np.object_] = table[tokens]
        pooled = np.flatnonzero(tokens == self.rare)
        if len(pooled) and self.public:
            choices = np.empty(len(self.public), dtype=object)
            choices[:] = self.public
            shares = self.public_shares or None
            out[pooled] = choices[rng.choice(len(choices), size=len(pooled), p=shares)]
        elif len(pooled) and self.values:  # not public, so replaced by ordinary values, by frequency
            weights = self.counts[: len(self.values)] / max(self.counts[: len(self.values)].sum(), 1)
            out[pooled] = table[rng.choice(len(self.values), size=len(pooled), p=weights)]
        return out

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        config: dict[str, Any] = {"coder": "value", "ordered": self.ordered}
        config |= {"values": list(map(to_plain, self.values)), "public": list(map(to_plain, self.public))}
        if self.public_shares:
            config["public_shares"] = list(self.public_shares)
        if self.raised_floor:
            config["raised_floor"] = self.raised_floor
        return config, {"counts": self.counts, "emit": self.allowed_tokens}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> ValueCoder:
        """Rebuild a coder from its state.

        Raises:
            ValueError: Its arrays do not fit its categories.
        """
        coder = cls(
            values=tuple(map(from_plain, config["values"])),
            counts=arrays["counts"],
            allowed_tokens=arrays["emit"].astype(bool),
            public=tuple(map(from_plain, config["public"])),
            ordered=bool(config["ordered"]),
            public_shares=tuple(config.get("public_shares", ())),
            raised_floor=int(config.get("raised_floor", 0)),
        )
        check_numbers(coder.counts, (coder.size,), "the counts of categories", low=0, whole=True)
        if coder.allowed_tokens.shape != (coder.size,) or len(set(map(repr, config["values"]))) != len(coder.values):
            raise ValueError("the categories that may be sampled are not those of the column")
        if coder.public_shares:
            shares = np.array(coder.public_shares)
            check_numbers(shares, (len(coder.public),), "the shares of public categories", low=0)
            if abs(shares.sum() - 1) > MAX_SHARE_ERROR:
                raise ValueError("the shares of public categories do not sum to 1")
        return coder

    @classmethod
    def measure(
        cls,
        values: pd.Series,
        *,
        declared: Sequence[Value] | None = None,
        ordered: bool = False,
        min_group: int = 5,
        persons: npt.NDArray[np.int64] | None = None,
    ) -> ValueCoder:
        """Fit the encoder to a column.

        Args:
            values: The column, shape (n,).
            declared: Public values, which may be released however rare they are.
            ordered: Keep the values sorted (or in their declared order).
            min_group: A value of fewer persons than this is pooled into RARE; see ``release_floor``.
            persons: Person of each row, shape (n,); by default each row is its own person.
        """
        codes, uniques = pd.factorize(values, use_na_sentinel=True)
        rows = np.bincount(codes[codes >= 0], minlength=len(uniques))
        n_persons = rows if persons is None else count_persons(codes, persons, len(uniques))
        plain = [plain_value(value) for value in uniques]
        if declared is None and ordered and isinstance(values.dtype, pd.CategoricalDtype):
            declared_order = [plain_value(value) for value in values.dtype.categories]
        else:
            declared_order = list(declared or ())
        floor = max(min_group, 1)
        own_floor = floor if declared else release_floor(n_persons, floor)
        keep = np.flatnonzero(n_persons >= own_floor)
        if ordered:
            rank = {value: i for i, value in enumerate(declared_order)}
            keep = np.array(sorted(keep, key=lambda i: rank.get(plain[i], plain[i])), dtype=np.int64)
        else:
            keep = keep[np.lexsort((keep, -rows[keep]))]
        ordinary = tuple(plain[i] for i in keep)
        public_values = set(declared or ())
        known = set(ordinary)
        public = tuple(value for value in plain if value in public_values and value not in known)
        coder = cls(ordinary, np.zeros(len(ordinary) + 2, np.int64), np.ones(len(ordinary) + 2, bool), public, ordered)
        tokens = coder.encode(values)
        counts = np.bincount(tokens, minlength=coder.size).astype(np.int64)
        groups = counts if persons is None else count_persons(tokens, persons, coder.size)
        allowed = groups >= floor
        allowed[coder.rare] &= bool(public)
        return cls(ordinary, counts, allowed, public, ordered, raised_floor=own_floor if own_floor > floor else 0)


Coder = ValueCoder | QuantileCoder


def coder_from_state(config: dict[str, Any], arrays: Arrays) -> Coder:
    """Rebuild a coder of either kind."""
    return (ValueCoder if config["coder"] == "value" else QuantileCoder).from_state(config, arrays)
