"""What to link by, and how sure to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tabsynth.errors import InputError

Engine = Literal["splink", "exact", "clk", "none"]


MAX_REPORTED_KEYS = 5


@dataclass(frozen=True)
class LinkSpec:
    """How to link.

    Attributes:
        engine: ``splink`` learns how far agreement tells (Fellegi and Sunter, "A theory for record linkage", Journal of
            the American Statistical Association 64, 1969); ``exact`` joins equal keys; ``clk`` compares Bloom filters;
            ``none`` takes each key of each source for an entity of its own.
        fields: The columns to compare, which must have these names in every source. ``exact`` without fields joins
            by the keys, which then must mean the same in all sources.
        threshold: The probability from which a pair is joined.
        review_band: Pairs with a probability in here are reported for a person to look at.
        one_to_one: Whether an entity has at most one record of each source.
        alarms: What ``mix`` does when persons may be several people: ``fail``, or ``report`` it and go on.
    """

    engine: Engine = "splink"
    fields: tuple[str, ...] = ()
    threshold: float = 0.95
    review_band: tuple[float, float] = (0.5, 0.95)
    one_to_one: bool = True
    alarms: Literal["fail", "report"] = "fail"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        object.__setattr__(self, "review_band", tuple(self.review_band))
        if self.engine not in get_args(Engine):
            raise InputError(f"link engine must be one of {', '.join(get_args(Engine))}, not {self.engine!r}")
        if not 0 < self.threshold <= 1:
            raise InputError(f"the link threshold must lie above 0 and not above 1, not {self.threshold!r}")
        if len(self.review_band) != 2 or not 0 <= self.review_band[0] <= self.review_band[1] <= 1:
            raise InputError(f"the review band must be two probabilities, low then high, not {self.review_band!r}")
        if len(set(self.fields)) < len(self.fields):
            raise InputError(f"a field to link by is named twice: {self.fields!r}")
        if self.engine in ("splink", "clk") and not self.fields:
            raise InputError(f"engine {self.engine!r} needs the fields to compare; name at least three of them")
