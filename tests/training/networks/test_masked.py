"""Seeded dropout: its rate, independence of units, and reproducibility."""

from __future__ import annotations

import pytest
import torch

from tabsynth.training.networks.masked import dropout_factors


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_units_are_dropped_as_often_as_said_and_the_mean_stays(share: float) -> None:
    """400,000 units: four standard errors of the share are .003, of a pair that drops together .003 too."""
    out = dropout_factors(torch.ones(1000, 401), share, torch.Generator().manual_seed(0))
    gone = (out == 0).float()
    assert float(gone.mean()) == pytest.approx(round(256 * share) / 256, abs=0.004)
    assert float(out.mean()) == pytest.approx(1, abs=0.02)
    for apart in (1, 4, 8, 401):
        pairs = gone.view(-1)[:-apart] * gone.view(-1)[apart:]
        assert float(pairs.mean()) == pytest.approx(float(gone.mean()) ** 2, abs=0.004)


def test_the_seed_says_which_units_are_dropped() -> None:
    """Of a number of units that no whole words fill."""
    values = torch.arange(1, 14).float()
    one, same, other = (
        values * dropout_factors(values, 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(one[one != 0], 2 * values[one != 0])
