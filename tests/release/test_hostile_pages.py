"""Hostile names and values have no effect in a browser: report, audit, mixing and release pages."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.mixing.matching.suggest import suggest
from tabsynth.privacy.audit.audit import audit
from tabsynth.release import build
from tabsynth.schema import Schema

from .conftest import ABOUT, WAIVED

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

ATTACK = "document.documentElement.setAttribute('hacked','1')"
NAMES = [
    f"<script>{ATTACK}</script>",
    f"<img src=x onerror={ATTACK}>",
    f'"onmouseover="{ATTACK}',
    f"</script><script>{ATTACK}</script>",
]
VALUES = [f"<svg onload={ATTACK}>", "=cmd()", f"'><script>{ATTACK}</script>"]


def hostile(seed: int, rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {name: rng.choice(VALUES, rows, p=[0.5, 0.3, 0.2]) for name in NAMES[:3]}
    return pd.DataFrame({**columns, NAMES[3]: rng.normal(size=rows).round(2)})


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    train, synthetic, holdout = hostile(1), hostile(2), hostile(3)
    schema = Schema.infer(train)
    report = evaluate(train, synthetic, holdout, target=NAMES[0], schema=schema, sdmetrics=False)
    attacks = audit(train, synthetic, holdout, schema=schema)
    report.save(folder / "report.html")
    attacks.save(folder / "audit.html")
    suggest({"<b>one</b>": train, "two": holdout}).review(folder / "mixing.html")
    about = {**ABOUT, "title": NAMES[0], "description": NAMES[1], "publisher": NAMES[2]}
    waiver = {**WAIVED[0], "who": NAMES[0], "why": NAMES[1]}
    evidence = {"evaluation": report, "audit": attacks, "schema": schema}
    waivers = [waiver, {**waiver, "gate": "evaluation.detection_auc"}, {**waiver, "gate": "evaluation.shape_error"}]
    build(folder / "r", synthetic, about=about, key=keys / "private.pem", waivers=waivers, **evidence)
    shutil.copy(folder / "r/report.html", folder / "release.html")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("name", ["report", "audit", "mixing", "release"])
def test_nothing_runs(name: str, pages: Path, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    line = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    line += ["--virtual-time-budget=3000", "--dump-dom", (pages / f"{name}.html").as_uri()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=900, check=True)
    root = re.search(r"<html[^>]*>", done.stdout)
    assert root is not None
    assert "hacked" not in root[0]
    assert "&lt;script&gt;" in done.stdout  # the name is shown as text
    assert "onerror=" not in "".join(re.findall(r"<img[^>]*>", done.stdout))
