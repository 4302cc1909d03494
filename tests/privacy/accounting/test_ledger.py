"""The ledger: charges, refusals, and agreement with an independent computation of epsilon."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dp_accounting import dp_event
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp
from scipy.stats import norm

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.accountant import event_from_data, event_to_data
from tabsynth.privacy.accounting.ledger import PrivacyLedger

DELTA = 1e-6


def charge(ledger: PrivacyLedger, event: Any, **more: Any) -> Any:
    facts = {"purpose": "a count", "columns": ["age"], "sensitivity": 1.0} | more
    return ledger.charge(event, **facts)


def zcdp(rho: float) -> Any:
    return dp_event.ZCDpEvent(rho=rho)


def steps(rate: float, multiplier: float, count: int) -> Any:
    one = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(multiplier))
    return dp_event.SelfComposedDpEvent(one, count)


def renyi_epsilon(curve: Any, delta: float) -> float:
    """Proposition 12 of arXiv 2004.00010, at the best of many integer and small orders."""
    orders = np.concatenate([np.linspace(1.05, 12, 200), np.arange(13, 600), np.geomspace(600, 2e5, 2000)])
    return float(min(curve(a) + math.log1p(-1 / a) - math.log(delta * a) / (a - 1) for a in orders))


def test_zcdp_agrees_with_an_independent_conversion() -> None:
    for rho in (1e-5, 0.003, 0.02, 0.5, 4.0):
        ledger = PrivacyLedger(1e9, DELTA)
        charge(ledger, zcdp(rho * 0.25))
        charge(ledger, zcdp(rho * 0.75))
        assert ledger.epsilon() == pytest.approx(renyi_epsilon(lambda a, rho=rho: rho * a, DELTA), rel=1e-3)


def test_gaussians_agree_with_the_analytic_formula() -> None:
    def analytic(mu: float) -> float:  # Balle and Wang, arXiv 1805.06530, theorem 8
        def excess(e: float) -> float:
            return float(norm.cdf(mu / 2 - e / mu) - math.exp(e) * norm.cdf(-mu / 2 - e / mu)) - DELTA

        return float(brentq(excess, 1e-6, 200))

    for sigma, times in ((20.0, 1), (5.0, 3), (1.5, 2)):
        ledger = PrivacyLedger(1e9, DELTA)
        for _ in range(times):
            charge(ledger, dp_event.GaussianDpEvent(sigma))
        assert ledger.epsilon() == pytest.approx(analytic(math.sqrt(times) / sigma), abs=1e-3)


def sampled_losses(rate: float, sigma: float, width: float, reach: float) -> tuple[Any, Any]:
    """Probabilities of privacy losses on a grid when a unit is removed and when it is added, each rounded half way."""
    edges = np.arange(-reach - width / 2, reach + width, width)
    # The loss of x is log(1 - q + q exp((2x - 1) / 2 sigma^2)), increasing in x.
    inside = np.maximum(np.expm1(edges) + rate, 1e-300) / rate
    cut = np.where(np.expm1(edges) + rate <= 0, -np.inf, sigma**2 * np.log(inside) + 0.5)
    plain, moved = norm.cdf(cut / sigma), norm.cdf((cut - 1) / sigma)
    removed = np.diff((1 - rate) * plain + rate * moved)
    added = np.diff(plain)[::-1]
    return removed, added


@pytest.mark.parametrize(("rate", "sigma", "count"), [(0.02, 1.1, 200), (0.1, 3.0, 100)])
def test_sampled_gaussians_agree_with_an_independent_loss_distribution(rate: float, sigma: float, count: int) -> None:
    width, reach = 2e-4, 12.0
    found = []
    for losses in sampled_losses(rate, sigma, width, reach):
        size = 2 ** math.ceil(math.log2(2 * len(losses)))
        # A centred circular convolution: sums of losses beyond the grid are negligible at these settings.
        centred = np.zeros(size)
        values = (np.arange(len(losses)) - (len(losses) - 1) / 2) * width
        np.add.at(centred, np.rint(values / width).astype(int) % size, losses)
        total = np.fft.irfft(np.fft.rfft(centred) ** count, size)
        grid = np.fft.fftfreq(size, 1 / size) * width

        def excess(e: float, grid: Any = grid, total: Any = total) -> float:
            return float((np.maximum(-np.expm1(np.minimum(e - grid, 0)), 0) * total).sum()) - 1e-5

        found.append(brentq(excess, 1e-3, 10))
    ledger = PrivacyLedger(1e9, 1e-5)
    charge(ledger, steps(rate, sigma, count))
    assert ledger.epsilon() == pytest.approx(max(found), abs=1e-3)


def test_mixed_events_agree_with_an_independent_renyi_curve() -> None:
    rate, sigma, count, rho = 0.05, 2.0, 150, 0.01
    orders = np.arange(2, 257)

    def curve(a: int) -> float:  # Mironov, Talwar and Zhang, arXiv 1908.10530, section 3.3
        k = np.arange(a + 1)
        terms = gammaln(a + 1) - gammaln(k + 1) - gammaln(a - k + 1) + k * math.log(rate) + (a - k) * math.log1p(-rate)
        return count * float(logsumexp(terms + (k * k - k) / (2 * sigma**2))) / (a - 1) + rho * a

    expected = min(curve(a) + math.log1p(-1 / a) - math.log(DELTA * a) / (a - 1) for a in orders)
    ledger = PrivacyLedger(1e9, DELTA)
    charge(ledger, steps(rate, sigma, count))
    charge(ledger, zcdp(rho))
    assert ledger.epsilon() == pytest.approx(expected, rel=1e-3)


def test_a_delta_of_its_own_is_taken_off_the_whole() -> None:
    one, other = PrivacyLedger(9.0, DELTA), PrivacyLedger(9.0, DELTA)
    charge(one, zcdp(0.01), delta=4e-7)
    charge(other, zcdp(0.01))
    assert one.epsilon() == pytest.approx(other.epsilon(6e-7))
    with pytest.raises(PrivacyError, match="inf"):
        charge(one, zcdp(0.01), delta=7e-7)


def test_an_infinite_epsilon_for_what_is_not_private() -> None:
    ledger = PrivacyLedger.not_private(["a", "b"])
    assert ledger.epsilon() == math.inf
    assert ledger.entries[0].columns == ("a", "b")
    with pytest.raises(PrivacyError, match="budget"):
        charge(PrivacyLedger(5.0, DELTA), dp_event.NonPrivateDpEvent())


@pytest.mark.parametrize(
    "event",
    [
        dp_event.UnsupportedDpEvent(),
        dp_event.SingleEpochTreeAggregationDpEvent(1.0, 3),
        dp_event.ComposedDpEvent([zcdp(0.001), dp_event.UnsupportedDpEvent()]),
        dp_event.PoissonSampledDpEvent(0.1, zcdp(0.01)),
        dp_event.GaussianDpEvent(0.0),
        dp_event.ZCDpEvent(rho=-1.0),
        dp_event.ZCDpEvent(rho=math.nan),
        dp_event.PoissonSampledDpEvent(1.5, dp_event.GaussianDpEvent(1.0)),
        {"type": "ZCDpEvent", "rho": 0.1},
        {"type": "Gift"},
        "zcdp",
    ],
)
def test_an_unknown_event_is_an_error_and_changes_nothing(event: Any, tmp_path: Path) -> None:
    ledger = PrivacyLedger(9.0, DELTA, path=tmp_path / "ledger.json")
    charge(ledger, zcdp(0.01))
    before = (ledger.to_dict(), (tmp_path / "ledger.json").read_bytes())
    with pytest.raises(PrivacyError):
        charge(ledger, event)
    assert (ledger.to_dict(), (tmp_path / "ledger.json").read_bytes()) == before


def test_over_budget_nothing_changes_in_memory_or_on_disk(tmp_path: Path) -> None:
    parent = PrivacyLedger(1.0, DELTA, path=tmp_path / "ledger.json")
    child = PrivacyLedger(5.0, DELTA, parent=parent)
    charge(child, zcdp(0.02))
    before = (child.to_dict(), parent.to_dict(), (tmp_path / "ledger.json").read_bytes())
    with pytest.raises(PrivacyError, match=r"'a second count' would bring .* the budget is 1, .* Nothing was read"):
        charge(child, zcdp(0.02), purpose="a second count")
    assert (child.to_dict(), parent.to_dict(), (tmp_path / "ledger.json").read_bytes()) == before
    assert len(parent) == len(child) == 1


def test_it_persists_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    first = PrivacyLedger(1.0, DELTA, path=path)
    entry = charge(first, zcdp(0.01))
    first.record(entry, "ab" * 32)
    second = PrivacyLedger.open(path)
    assert second.entries[0].output == "ab" * 32
    charge(second, zcdp(0.005))
    charge(first, zcdp(0.005))
    assert len(first) == 3
    assert second.epsilon() < first.epsilon() == PrivacyLedger.open(path).epsilon()
    assert PrivacyLedger.from_dict(first.to_dict()).to_dict() == first.to_dict()


@pytest.mark.parametrize("plant", ["rho", "remove", "truncate", "budget", "swap", "version"])
def test_a_tampered_file_is_refused(plant: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = PrivacyLedger(5.0, DELTA, path=path)
    for rho in (0.01, 0.02, 0.03):
        charge(ledger, zcdp(rho))
    data = json.loads(path.read_text())
    records = data["records"]
    if plant == "rho":
        records[0]["event"]["rho"] = 1e-9
    elif plant == "remove":
        del records[1]
    elif plant == "truncate":
        del records[-1]
    elif plant == "budget":
        data["head"]["epsilon"] = 50.0
    elif plant == "swap":
        records[0], records[1] = records[1], records[0]
    else:
        data["version"] = 99
    path.write_text(json.dumps(data))
    with pytest.raises(PrivacyError, match="changed|missing|later"):
        PrivacyLedger.open(path)
    with pytest.raises(PrivacyError):
        ledger.verify()
    with pytest.raises(PrivacyError):
        charge(ledger, zcdp(1e-6))
    assert path.read_text() == json.dumps(data)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "\0"])
def test_a_ledger_that_is_no_json_is_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.ledger").write_text(text)
    with pytest.raises(PrivacyError, match="is damaged"):
        PrivacyLedger.open(tmp_path / "a.ledger")


def test_a_pipe_is_no_ledger(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ledger")
    with pytest.raises(PrivacyError, match="it is a pipe or a device"):
        PrivacyLedger.open(tmp_path / "a.ledger")


def test_a_chain_written_anew_is_noticed_by_who_knew_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = PrivacyLedger(5.0, DELTA, path=path)
    charge(ledger, zcdp(0.01))
    path.unlink()
    PrivacyLedger(5.0, DELTA, path=path)
    with pytest.raises(PrivacyError, match="lost records"):
        charge(ledger, zcdp(0.01))


def test_another_budget_for_the_same_file_is_refused(tmp_path: Path) -> None:
    PrivacyLedger(1.0, DELTA, path=tmp_path / "ledger.json")
    with pytest.raises(PrivacyError, match="one budget"):
        PrivacyLedger(2.0, DELTA, path=tmp_path / "ledger.json")


WORKER = """
import sys
from dp_accounting.dp_event import ZCDpEvent
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
ledger, made = PrivacyLedger.open(sys.argv[1]), 0
for _ in range(12):
    try:
        ledger.charge(ZCDpEvent(rho=0.001), purpose="p", columns=[], sensitivity=1.0)
        made += 1
    except PrivacyError as error:
        assert "budget" in str(error), error
print(made)
"""


def test_two_processes_on_one_file_are_both_counted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = PrivacyLedger(
        PrivacyLedger(99.0, DELTA).epsilon_with({"type": "ZCDpEvent", "rho": 0.0155, "xi": 0.0}), DELTA, path=path
    )
    command = [sys.executable, "-c", WORKER, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [int(process.communicate(timeout=900)[0]) for process in running]
    ledger.verify()
    assert sum(made) == len(ledger) == 15


def test_events_survive_as_data() -> None:
    event = dp_event.ComposedDpEvent([steps(0.1, 2.0, 7), zcdp(0.5), dp_event.LaplaceDpEvent(3.0)])
    assert event_from_data(event_to_data(event)) == event


def test_it_prints_itself() -> None:
    ledger = PrivacyLedger(1.0, DELTA, unit="patient")
    charge(ledger, steps(0.01, 4.0, 10), purpose="<b>training</b>", columns=[f"c{i}" for i in range(6)])
    text = str(ledger)
    assert "unit: patient" in text
    assert "10 x (PoissonSampled" in text
    assert "c3 and 2 more" in text
    assert "&lt;b&gt;" in ledger._repr_html_()
    frame = ledger.to_frame()
    assert list(frame["purpose"]) == ["<b>training</b>"]
    charge(ledger, zcdp(1e-6), rng="insecure seed 1 (NOT DP)")
    assert "NOT DP" in str(ledger)


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 0.1), (-1, 0.1), (math.nan, 0.1), (1, 1.0), (1, -0.1), (True, 0.1)])
def test_a_budget_must_make_sense(epsilon: float, delta: float) -> None:
    with pytest.raises(PrivacyError, match="must be"):
        PrivacyLedger(epsilon, delta)


def test_other_neighbours_are_refused() -> None:
    with pytest.raises(PrivacyError, match="not supported"):
        PrivacyLedger(1.0, DELTA, neighbours="replace_one")
