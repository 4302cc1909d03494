"""Settings of record linkage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tabsynth.errors import InputError

Engine = Literal["splink", "exact", "clk", "none"]

MAX_REPORTED_KEYS = 5


@dataclass(frozen=True)
class LinkSpec:
    """Settings of record linkage.

    Attributes:
        engine: ``splink`` learns a weight of each field's agreement (Fellegi and Sunter, "A theory for record linkage",
            Journal of the American Statistical Association 64, 1969); ``exact`` joins equal keys; ``clk`` compares
            Bloom filters; with ``none``, each key of each source is its own entity.
        fields: The columns to compare, which must have these names in every source. ``exact`` without fields joins
            by the keys, which then must mean the same in all sources.
        threshold: Minimum probability of a joined pair.
        review_band: Probability range of the pairs reported for review.
        one_to_one: Whether an entity has at most one record of each source.
        alarms: Whether ``mix`` fails on alarms (``fail``) or only reports them (``report``).
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
            raise InputError(f"the link threshold must be above 0 and at most 1, not {self.threshold!r}")
        if len(self.review_band) != 2 or not 0 <= self.review_band[0] <= self.review_band[1] <= 1:
            raise InputError(f"the review band must be two probabilities, low then high, not {self.review_band!r}")
        if len(set(self.fields)) < len(self.fields):
            raise InputError(f"a field to link by is named twice: {self.fields!r}")
        if self.engine in ("splink", "clk") and not self.fields:
            raise InputError(f"engine {self.engine!r} needs the fields to compare; name at least three of them")
