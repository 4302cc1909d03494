"""The audit page: self-contained, escaped, accessible, and rendered by a browser without errors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.privacy.audit import audit
from tabsynth.privacy.audit.html import render
from tabsynth.privacy.audit.plain_answers import answer_plainly
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "br", "wbr"}


class Outline(HTMLParser):
    """Collects tags, and checks that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(draw: Callable[[int, int], pd.DataFrame], schema: Schema) -> AuditReport:
    rows = draw(1800, 31).rename(columns={"sex": "sex <script>"})
    rows["town"] = rows["town"].replace({"t0": "<b>town</b>"})
    names = {name: ({**schema[name].to_dict()}) for name in schema}
    renamed = {("sex <script>" if name == "sex" else name): facts for name, facts in names.items()}
    made = pd.concat([rows[:60], rows[1200:1740]])
    return audit(
        rows[:600], made, rows[600:1200], schema=Schema.from_dict({"columns": renamed}), privacy=Privacy(3.0, 1e-6)
    )


def test_page_is_well_formed_and_loads_nothing(report: AuditReport) -> None:
    page = report.to_html()
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert not {tag for tag, _ in outline.tags} & {"script", "img", "iframe"}
    assert not re.findall(r"(?:https?:)?//[a-z]", page.replace("http://www.w3.org", ""))
    assert "url(" not in page
    assert "sex &lt;script&gt;" in page
    assert "&lt;b&gt;town" in page
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in outline.tags if tag == "a"]
    assert all(href and href[1:] in ids for href in links)
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for tag, attrs in outline.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs.get("role") == "img" and attrs.get("aria-label"))
    assert len(page.encode()) < 200_000


def test_page_is_made_of_the_json_alone(report: AuditReport) -> None:
    assert render(json.loads(json.dumps(report.to_dict()))) == report.to_html()
    assert "<iframe" in report._repr_html_()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_browser_draws_it(report: AuditReport, tmp_path: Path, width: int, dark: bool) -> None:
    page, shot = tmp_path / "audit.html", tmp_path / "shot.png"
    report.save(page)
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *("--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path / 'profile'}"),
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        f"--screenshot={shot}",
        f"--window-size={width},2400",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert shot.stat().st_size > 30_000, "the page looks blank"


def test_few_records_make_a_page_too(draw: Callable[[int, int], pd.DataFrame], schema: Schema) -> None:
    rows = draw(2600, 32)  # under 1,000 controls: none of them may be mistaken at 0.1 %
    page = audit(rows[:1200], rows[1200:1400], rows[1400:2600], schema=schema).to_html()
    assert "exposed" in page


def test_the_forest_plot_fits_its_width_and_powerless_audits_have_no_power_curves(report: AuditReport) -> None:
    page = report.to_html()
    places = [float(at) for at in re.findall(r'class="(?:tick|dot|whisker)" style="left:([-\d.]+)%', page)]
    spans = re.findall(r'class="whisker" style="left:([-\d.]+)%;width:([\d.]+)%', page)
    assert places
    assert min(places) >= 0
    assert max([*places, *(float(left) + float(width) for left, width in spans)]) <= 100.01
    facts = report.to_dict()
    leaks = facts["details"]["power"]["planted"]
    assert any(rate for leak in leaks for rate in leak["detected"])
    assert 'class="roc planted"' in page
    for leak in leaks:
        leak["detected"] = [0.0] * len(leak["detected"])
    powerless = render(facts)
    assert 'class="roc planted"' not in powerless
    assert "None was detected" in powerless


def test_page_begins_with_answers_in_plain_words(report: AuditReport) -> None:
    page = report.to_html()
    assert page.index("May this table be released?") < page.index("Who can be recognised")
    plain = dict(answer_plainly(report.to_dict()))
    assert "## Nine questions" in report.to_markdown().split("May this table be released?")[1]
    assert plain["May this table be released?"].startswith("Only if the claimed epsilon is acceptable")
    assert "parts of real records" in plain["What could an attacker learn?"].lower()
    assert "Under the claim" in plain["What could an attacker learn?"]


@pytest.mark.parametrize(
    ("verdict", "claimed", "says"),
    [
        ("VIOLATION", False, "Not in this form"),
        ("CONSISTENT, powered", False, "does not show that the table is anonymous"),
        ("CONSISTENT, powered", True, "cannot prove"),
        ("INCONCLUSIVE", False, "protect the table like the real one"),
        (None, False, "no held-out rows"),
    ],
)
def test_no_verdict_says_that_a_table_is_safe(
    report: AuditReport, verdict: str | None, claimed: bool, says: str
) -> None:
    changed = {**report.to_dict(), "verdict": verdict, "significant": []}
    answers = dict(answer_plainly(changed if claimed else {**changed, "claim": None}))
    assert says in answers["May this table be released?"]
    assert "not covered" in answers["What remains open?"]
