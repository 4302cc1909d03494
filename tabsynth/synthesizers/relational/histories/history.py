"""Vocabulary and network of one child table, whose rows are the history of each parent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays, Floats, Integers
from tabsynth.data.table import Table
from tabsynth.relations.categories.token_rules import TokenRule, rules_from_state, rules_state
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.enforcement import Relations, combined_state, restored_relations
from tabsynth.schema.columns import Identifier
from tabsynth.schema.constraints import RefusedRule
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.context import RunningContext
from tabsynth.synthesizers.relational.histories.gaps import LEFT_ROWS, N_RATIOS
from tabsynth.synthesizers.relational.histories.memory import N_MEANS
from tabsynth.synthesizers.relational.histories.network import HistoryNetwork, check_weights
from tabsynth.synthesizers.relational.histories.running_slots import N_AFTER, RunningSlots
from tabsynth.synthesizers.relational.occurrences.calendar_days import CalendarGaps
from tabsynth.synthesizers.relational.occurrences.earlier_numbers import N_DISTANCES, EarlierNumber, distance_classes
from tabsynth.synthesizers.relational.occurrences.precedents import RowClass
from tabsynth.synthesizers.relational.occurrences.repeated_numbers import NumbersByClass
from tabsynth.synthesizers.relational.occurrences.times_of_day import TimesOfDay

GAP = "_gap"
PERSON = "_person"
"""Tokens of a numeric column, so that it takes one slot."""


@dataclass(eq=False)
class History:
    """A child table's vocabulary and network.

    Attributes:
        codec: Vocabulary of the child's columns, dates as distances, plans of its own children included.
        relations: Relations between its numeric columns.
        rules: Declared constraints.
        order: The slots in sampling order, the gap first.
        allowed: Tokens of each slot that may be sampled, in that order.
        running: Bins of the running numbers.
        parents: Number of tokens of each feature of the parents.
        network: The network.
        bias: Correction of each slot's logits, learned by simulation.
        stay_bias: Correction of the logit by which a slot repeats the previous sibling, by that sibling's token.
        new_bias: Correction of the logits of the tokens that a history has not had yet.
        ratio_bias: Correction of the gap's ratios, by class of remaining rows, shape (classes, ratios).
        longest: Longest gap as a share of the remaining time, by class of remaining rows, shape (classes,).
        totals: Running totals of its columns.
        distance_bias: Correction of the classes of distances from earlier numbers, by slot.
        exact: Repetition and rounding of numbers, by class.
        after_bias: Correction of the bins of the running total that a slot decides, by slot.
        functions: Functional dependencies and excluded pairs between slots, in sampling order.
        calendar: Gaps of whole days; None if the days that they reach do not matter.
        day_times: Times of day; None if sampled times are used as they are.
    """

    codec: Codec
    relations: Relations
    rules: RuleSet
    order: list[int]
    allowed: list[npt.NDArray[np.bool_]]
    running: RunningContext
    parents: list[int]
    network: HistoryNetwork
    bias: list[npt.NDArray[np.float32]]
    stay_bias: list[npt.NDArray[np.float32]]
    new_bias: list[npt.NDArray[np.float32]]
    ratio_bias: npt.NDArray[np.float32]
    longest: Floats
    totals: RunningSlots
    distance_bias: dict[int, npt.NDArray[np.float32]]
    exact: NumbersByClass
    after_bias: dict[int, npt.NDArray[np.float32]]
    functions: tuple[TokenRule, ...] = ()
    calendar: CalendarGaps | None = None
    day_times: TimesOfDay | None = None

    @classmethod
    def untrained(
        cls,
        codec: Codec,
        relations: Relations,
        rules: RuleSet,
        order: list[int],
        allowed: list[npt.NDArray[np.bool_]],
        running: RunningContext,
        parents: list[int],
        totals: RunningSlots,
        *,
        row_class: RowClass | None,
        earlier: Sequence[EarlierNumber],
        longest: Floats,
        exact: NumbersByClass,
        functions: tuple[TokenRule, ...],
        calendar: CalendarGaps | None,
        width: int,
        memory: int,
        dropout: float,
        seed: int,
    ) -> Self:
        """Return a history with a new network and without corrections.

        The arguments are attributes of a history and arguments of its network; ``seed`` is that of the first weights.
        """
        sizes = [codec.slots[i].size for i in order]
        network = HistoryNetwork(
            sizes,
            [*parents, *running.early_sizes, *totals.sizes],
            running.late_sizes + ([] if calendar is None else calendar.late_sizes),
            row_class,
            earlier,
            [*totals.deciding],
            calendar,
            width=width,
            memory=memory,
            dropout=dropout,
            generator=torch.Generator().manual_seed(seed),
        )
        bias, stay_bias, new_bias = ([np.zeros(size, np.float32) for size in sizes] for _ in range(3))
        return cls(
            codec,
            relations,
            rules,
            order,
            allowed,
            running,
            parents,
            network,
            bias,
            stay_bias,
            new_bias,
            np.zeros((len(LEFT_ROWS), N_RATIOS), np.float32),
            longest,
            totals,
            {one.slot: np.zeros(N_DISTANCES, np.float32) for one in earlier},
            exact,
            {slot: np.zeros(N_AFTER, np.float32) for slot in totals.deciding},
            functions,
            calendar,
        )

    @property
    def has_gaps(self) -> bool:
        """Whether the first slot is the gap: the rows have a time, and some have an earlier sibling."""
        return GAP in self.codec.coders

    @property
    def categories(self) -> list[int]:
        """Slots of categories, in sampling order."""
        return category_slots(self.codec, self.order)

    @property
    def sizes(self) -> list[int]:
        """Number of tokens of each slot, in sampling order."""
        return [self.codec.slots[i].size for i in self.order]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        config, arrays = combined_state(self.codec, self.relations)
        (running, edges), (totals, held) = self.running.state(), self.totals.state()
        functions, tables = rules_state(self.functions)
        day_times, hours = ({}, {}) if self.day_times is None else self.day_times.state()
        weights = {f"net.{name}": w.numpy() for name, w in self.network.state_dict().items()}
        return (
            {
                "codec": config,
                "rules": self.rules.schema.to_dict(),
                "order": self.order,
                "running": running,
                "parents": self.parents,
                "totals": totals,
                "class_slots": list(self.network.row_class.slots if self.network.row_class else ()),
                "earlier": {str(slot): one.by_class for slot, (_, one, _) in self.network.earlier.items()},
                "width": self.network.width,
                "memory": self.network.keep.out_features // N_MEANS,
                "functions": functions,
                "day_times": day_times,
            },
            {
                **arrays,
                **held,
                **{f"running.{name}": a for name, a in edges.items()},
                **{f"day_times.{name}": a for name, a in hours.items()},
                **{f"allowed.{i}": a for i, a in enumerate(self.allowed)},
                "longest": self.longest,
                **({} if self.calendar is None else {"recurring": self.calendar.recurring}),
                **self.exact.state(),
                **self._corrections(),
                **tables,
                **weights,
            },
        )

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Self:
        """Rebuild a history from its state."""

        def under(prefix: str) -> Arrays:
            return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}

        codec = Codec.from_state(config["codec"], arrays)
        order, weights = [int(i) for i in config["order"]], under("net.")
        row_class = RowClass.read(config, [codec.slots[i].size for i in order])
        check_weights(weights, config["width"], config["memory"], sum(config["parents"]))
        earlier = [
            EarlierNumber(int(at), by_class, distance_classes(codec.numeric_coders[codec.slots[order[int(at)]].column]))
            for at, by_class in config.get("earlier", {}).items()
        ]
        running = RunningContext.from_state(config["running"], under("running."))
        calendar = None
        if "recurring" in arrays:
            calendar = CalendarGaps.of(codec.numeric_coders[GAP], running.seconds or 0.0, arrays["recurring"])
        history = cls.untrained(
            codec,
            restored_relations(config["codec"], arrays, codec),
            RuleSet.of(Schema.from_dict(config["rules"])),
            order,
            [arrays[f"allowed.{i}"] for i in range(len(order))],
            running,
            list(config["parents"]),
            RunningSlots.from_state(codec, order, config.get("totals", ()), arrays),
            row_class=row_class,
            earlier=earlier,
            longest=arrays["longest"],
            exact=NumbersByClass.from_state(arrays, 1 if row_class is None else row_class.size),
            functions=rules_from_state(config.get("functions", []), arrays, [codec.sizes[i] for i in order]),
            calendar=calendar,
            width=config["width"],
            memory=config["memory"],
            dropout=0.0,
            seed=0,
        )
        history.network.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in weights.items()})
        history.network.eval()
        if config.get("day_times"):
            history.day_times = TimesOfDay.from_state(config["day_times"], under("day_times."))
        for name, correction in history._corrections().items():
            if arrays[name].shape != correction.shape:
                raise ValueError(f"the corrections {name} do not fit the vocabulary")
            correction[...] = arrays[name]
        return history

    def _corrections(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the corrections of the logits by their names in the state."""
        return {
            **{f"bias.{i}": a for i, a in enumerate(self.bias)},
            **{f"stay_bias.{i}": a for i, a in enumerate(self.stay_bias)},
            **{f"new_bias.{i}": a for i, a in enumerate(self.new_bias)},
            "ratio_bias": self.ratio_bias,
            **{f"distance_bias.{slot}": a for slot, a in self.distance_bias.items()},
            **{f"after_bias.{slot}": a for slot, a in self.after_bias.items()},
        }


def category_slots(codec: Codec, order: list[int]) -> list[int]:
    """Return the positions, in sampling order, of categories that are encoded in one slot."""
    slots = codec.slots
    return [at for at, i in enumerate(order) if slots[i].digit is None and slots[i].column not in codec.numeric_coders]


def vocabulary(
    frame: pd.DataFrame,
    schema: Schema,
    persons: Integers,
    *,
    min_group: int,
    tokens: int | None = None,
    computed: Collection[str] = (),
) -> tuple[Codec, Relations]:
    """Return the codec and relations of a table whose rows belong to persons, without identifiers of its own.

    Args:
        frame: The rows.
        schema: Their schema.
        persons: The root's row number of each row, shape (n,): a value is released if ``min_group`` roots share it.
        min_group: Minimum number of roots.
        tokens: Approximate number of tokens of a numeric column.
        computed: Columns that are computed from other rows, for which relations within a row are not searched.
    """
    columns = {name: column for name, column in schema.items() if column.role != "person"}
    refused = tuple(rule for rule in schema.constraints if isinstance(rule, RefusedRule))
    own = Schema({**columns, PERSON: Identifier(name=PERSON, role="person")}, refused)
    table = Table(frame[list(columns)].assign(**{PERSON: persons.astype(str)}), own)
    codec = Codec.measure(table, min_group=min_group, tokens=tokens)
    relations = Relations.discover(table, codec, without=computed)
    schema = Schema({name: codec.schema[name] for name in columns})
    coders = {name: codec.coders[name] for name in columns}
    patterns = {name: pattern for name, pattern in codec.patterns.items() if name in columns}
    dtypes = {name: codec.dtypes[name] for name in columns}
    return Codec(schema, coders, dtypes, patterns, codec.rows, codec.min_group), relations
