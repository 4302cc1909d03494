"""Continue the fit of a masked model with more rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from tabsynth.codec.codec import Codec
from tabsynth.data.table import Table
from tabsynth.errors import InputError, SchemaError, quote
from tabsynth.relations.categories.excluded_pairs import ExcludedPairs
from tabsynth.relations.categories.token_rules import TokenRule, restrict
from tabsynth.relations.enforcement import Relations
from tabsynth.relations.functional_dependencies import FunctionalDependency
from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.sampling.tree_refinement import TreeConditionals
from tabsynth.synthesizers.warm_start.codec import ExtendedCoder, extend_codec
from tabsynth.synthesizers.warm_start.network import Origins, SlotOrigin, copy_weights, extend_cross
from tabsynth.training.loop import chosen_device
from tabsynth.training.networks.masked import MaskedNet
from tabsynth.training.validation_split import split_rows
from tabsynth.training.variable_order import mutual_information, strongest_predecessors

if TYPE_CHECKING:
    from tabsynth.synthesizers.masked import MaskedSynthesizer

EPOCHS_SHARE, RATE_SHARE = 0.9, 0.5
"""Epochs and peak learning rate, relative to those of a fit from the start."""


def check_start(start: MaskedSynthesizer, run: FitOptions) -> None:
    """Raise unless a model can be continued.

    Raises:
        InputError: It is not fitted, private, or the rows are weighted.
    """
    if not start.__sklearn_is_fitted__():
        raise InputError("warm_start is not fitted; fit it first")
    if start._ledger is not None:
        raise InputError(
            "warm_start was fitted with privacy=, and a fit without it would not keep its guarantee; fit all rows from "
            "the start"
        )
    if run.row_weights.weights is not None or run.row_weights.observed or start.partial_:
        raise InputError("warm_start takes no row weights and no absent columns; fit all rows from the start")


def fit_warm(model: MaskedSynthesizer, start: MaskedSynthesizer, table: Table, run: FitOptions) -> None:
    """Continue from a fitted model with more rows, in its extended vocabulary.

    Args:
        model: The synthesizer to fit.
        start: The fitted one, which stays as it is.
        table: More rows.
        run: Options of the fit.

    Raises:
        InputError: The model cannot be continued.
        SchemaError: The rows have other columns.
    """
    check_start(start, run)
    if sorted(table.frame.columns) != sorted(start.codec_.coders):
        odd = sorted({*table.frame.columns} ^ {*start.codec_.coders})
        raise SchemaError(f"warm_start has other columns than the table: {quote(odd)}; give the rows the same columns")
    frame = table.frame[list(start.codec_.coders)]
    codec, extended = extend_codec(start.codec_, Table(frame, table.schema), model.min_group)
    tokens = codec.encode(frame)
    model.codec_, model.relations_ = codec, _kept_relations(start.relations_, codec, extended, frame)
    model.rows_ = start.rows_ + len(table)
    model._prepare(_all_counts(start, codec, extended, tokens), [])
    learned = tokens[:, model.active_]
    origins = _slot_origins(start, model, extended)
    model.functions_ = restrict(_mapped_functions(start.functions_, origins, model.layout_.sizes), learned)
    model.precision_, model.tree_conditionals_, model.copula_, model.plain_ = None, TreeConditionals(), None, False
    model.order_, model.parents_, model.cross_ = [], [], None
    if not model.active_:
        return
    information = mutual_information(learned, model.layout_)
    if not start.active_:
        model._fit_tokens(learned, model._identified(learned, run))
        return
    model._choose_order(learned)
    at = {origin.slot: new for new, origin in enumerate(origins) if origin is not None}
    order = [at[slot] for slot in start.order_ if slot in at]
    model.order_ = model._order_digits([*order, *(slot for slot in model.order_ if slot not in order)])
    model.parents_ = strongest_predecessors(information, model.order_, len(max(model.parents_, key=len)))
    if start.cross_ is not None:
        model.cross_ = extend_cross(start.cross_, start.layout_, model.layout_, origins)
    sizing, device = start.sizing_, chosen_device(model.device)
    epochs = max(round(sizing.epochs * EPOCHS_SHARE), 1)
    model.sizing_ = replace(sizing, epochs=epochs, cycles=1, rate=sizing.rate * RATE_SHARE)
    net = model._network(torch.Generator().manual_seed(run.seed))
    assert isinstance(net, MaskedNet) and isinstance(start.net_, MaskedNet)  # noqa: PT018
    copy_weights(start.net_, net, origins)
    model.net_ = net.to(device)
    parts = split_rows(learned, run.seed, device)
    model._train(parts, model._identified(learned, run))


def _kept_relations(
    relations: Relations, codec: Codec, extended: dict[str, ExtendedCoder], frame: pd.DataFrame
) -> Relations:
    """Return the relations that also hold in the new rows, without those that refer to renumbered tokens."""
    moved = {name for name, item in extended.items() if item.moved and name not in codec.numeric_coders}
    re_encoded = {name for name, item in extended.items() if item.place is None}
    differences = {}
    for name, one in relations.differences.items():
        if re_encoded.isdisjoint((name, one.partner)):
            origin = extended[name].origin
            assert origin is not None
            differences[name] = replace(one, part=one.part[origin[: codec.coders[name].n_ordered_tokens]])
    arithmetic = [item for item in relations.arithmetic if re_encoded.isdisjoint(item.columns)]
    rules = [rule for rule in relations.rules if (moved | re_encoded).isdisjoint(rule.columns)]
    return Relations(
        differences,
        tuple(item for item in arithmetic if Relations(arithmetic=(item,)).hold(frame, codec).all()),
        tuple(rule for rule in rules if Relations(rules=(rule,)).hold(frame, codec).all()),
    )


def _all_counts(
    start: MaskedSynthesizer, codec: Codec, extended: dict[str, ExtendedCoder], tokens: np.ndarray
) -> list[np.ndarray]:
    """Return the rows of each token of each slot, of old and new rows together."""
    counts = [np.bincount(tokens[:, i], minlength=size).astype(np.int64) for i, size in enumerate(codec.sizes)]
    for i, slot in enumerate(codec.slots):
        place = extended[slot.column].place
        old = start.codec_.positions(slot.column)
        if place is None:
            continue
        if slot.digit is None and len(old) == 1:
            counts[i][place] += start.counts_[old[0]]
        else:
            token_counts = np.zeros(codec.coders[slot.column].size, np.int64)
            token_counts[place] = start.codec_.coders[slot.column].counts
            digits = codec.split(slot.column, np.arange(len(token_counts), dtype=np.int32))
            counts[i] += np.bincount(digits[:, slot.digit or 0], token_counts, codec.sizes[i]).astype(np.int64)
    return counts


def _slot_origins(start: MaskedSynthesizer, model: MaskedSynthesizer, extended: dict[str, ExtendedCoder]) -> Origins:
    """Return the old learned slot of each new one, with their tokens."""
    out: list[SlotOrigin | None] = []
    at = {(start.codec_.slots[i].column, start.codec_.slots[i].digit): slot for slot, i in enumerate(start.active_)}
    for position in model.active_:
        slot = model.codec_.slots[position]
        extension, old = extended[slot.column], at.get((slot.column, slot.digit))
        if old is None or extension.place is None or extension.origin is None:
            out.append(None)
        elif slot.digit is None:
            out.append(SlotOrigin(old, extension.place, extension.origin))
        else:  # the digits of a wide column mean the same only if it has no new tokens
            same = np.arange(slot.size)
            out.append(SlotOrigin(old, same, same) if len(extension.place) == len(extension.origin) else None)
    return out


def _mapped_functions(functions: Sequence[TokenRule], origins: Origins, sizes: Sequence[int]) -> list[TokenRule]:
    """Return the rules in the new vocabulary; new tokens determine and exclude nothing."""
    at = {origin.slot: (slot, origin.place) for slot, origin in enumerate(origins) if origin is not None}
    out: list[TokenRule] = []
    for function in functions:
        if all(slot in at for slot in function.slots):
            (cause, place), (effect, onto) = (at[slot] for slot in function.slots)
            if isinstance(function, ExcludedPairs):
                pairs = np.zeros((sizes[cause], sizes[effect]), bool)
                pairs[np.ix_(place, onto)] = function.pairs
                out.append(ExcludedPairs(cause, effect, pairs))
                continue
            table = np.full(sizes[cause], -1, np.int32)
            table[place] = np.where(function.table < 0, -1, onto[function.table])
            gap = -1 if function.gap < 0 else int(onto[function.gap])
            out.append(FunctionalDependency(cause, effect, table, gap))
    return out
