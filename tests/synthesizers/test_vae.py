"""VAESynthesizer: limits, resumption, and the density of the prior."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.common.progress import Progress
from tabsynth.errors import ModelFileError
from tabsynth.synthesizers.registry import load
from tabsynth.synthesizers.vae import VAESynthesizer
from tabsynth.training.networks.made import Made


@pytest.mark.slow
def test_several_limits_weigh_each_other(vae: VAESynthesizer) -> None:
    """Retired rows among those of 50 to 79 years must be 65 to 79, however the columns are visited."""
    rows = vae.sample(1000, given={"age": (50, 79), "retired": [True]}, seed=6)
    assert (rows["age"] >= 65).mean() > 0.9


def test_a_fit_that_broke_off_resumes_and_ends_the_same(tmp_path: Path, frame: pd.DataFrame) -> None:
    class BreakError(Exception):
        """The fit is broken off."""

    def broken(progress: Progress) -> None:
        if progress.step > progress.steps // 2:
            raise BreakError

    few, checkpoint = frame.head(600), tmp_path / "fit.checkpoint"
    with pytest.raises(BreakError):
        VAESynthesizer(epochs=4).fit(few, seed=5, checkpoint=checkpoint, callbacks=(broken,))
    with pytest.raises(ModelFileError, match="another fit"):
        VAESynthesizer(epochs=4).fit(few, seed=6, checkpoint=checkpoint)
    steps: list[int] = []
    resumed = VAESynthesizer(epochs=4).fit(
        few, seed=5, checkpoint=checkpoint, callbacks=(lambda progress: steps.append(progress.step),)
    )
    whole = VAESynthesizer(epochs=4).fit(few, seed=5)
    assert len(steps) < 4
    assert not checkpoint.exists()
    for name, weights in whole.net_.state_dict().items():
        assert (weights == resumed.net_.state_dict()[name]).all(), name


def test_what_the_prior_draws_has_the_density_it_says() -> None:
    """A random network: the density integrates to one, and draws fall where it says; with a context too."""
    generator = torch.Generator().manual_seed(0)
    made = Made(2, context=3, hidden=8, layers=2, components=3, generator=generator)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    line = torch.linspace(-12, 12, 401)
    grid = torch.cartesian_prod(line, line)
    for context in (None, torch.randn(1, 3, generator=generator)):
        with torch.no_grad():
            spread = None if context is None else context.expand(len(grid), -1)
            density = made.log_prob(grid, spread).exp().view(401, 401) * (line[1] - line[0]) ** 2
            given = None if context is None else context.expand(20_000, -1)
            drawn = made.draw(20_000, lambda means: torch.rand(len(means), generator=generator), given)
        assert abs(float(density.sum()) - 1) < 0.02
        for axis in (0, 1):
            expected = density.sum(1 - axis).cumsum(0)
            found = torch.searchsorted(drawn[:, axis].sort().values.contiguous(), line) / 20_000
            assert float((found - expected).abs().max()) < 0.03


def test_an_edited_smoothness_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": np.arange(60) % 9, "sex": ["f", "m"] * 30})
    VAESynthesizer(epochs=1).fit(frame, seed=0).save(tmp_path / "m.tabsynth")
    with zipfile.ZipFile(tmp_path / "m.tabsynth") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    assert b'"smooth": ' in parts["config.json"]
    parts["config.json"] = re.sub(rb'"smooth": [\d.]+', b'"smooth": -1', parts["config.json"])
    manifest = json.loads(parts["manifest.json"])
    manifest["sha256"]["config.json"] = hashlib.sha256(parts["config.json"]).hexdigest()
    parts["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(tmp_path / "m.tabsynth", "w", zipfile.ZIP_STORED) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    with pytest.raises(ModelFileError):
        load(tmp_path / "m.tabsynth")
