"""The report page: self-contained, escaped, small, accessible, and rendered by a browser without errors."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import zlib
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.compare import ComparisonReport
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.gates import apply_gates, read_gates
from tabsynth.evaluation.rendering.page import render
from tabsynth.evaluation.report import Report
from tabsynth.schema import Schema

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "input", "br", "hr", "img", "wbr"}


class Outline(HTMLParser):
    """Collects tags, headings and ids, and checks that every tag is closed in order."""

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
def report(every_kind: tuple[pd.DataFrame, Schema]) -> Report:
    frame, schema = every_kind
    synthetic = frame[200:300].assign(level=1)
    return evaluate(frame[:200], synthetic, frame[300:], target="group", schema=schema, card={"model": "</script>"})


def test_page_is_well_formed_and_loads_nothing(report: Report) -> None:
    page = report.to_html()
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    names = {tag for tag, _ in outline.tags}
    assert not names & {"script", "img", "iframe", "b>high"}
    assert not re.findall(r"(?:https?:)?//[a-z]", page.replace("http://www.w3.org", ""))
    assert "url(" not in page
    assert "@import" not in page
    assert "number &lt;script&gt;" in page
    assert "&lt;b&gt;high" in page
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in outline.tags if tag == "a"]
    assert all(href and href.startswith("#") and href[1:] in ids for href in links)


def test_page_has_headings_in_order_and_labels(report: Report) -> None:
    outline = Outline()
    outline.feed(report.to_html())
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for tag, attrs in outline.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs.get("role") == "img" and attrs.get("aria-label"))
    assert outline.tags[0][1] == {"lang": "en"}


def test_page_is_made_of_the_json_alone(report: Report) -> None:
    assert render(json.loads(json.dumps(report.to_dict()))) == report.to_html()
    assert "<iframe" in report._repr_html_()


def test_page_of_many_columns_is_small() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 45)), columns=[f"a rather long column name {i}" for i in range(45)])
    for i in range(5):
        frame[f"group {i}"] = rng.choice([f"category {k}" for k in range(20)], 300)
    kinds = {name: {"kind": "categorical" if str(name).startswith("group") else "numeric"} for name in frame}
    report = evaluate(frame[:150], frame[150:], schema=Schema.from_dict({"columns": kinds}), sdmetrics=False)
    assert len(report.to_html().encode()) < 1_000_000
    assert "10 more are in the JSON" in report.to_html()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_browser_draws_it(report: Report, tmp_path: Path, width: int, dark: bool) -> None:
    page, shot = tmp_path / "report.html", tmp_path / "shot.png"
    report.save(page)
    done = browse(page, tmp_path, f"--screenshot={shot}", f"--window-size={width},2400", dark=dark)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console
    pixels = np.frombuffer(_pixels(shot.read_bytes()), dtype=np.uint8)
    assert np.count_nonzero(pixels) > 0.01 * len(pixels), "the page looks blank"  # a flat area filters to zeros
    assert len(np.unique(pixels)) > 100


def axe() -> Path | None:
    """The axe-core script, where the package that holds it is installed; nothing of the package is run."""
    found = importlib.util.find_spec("axe_core_python")
    return Path(found.origin).parent / "axe.min.js" if found and found.origin else None


@pytest.mark.skipif(CHROMIUM is None or axe() is None, reason="chromium or axe-core-python is not installed")
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(report: Report, tmp_path: Path, dark: bool) -> None:
    script = axe()
    assert script is not None
    gated = apply_gates(report, read_gates("default"))
    pages = [gated.to_html(), ComparisonReport({"one": report, "two": gated}).to_html()]
    run = (
        f"<script>{script.read_text('utf-8')}</script><script>"
        "document.querySelectorAll('details').forEach(d => d.open = true);"
        "axe.run(document).then(found => {const out = document.createElement('pre'); out.id = 'axe';"
        "out.textContent = JSON.stringify(found.violations.map(v => [v.id, v.nodes.map(n => n.target.join())]))"
        " + '|' + found.passes.length; document.body.appendChild(out)})</script></body>"
    )
    for number, page in enumerate(pages):
        file = tmp_path / f"{number}.html"
        file.write_text(page.replace("</body>", run), encoding="utf-8")
        done = browse(file, tmp_path, "--virtual-time-budget=60000", "--dump-dom", dark=dark)
        found = re.search(r'<pre id="axe">(.*?)\|(\d+)</pre>', done.stdout, re.DOTALL)
        assert found, done.stdout[-300:]
        assert found[1] == "[]"
        assert int(found[2]) > 20


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_it_prints_with_closed_sections_open(report: Report, tmp_path: Path) -> None:
    """As much text reaches the paper as with every section opened, and more than by a browser's own style."""
    page = report.to_html()
    rule = "details::details-content{"
    assert rule in page
    assert page.count("<details") > 5
    variants = {"own": page, "open": page.replace("<details", "<details open"), "plain": page.replace(rule, "unknown{")}
    drawn = {}
    for name, text in variants.items():
        file, paper = tmp_path / f"{name}.html", tmp_path / f"{name}.pdf"
        file.write_text(text, encoding="utf-8")
        browse(file, tmp_path, f"--print-to-pdf={paper}", "--no-pdf-header-footer", dark=False)
        drawn[name] = _texts(paper.read_bytes())
        assert paper.read_bytes().startswith(b"%PDF")
        assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 20
    assert drawn["own"] == drawn["open"] > 1.3 * drawn["plain"] > 0


def browse(page: Path, folder: Path, *options: str, dark: bool) -> subprocess.CompletedProcess[str]:
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *("--enable-logging=stderr", "--v=0", f"--user-data-dir={folder / 'profile'}"),
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        *options,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


def _texts(pdf: bytes) -> int:
    """How many pieces of text a PDF draws."""
    found = 0
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            found += len(re.findall(rb"\bT[jJ]\b", zlib.decompress(stream)))
        except zlib.error:
            continue  # a stream that is not compressed is a font's or the outline's
    return found


def _pixels(png: bytes) -> bytes:
    """The filtered scan lines of a PNG: enough to see whether anything was drawn."""
    at, data = 8, b""
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += 12 + size
    return zlib.decompress(data)
