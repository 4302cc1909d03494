"""Products of signs: on tables that differ by a row, everything that is not noise is the same, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tabsynth.synthesizers.marginal import one_way_marginals, public_codec, synthesizer
from tabsynth.synthesizers.marginal.bins import subdivision
from tabsynth.synthesizers.marginal.sign_products import triples
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

from .shadow import blind, fitted, members
from .tables import CHANGES, table

Patch = pytest.MonkeyPatch


def of_pairs(patch: Patch) -> None:
    """Measure products of pairs although the table has too few rows."""
    patch.setattr(one_way_marginals, "independent", lambda *facts: True)
    for module in (one_way_marginals, synthesizer):
        patch.setattr(module, "products_share", lambda rows, rho, pairs, target_pairs: (0.15, pairs))


def of_triples(patch: Patch) -> None:
    """Measure products of triples although noise is larger, and count those that exceed others by noise."""
    patch.setattr(one_way_marginals, "independent", lambda *facts: False)
    for name, value in {"MAX_PRODUCT_NOISE": 1e9, "MIN_DEVIATION": 0.0, "MIN_SIGMAS": 0.5}.items():
        patch.setattr(triples, name, value)


def of_the_choice(patch: Patch) -> None:
    """Measure the dependence although no result could change the choice, and divide the cells of every stretch."""
    patch.setattr(one_way_marginals, "dependence_share", lambda rows, rho, pairs: 0.05)
    patch.setattr(subdivision, "MAX_CELLS", 10**6)


@pytest.mark.parametrize("force", [of_pairs, of_triples, of_the_choice])
def test_neighbours_leave_the_same_file(force: Callable[[Patch], None], monkeypatch: Patch, tmp_path: Path) -> None:
    force(monkeypatch)
    blind(monkeypatch)
    monkeypatch.setattr(public_codec, "MIN_TOKEN_SIGMAS", 0.0)  # noise alone leaves several tokens
    model, said = fitted(lambda: MarginalSynthesizer(components=8), table())
    purposes = [entry.purpose for entry in model.ledger_.entries]
    assert any(purpose.startswith("products of the signs") for purpose in purposes)
    assert force is not of_triples or sum("triples of columns" in purpose for purpose in purposes) > 1
    base = members(model, tmp_path)
    differing = []
    for name, change in list(CHANGES.items())[::7]:
        other, also_said = fitted(lambda: MarginalSynthesizer(components=8), change(table()))
        if also_said != said or members(other, tmp_path) != base:
            differing.append(name)
    assert differing == []
