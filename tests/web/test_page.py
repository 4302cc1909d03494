"""The page end to end in headless Chromium: five steps, accessible at both widths, and local requests only."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.release import verify

pytest.importorskip("selenium", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="chromium or chromedriver is not installed"),
]

WIDTHS = (1280, 390)
LOCAL = re.compile(r"(http://127\.0\.0\.1:\d+/|data:|chrome|about:)")


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """A server of its own, as a user starts it."""
    command = [sys.executable, "-m", "tabsynth", "serve", "--folder", str(tmp_path / "projects"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = None
        while found is None:
            line = server.stderr.readline()
            assert line, "the server ended"
            found = re.search(r"open (http\S+)", line)
        try:
            yield found[1]
        finally:
            server.terminate()
            server.communicate(timeout=900)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def axe() -> str | None:
    """The axe-core script, where the package that holds it is installed; nothing of the package is run."""
    found = importlib.util.find_spec("axe_core_python")
    return (Path(found.origin).parent / "axe.min.js").read_text("utf-8") if found and found.origin else None


def check_page(browser: Any) -> None:
    """No violation of axe, and nothing wider than the window, at both widths and with all details open."""
    script = axe()
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    for width in WIDTHS:
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, browser.current_url
        if script is not None:
            browser.execute_script(script)
            run = (
                "const done = arguments[0]; axe.run(document).then(found => "
                "done(found.violations.map(v => [v.id, v.nodes.map(n => n.target.join())])))"
            )
            assert browser.execute_async_script(run) == [], browser.current_url
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def wait_until(condition: Callable[[], object], seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, condition
        time.sleep(0.1)


def requested(browser: Any) -> list[str]:
    """The address of every request that the browser made."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def test_from_a_table_to_a_verified_release(browser: Any, link: str, tmp_path: Path, shared_data: Path) -> None:
    from selenium.webdriver.common.by import By

    def find(selector: str) -> Any:
        return browser.find_element(By.CSS_SELECTOR, selector)

    def press(selector: str) -> None:
        browser.execute_script("arguments[0].click()", find(selector))

    few = ["age", "education", "sex", "hours-per-week", "income"]
    rows = pd.read_csv(shared_data / "adult.csv.gz", nrows=1000, usecols=few)
    table = tmp_path / "adult.csv"
    rows.rename(columns={"sex": "<script>sex</script>"}).to_csv(table, index=False)

    browser.get(link)
    wait_until(lambda: "token" not in browser.current_url)
    check_page(browser)
    find("#table").send_keys(str(table))
    wait_until(lambda: browser.current_url.endswith("/p/adult/columns"))
    check_page(browser)
    assert "<script>sex</script>" in find("main").text

    number = list(rows).index("income")  # a column is corrected: it is to be predicted
    browser.execute_script("document.getElementById(arguments[0]).value = 'target'", f"role-{number}")
    press(f"#column-{number} details button.primary")
    wait_until(lambda: "To be predicted" in find(f"#column-{number}").text)
    press(".next button")
    wait_until(lambda: browser.current_url.endswith("/protection"))
    press("input[name=protection][value=epsilon]")
    browser.execute_script("document.getElementById('public-facts').open = true")
    wait_until(lambda: not browser.find_elements(By.CSS_SELECTOR, "[data-estimate]"))
    assert find(".loss").text.strip().endswith("%")  # the estimate appears, and the choice stays
    assert find("#public-facts").get_attribute("open") is not None
    press("input[name=epsilon][value='1']")
    assert "recognises at most" in find("main").get_attribute("textContent")
    check_page(browser)
    press("#protect .next button")
    wait_until(lambda: browser.current_url.endswith("/learn"))
    check_page(browser)
    browser.get("about:blank")  # the browser may leave
    browser.get(link.partition("?")[0] + "p/adult/learn")
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, ".next a.primary"))
    check_page(browser)
    press(".next a.primary")
    wait_until(lambda: browser.current_url.endswith("/results"))
    check_page(browser)

    project = tmp_path / "projects" / "adult"
    assert PrivacyLedger.open(project / "ledger.json").epsilon() <= 1.0
    assert list(pd.read_csv(project / "output" / "synthetic.csv").columns) == [
        "<script>sex</script>" if name == "sex" else name for name in rows
    ]

    find("#publisher").send_keys("Statistics office")
    press(".sign .row button")
    wait_until(lambda: browser.find_elements(By.ID, "reason"))  # so few rows miss a gate
    assert not re.search(r"\.(\w+): \1: ", find(".sign").text)  # a score is named once
    check_page(browser)
    for box in browser.find_elements(By.CSS_SELECTOR, "input[name=waive]"):
        browser.execute_script("arguments[0].click()", box)
    find("#reason").send_keys("A trial with few rows.")
    press(".sign .row button")
    wait_until(lambda: "verified" in find("#h-release + p").text)
    check_page(browser)
    assert verify(project / "release.zip", tmp_path / "projects" / "release-key.pub.pem").ok

    browser.get(link.partition("?")[0] + "p/adult/files/report.html")
    assert "Columns" in find("main").text
    urls = requested(browser)
    assert len(urls) > 20
    assert [url for url in urls if not LOCAL.match(url)] == []
    # The policy blocks nothing of the page itself, and no script fails; the answer 400 shows the missed gates.
    assert [entry for entry in browser.get_log("browser") if entry["source"] != "network"] == []


def test_the_server_refuses_a_browser_without_the_link(browser: Any, link: str) -> None:
    from selenium.webdriver.common.by import By

    browser.get(link.partition("?")[0])
    assert "needs the link" in browser.find_element(By.TAG_NAME, "body").text
    browser.get(link.replace("127.0.0.1", "localhost"))
    wait_until(lambda: "token" not in browser.current_url)
    assert browser.find_elements(By.ID, "table")
