"""Imputation of missing cells by a token model with conditional distributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import pandas as pd
import torch

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Floats, Tokens
from tabsynth.data.table import Table, checked_rows
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.declared.satisfy import satisfy, satisfy_keys
from tabsynth.synthesizers.options import SampleContext
from tabsynth.synthesizers.sampling.autoregressive import AutoregressiveSampler
from tabsynth.synthesizers.sampling.conditions import Conditions, present_only
from tabsynth.synthesizers.sampling.declared_rules import fixed_cells_of
from tabsynth.synthesizers.sampling.discriminator_selection import CHUNK_ROWS
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer


class ConditionalModel(Protocol):
    """A model of the learned slots."""

    def probabilities(self, tokens: Tokens, column: int) -> Floats:
        """Return the distribution of a slot given the known tokens of rows."""


Predictor = Callable[[Tokens, list[Floats | None]], tuple[Tokens, dict[str, Floats]]]
"""Maps tokens (-1 where unknown) and limits to the most probable tokens and the expected numbers."""


def impute_rows(
    synthesizer: TokenSynthesizer, expected: Predictor, data: pd.DataFrame | Table, seed: int | None, draw: bool
) -> pd.DataFrame:
    """Return the rows with the missing cells of all learned columns filled.

    Args:
        synthesizer: The fitted synthesizer.
        expected: Predicts the unknown cells.
        data: Rows with missing cells; columns may be absent altogether.
        seed: Seed of the draw.
        draw: Sample the missing cells of a row jointly; otherwise predict the most probable category or expected
            number.
    """
    how = SampleContext.of(seed, False, calibrate=False, stratify=False)
    frame = checked_rows(data).reset_index(drop=True)
    codec = synthesizer.codec_
    conditions = Conditions.of(codec, frame, len(frame), strict=False)
    tokens = synthesizer._constant_tokens(len(frame))
    numbers = dict(conditions.numbers)
    if synthesizer.active_ and len(frame):
        fixed = conditions.fixed[:, synthesizer.active_]
        limits = replace(conditions, allowed=present_only(codec)).limits(codec, synthesizer.active_)
        if draw:
            filled = synthesizer._sample_tokens(fixed, limits, how)
        else:
            filled, means = expected(fixed, limits)
            for name, values in means.items():
                known = numbers.get(name, np.full(len(frame), np.nan))
                numbers[name] = np.where(np.isnan(known), values, known)
        tokens[:, synthesizer.active_] = synthesizer._repair_dependencies(filled, fixed >= 0, limits, how.rng)
    rows = synthesizer.relations_.decode(
        codec,
        tokens,
        how.rng,
        numbers=numbers,
        given=conditions.numbers,
        fixed_tokens=conditions.held(codec),
    )
    rows = conditions.finish(rows, codec)
    rules = RuleSet.of(synthesizer.schema_)
    fixed_cells = fixed_cells_of(conditions, codec, rules)
    rows = satisfy(rules, rows, codec, fixed_cells, how.rng, strict=False)
    return satisfy_keys(rules, rows, codec, fixed_cells, how.rng, strict=False)


def slotwise_predictor(synthesizer: TokenSynthesizer, model: ConditionalModel) -> Predictor:
    """Return the predictions slot by slot."""
    return lambda fixed, limits: _predict(synthesizer, model, fixed, limits)


def _predict(
    synthesizer: TokenSynthesizer, model: ConditionalModel, fixed: Tokens, limits: list[Floats | None]
) -> tuple[Tokens, dict[str, Floats]]:
    """Return the most probable token of each unknown cell, and the expected number of numeric columns."""
    out = fixed.copy()
    numbers: dict[str, Floats] = {}
    for place, position in enumerate(synthesizer.active_):
        rows = np.flatnonzero(fixed[:, place] < 0)
        if not len(rows):
            continue
        slot, limit = synthesizer.codec_.slots[position], limits[place]
        probabilities = model.probabilities(fixed[rows], place)
        if limit is not None:  # a low digit is chosen after its high digit
            probabilities = probabilities * (limit[out[rows, place - 1]] if limit.ndim == 2 else limit)
        out[rows, place] = probabilities.argmax(1)
        means = synthesizer.codec_.means(slot)
        if means is not None:
            ordered = probabilities[:, : len(means)]
            values = np.full(len(fixed), np.nan)
            values[rows] = ordered @ means / np.maximum(ordered.sum(1), 1e-300)
            numbers[slot.column] = values
    return out, numbers


def predict_in_chunks(
    drawer: AutoregressiveSampler, fixed: Tokens, codec: Codec, active: list[int]
) -> tuple[Tokens, dict[str, Floats]]:
    """Return the most probable token of each unknown cell, and the expected number of numeric columns, by a network."""
    slots = [codec.slots[position] for position in active]
    means = [codec.means(slot) for slot in slots]
    out = np.empty_like(fixed)
    known = [slot.column for slot, mean in zip(slots, means, strict=True) if mean is not None]
    numbers = {column: np.full(len(fixed), np.nan) for column in known}
    for begin in range(0, len(fixed), CHUNK_ROWS):
        part = slice(begin, begin + CHUNK_ROWS)
        rows = torch.from_numpy(fixed[part].astype(np.int64)).to(drawer.chain.device)
        tokens, values = drawer.predict(rows, means)
        out[part] = tokens.cpu().numpy()
        for slot, value in values.items():
            numbers[slots[slot].column][part] = value.cpu().numpy()
    return out, numbers
