"""Base class of the token models: encoding, conditional sampling, constraints, serialisation."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.rare_value_pooling import person_codes
from tabsynth.codec.token_slots import stored_counts
from tabsynth.common.arrays import Arrays, Floats, Integers, Tokens
from tabsynth.common.validation import check_positive_integers
from tabsynth.data.table import Table, checked_rows
from tabsynth.errors import InputError, quote
from tabsynth.relations.categories import token_rules
from tabsynth.relations.enforcement import Relations, combined_state, restored_relations
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.options import FitOptions, Given, SampleContext
from tabsynth.synthesizers.row_weights import weighted_counts
from tabsynth.synthesizers.sampling.conditional import MAX_TRAINING_SIZES, sample_conditionally
from tabsynth.synthesizers.sampling.conditions import Conditions, split_mixture
from tabsynth.synthesizers.sampling.declared_rules import discovered_hold, sample_satisfying, satisfy_keys_of_mixture
from tabsynth.synthesizers.sampling.discriminator_selection import MAX_CANDIDATES
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.discriminator import TreeDiscriminator
from tabsynth.training.trees.token_forest import Forest


class TokenSynthesizer(Synthesizer):
    """A token model; subclasses learn tokens and sample tokens given fixed ones.

    Attributes:
        codec_: The vocabulary.
        relations_: Relations between columns, enforced in every row.
        layout_: The learned slots; slots that can hold only one token are left out.
        active_: Positions of the learned slots in the codec's token matrix.
        functions_: Functional dependencies and excluded pairs between learned slots.
        trees_: Discriminator for selecting rows; None if it does not help.
    """

    supports_weights: ClassVar[bool] = True
    samples_conditions_exactly: ClassVar[bool] = False
    fits_shards: ClassVar[bool] = False

    epochs: int | None
    min_group: int
    codec_: Codec
    relations_: Relations
    active_: list[int]
    layout_: Layout
    functions_: tuple[token_rules.TokenRule, ...]
    trees_: TreeDiscriminator | None

    def _fit(self, table: Table, run: FitOptions) -> None:
        check_positive_integers(epochs=1 if self.epochs is None else self.epochs, min_group=self.min_group)
        weights, observed = run.row_weights.weights, run.row_weights.observed
        self.codec_ = Codec.measure(table, min_group=self.min_group, observed=observed)
        derived = set(table.schema) - set(self.schema_)
        self.relations_ = Relations.discover(table, self.codec_, without=derived, absent=observed)
        tokens = self.codec_.encode(table.frame)
        for name, here in observed.items():
            for position in self.codec_.positions(name):
                tokens[~here, position] = -1
        counts = [weighted_counts(tokens[:, i], size, weights) for i, size in enumerate(self.codec_.sizes)]
        self._prepare(counts, [i for i in range(len(counts)) if (tokens[:, i] < 0).any()])
        self._learn(tokens, replace(run, persons=person_codes(table, self.min_group)))

    def _learn(self, tokens: Tokens, run: FitOptions) -> None:
        """Learn rows of tokens of the codec, or those in ``run.shards``, of which ``tokens`` is then a sample."""
        learned = tokens[:, self.active_]
        pooled = [self._pooled_tokens(i) for i in self.active_]
        missing = [self.codec_.slots[i].missing for i in self.active_]
        facts = (self.layout_.sizes, pooled, missing, self.layout_.lines)
        self.functions_ = token_rules.discover_token_rules(learned, *facts, run.persons)
        if run.shards is not None:
            run = replace(run, shards=(shards := run.shards.of_slots(self.active_)))
            for rows in shards.each():
                self.functions_ = token_rules.restrict(self.functions_, rows)
        self._fit_tokens(learned, self._identified(learned, run))

    def _prepare(self, counts: list[npt.NDArray[np.int64]], partial: list[int]) -> None:
        """Choose the slots to learn, given the training rows of each token and the partially absent slots."""
        self.counts_, self.partial_, self.functions_, self.trees_ = counts, partial, (), None
        self.__dict__.pop("_allowed_tokens", None)
        slots = self.codec_.slots
        self.active_ = [i for i in range(len(slots)) if self._emittable_tokens(i).sum() > 1]
        n_ordered = [self.codec_.coders[slot.column].n_ordered_tokens if slot.digit is None else 0 for slot in slots]
        self.layout_ = Layout(
            tuple(slots[i].size for i in self.active_),
            tuple(n_ordered[i] for i in self.active_),
            tuple(counts[i] for i in self.active_),
            frozenset(at for at, i in enumerate(self.active_) if i in partial),
            tuple(slots[i].missing for i in self.active_),
        )

    def _emittable_tokens(self, position: int) -> npt.NDArray[np.bool_]:
        """Return the allowed tokens of a slot, shape (size,)."""
        slot = self.codec_.slots[position]
        emit = self.codec_.coders[slot.column].allowed_tokens
        if slot.digit is None:
            return np.asarray(emit & (self.counts_[position] > 0))
        share = self.codec_.digit_share(slot, emit.astype(np.float64))
        return np.asarray((share > 0).any(0) if slot.digit == 1 else share > 0)

    def _pooled_tokens(self, position: int) -> list[int] | None:
        """Return the RARE token of a slot; None for a digit."""
        slot = self.codec_.slots[position]
        return [self.codec_.coders[slot.column].rare] if slot.digit is None else None

    @cached_property
    def _allowed_tokens(self) -> list[npt.NDArray[np.bool_]]:
        """Allowed tokens of each learned slot; for a low digit, one row for each token of its high digit."""
        out = []
        for position in self.active_:
            slot = self.codec_.slots[position]
            emit = self.codec_.coders[slot.column].allowed_tokens.astype(np.float64)
            paired = slot.digit == 1 and position - 1 in self.active_
            out.append(self.codec_.digit_share(slot, emit) > 0 if paired else self._emittable_tokens(position))
        return out

    def _identified(self, tokens: Tokens, run: FitOptions) -> FitOptions:
        """Return the options with what identifies the fit in its checkpoint: kind, data, options and seed."""
        if run.checkpoint is None:
            return run
        facts = [self.kind, self.epochs, self.min_group, run.seed, list(tokens.shape), list(self.layout_.sizes)]
        digest = hashlib.sha256(json.dumps(facts).encode() + np.ascontiguousarray(tokens).tobytes())
        if run.row_weights.weights is not None:
            digest.update(run.row_weights.weights.tobytes())
        return replace(run, fingerprint=digest.hexdigest())

    def _order_digits(self, order: list[int]) -> list[int]:
        """Return an order of the learned slots in which a wide column's high digit comes before its low one."""
        out = list(order)
        for low in range(len(self.active_)):
            if self._allowed_tokens[low].ndim == 2:
                first, second = sorted((out.index(low - 1), out.index(low)))
                out[first], out[second] = low - 1, low
        return out

    def sample(
        self,
        n: int | None = None,
        *,
        given: Given | None = None,
        seed: int | None = None,
        progress: bool | None = None,
        calibrate: bool = True,
        stratify: bool = True,
        mixture: Mapping[Any, float] | None = None,
    ) -> pd.DataFrame:
        """Draw synthetic rows, in the training frame's columns, order and dtypes.

        Args:
            n: Number of rows; by default as many as the training table, or as ``given`` has.
            given: Conditions, met exactly however rare: ``{"sex": "F", "age": (60, 80), "state": ["MA", "NY"]}`` (a
                value, an inclusive range, a list of values) for all rows, or a frame with one row of fixed values for
                each row to draw, missing where free.
            seed: Seed of the draw; the same seed gives the same rows.
            progress: Whether to show a progress bar; by default one on a terminal, for work of over two seconds.
            calibrate: Calibrate each column's mean prediction to its training marginal, in samples of at least 1,000
                rows and in unconditional samples that a condition filters.
            stratify: Stratify the random numbers of similar rows. With both off, rows are independent.
            mixture: Shares of the sources, ``{"cleveland": 0.5, "va": 0.5}``, for a table of several (the column of
                role ``source``, or ``_source``); rows are in random order.

        Raises:
            ConditionError: A condition names an unknown column, or a value that the model cannot generate.
        """
        self._check_fitted()
        draw = SampleContext.of(seed, progress, calibrate=calibrate, stratify=stratify)
        rows = self._rows(n, given)
        if mixture is None or not rows:
            return self._sample(rows, given, draw)
        parts: list[pd.DataFrame] = []
        for wanted, count in split_mixture(self.schema_, mixture, given, rows):
            parts.append(self._sample(count, wanted, replace(draw, start=sum(map(len, parts)))))
        joined = pd.concat(parts, ignore_index=True).iloc[draw.rng.permutation(rows)].reset_index(drop=True)
        conditions = Conditions.of(self.codec_, given, rows)
        return satisfy_keys_of_mixture(self.schema_, self.codec_, joined, conditions, draw.rng)

    def _sample(self, n: int, given: Given | None, draw: SampleContext) -> pd.DataFrame:
        """Sample tokens, decode them, and make the rows satisfy the declared constraints."""
        conditions = Conditions.of(self.codec_, given, n)
        rows = partial(self._draw_rows, conditions, draw)
        hold = partial(discovered_hold, self.codec_, self.relations_, self.functions_, self.active_)
        return sample_satisfying(self.schema_, self.codec_, hold, conditions, rows, draw.rng)

    def _draw_rows(self, conditions: Conditions, draw: SampleContext, left: Integers, attempt: int) -> pd.DataFrame:
        """Return the rows of given numbers as the model draws them."""
        wanted, limits = conditions.of_rows(left), conditions.limits(self.codec_, self.active_)
        tokens = self._constant_tokens(len(left))
        if self.active_ and len(left):
            fixed = wanted.fixed[:, self.active_]
            conditional = partial(sample_conditionally, self._sample_tokens, MAX_TRAINING_SIZES * self.rows_)
            sample = self._sample_tokens if self.samples_conditions_exactly else conditional
            drawn = sample(fixed, limits, replace(draw, calibrate=draw.calibrate and not attempt))
            fixed_cells = (fixed >= 0) | np.array([limit is not None for limit in limits])
            tokens[:, self.active_] = self._repair_dependencies(drawn, fixed_cells, limits, draw.rng)
        rows = self.relations_.decode(
            self.codec_,
            tokens,
            draw.rng,
            ranges=wanted.ranges,
            numbers=wanted.numbers,
            fixed_tokens=wanted.held(self.codec_),
            keys=draw.keys,
            rows=draw.start + left,
        )
        return wanted.finish(rows, self.codec_)

    def _draw_unrepaired(self, n: int, draw: SampleContext) -> tuple[pd.DataFrame, Codec]:
        draw = replace(draw, calibrate=False, stratify=False)
        return self._draw_rows(Conditions.none(self.codec_, n), draw, np.arange(n), 0), self.codec_

    def _repair_dependencies(
        self, tokens: Tokens, fixed: npt.NDArray[np.bool_], limits: list[Floats | None], rng: np.random.Generator
    ) -> Tokens:
        """Return the sampled tokens of the learned slots given fixed ones; functional dependencies hold."""
        if not self.functions_:
            return tokens
        shares: list[Floats] = []
        for position, limit in zip(self.active_, limits, strict=True):
            share = (self.counts_[position] * self._emittable_tokens(position)).astype(np.float64)
            shares.append(share if limit is None else share * limit)
        return token_rules.repair(tokens, fixed, self.functions_, shares, rng)

    def _constant_tokens(self, n: int) -> Tokens:
        """Return the token matrix, with the only possible token in slots that are not learned."""
        only = [np.argmax(self._emittable_tokens(i)) for i in range(len(self.codec_.slots))]
        return np.tile(np.array(only, np.int32), (n, 1))

    def _encode_known(self, data: pd.DataFrame | Table) -> Tokens:
        """Return the learned tokens of rows, -1 for absent columns."""
        self._check_fitted()
        frame = checked_rows(data)
        if unknown := [name for name in frame.columns if name not in self.codec_.coders]:
            raise InputError(f"unknown columns: {quote(unknown)}")
        return self.codec_.encode(frame)[:, self.active_]

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        (config, arrays), (learned, weights) = combined_state(self.codec_, self.relations_), self._model_state()
        arrays = arrays | {f"count.{i}": counts for i, counts in enumerate(self.counts_)}
        functions, tables = token_rules.rules_state(self.functions_)
        arrays |= tables
        config = {"codec": config, "learned": learned, "partial": self.partial_, "functions": functions}
        if self.trees_:
            config |= {"critic_gain": self.trees_.gain, "candidates": self.trees_.candidates}
            arrays |= self.trees_.forest.arrays("critic")
        return config, arrays | {f"net.{name}": a for name, a in weights.items()}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.codec_ = Codec.from_state(config["codec"], arrays)
        self.relations_ = restored_relations(config["codec"], arrays, self.codec_)
        self._prepare(stored_counts(arrays, self.codec_.sizes), list(config["partial"]))
        self.functions_ = token_rules.rules_from_state(config.get("functions", []), arrays, self.layout_.sizes)
        if "critic_gain" in config:
            forest = Forest.from_arrays(arrays, "critic", self.layout_)
            # Files of earlier versions state no number of candidates: it was the maximum.
            candidates = int(config.get("candidates", MAX_CANDIDATES))
            self.trees_ = TreeDiscriminator(forest, config["critic_gain"], min(max(candidates, 1), MAX_CANDIDATES))
        weights = {name.removeprefix("net."): a for name, a in arrays.items() if name.startswith("net.")}
        self._restore_model(config["learned"], weights)

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        vocabulary = {**self.codec_.card(), **self.relations_.card()}
        vocabulary["rules"] += token_rules.describe(
            self.functions_, [self.codec_.slots[i].column for i in self.active_]
        )
        chosen = f"by a critic among {self.trees_.candidates} times as many rows" if self.trees_ else None
        return {**super().card(), "vocabulary": vocabulary, "chosen": chosen}

    @abstractmethod
    def _fit_tokens(self, tokens: Tokens, run: FitOptions) -> None:
        """Learn tokens, shape (rows, learned slots)."""

    @abstractmethod
    def _sample_tokens(self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext) -> Tokens:
        """Sample the tokens that are -1 in ``fixed``, shape (rows, learned slots), within the limits."""

    @abstractmethod
    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``_restore_model``."""

    @abstractmethod
    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        """Restore the state that ``_model_state`` returned."""
