"""The review page in a browser: light, dark, narrow and printed, without errors or requests."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.review.page import render

from ...evaluation.rendering.test_page import CHROMIUM, Outline, _pixels, axe, browse


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Every kind of entry: a unit, codes, a sentinel, dates, a split column, and names that need escaping."""
    rng = np.random.default_rng(0)
    n = 200
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 15000, n), unit="D")
    a = pd.DataFrame(
        {
            "age": rng.integers(20, 80, n),
            "glucose": (95 + rng.gamma(3, 6, n)).round(),
            "<b>sex</b>": rng.choice(["female", "male"], n),
            "birth_date": born.strftime("%d/%m/%Y"),
            "score": rng.normal(0, 1, n),
        }
    )
    b = pd.DataFrame(
        {
            "AGE": np.where(rng.random(n) < 0.1, 999, rng.integers(25, 85, n)),
            "glucose_mmol_l": ((95 + rng.gamma(3, 6, n)) / 18.016).round(1),
            "sex": rng.choice(["F", "<script>"], n),
            "birth_year": born.year,
            "birth_month": born.month,
            "birth_day": born.day,
        }
    )
    return ts.suggest({"a": a, "b": b})


def test_the_page_is_well_formed_and_loads_nothing(plan: Plan) -> None:
    page = render(plan)
    assert plan._repr_html_().count("<iframe") == 1
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert not {tag for tag, _ in outline.tags} & {"script", "img", "iframe"}
    assert not re.findall(r"(?:https?:)?//[a-z]|url\(|@import", page)
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_keys_are_counted_and_dates_are_written_as_dates() -> None:
    numbers = range(1, 61)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(np.arange(60) * 200, unit="D")
    a = pd.DataFrame({"person_id": [f"P{i:03}" for i in numbers], "birth_date": born.strftime("%d/%m/%Y")})
    b = pd.DataFrame({"person_id": [f"P{i + 40:03}" for i in numbers], "birth_date": born.strftime("%Y-%m-%d")})
    page = render(ts.suggest({"a": a, "b": b}))
    assert "a: 60 different values in 60 rows, 20 of them in another source" in page
    assert "P041" not in page.partition("The whole plan")[0]
    assert re.search(r"<span>195\d-\d\d-\d\d</span><span>198\d-\d\d-\d\d</span>", page)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (500, False)])
def test_a_browser_draws_it_without_complaint(plan: Plan, tmp_path: Path, width: int, dark: bool) -> None:
    page, shot = tmp_path / "review.html", tmp_path / "shot.png"
    plan.review(page)
    done = browse(page, tmp_path, f"--screenshot={shot}", f"--window-size={width},2400", dark=dark)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    pixels = np.frombuffer(_pixels(shot.read_bytes()), dtype=np.uint8)
    assert np.count_nonzero(pixels) > 0.01 * len(pixels), "the page looks blank"


@pytest.mark.skipif(CHROMIUM is None or axe() is None, reason="chromium or axe-core-python is not installed")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_and_nothing_sticks_out(plan: Plan, tmp_path: Path, dark: bool) -> None:
    script, page = axe(), tmp_path / "review.html"
    assert script is not None
    plan.review(page)
    run = (
        f"<script>{script.read_text('utf-8')}</script><script>"
        "document.querySelectorAll('details').forEach(d => d.open = true);"
        "const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;"
        "axe.run(document).then(found => {const out = document.createElement('pre'); out.id = 'axe';"
        "out.textContent = JSON.stringify(found.violations.map(v => [v.id, v.nodes.map(n => n.target.join())]))"
        " + '|' + found.passes.length + '|' + wide; document.body.appendChild(out)})</script></body>"
    )
    page.write_text(page.read_text("utf-8").replace("</body>", run), encoding="utf-8")
    done = browse(page, tmp_path, "--virtual-time-budget=60000", "--dump-dom", "--window-size=500,900", dark=dark)
    found = re.search(r'<pre id="axe">(.*?)\|(\d+)\|(\d+)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-300:]
    assert found[1] == "[]"
    assert int(found[2]) > 15
    assert found[3] == "0"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_it_prints(plan: Plan, tmp_path: Path) -> None:
    page, paper = tmp_path / "review.html", tmp_path / "review.pdf"
    plan.review(page)
    browse(page, tmp_path, f"--print-to-pdf={paper}", dark=False)
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 20
