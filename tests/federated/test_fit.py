"""Federated fits: sums, the coordinator's view, lost sites, refusals and ledgers."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.common.arrays import Floats
from tabsynth.errors import PrivacyError
from tabsynth.federated import FederatedPlan, InProcessTransport, Site, SiteLostError, fit_federated
from tabsynth.federated.replicated_fit import Query, SummedCounts, next_query, run_fit
from tabsynth.federated.secure_sum import SecureSum
from tabsynth.federated.transport import decode_message, encode_message
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.schema import Schema

from .three_columns import NAMES, PLAN, SCHEMA, rows


def sites_of(plan: FederatedPlan, frame: pd.DataFrame, **facts: Any) -> dict[str, Site]:
    """Sites of unequal sizes with rows of their own."""
    ordered = frame.sort_values("age", kind="stable")
    cuts = [0, *(40 * (i + 1) for i in range(len(plan.sites) - 1)), len(frame)]
    parts = [ordered.iloc[low:high] for low, high in itertools.pairwise(cuts)]
    return {name: Site(name, plan, part, **facts) for name, part in zip(plan.sites, parts, strict=True)}


class Recording(InProcessTransport):
    """Keeps what the coordinator sends and receives."""

    def __init__(self, sites: dict[str, Site]) -> None:
        super().__init__(sites)
        self.transcript: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def send(self, site: str, message: bytes) -> bytes:
        answer = super().send(site, message)
        self.transcript.append((site, decode_message(message), decode_message(answer)))
        return answer


class Losing(Recording):
    """Loses a site at a step of a round, for good."""

    def __init__(self, sites: dict[str, Site], site: str, step: str, number: int = 0) -> None:
        super().__init__(sites)
        self.where, self.gone = (site, step, number), False

    def send(self, site: str, message: bytes) -> bytes:
        request = decode_message(message)
        self.gone = self.gone or (site, request["step"], request.get("round")) == self.where
        if self.gone and site == self.where[0]:
            raise SiteLostError(f"{site} is gone")
        return super().send(site, message)


@pytest.mark.parametrize("curious", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_each_sum_is_the_pooled_count_with_the_noise_of_one_private_fit(curious: int) -> None:
    """The fit runs on the pooled table here, so that each query can be answered both ways."""
    plan, frame = dataclasses.replace(PLAN, curious_sites=curious), rows()
    secure = SecureSum(plan, InProcessTransport(sites_of(plan, frame)))
    before: list[Floats] = []
    standard: list[Floats] = []
    numbers = itertools.count()

    def answer(query: Query) -> list[Floats]:
        nonlocal before
        exact = [read().ravel() for read in query.reads]
        sums = secure.run_round(next(numbers), query.digest(), [len(part) for part in exact], before)
        before = [part.astype(np.float64) for part in sums]
        source = SummedCounts(plan, lambda _: [])
        for own, noisy, share in zip(exact, before, query.shares, strict=True):
            standard.append((noisy - own) / source.sigma(share))
        return before

    model = run_fit(plan, frame, plan.privacy().opened(), answer)
    noise = np.concatenate(standard)
    assert len(noise) > 150
    assert np.std(noise) == pytest.approx(1.0, abs=4 / np.sqrt(2 * len(noise)))
    assert abs(np.mean(noise)) < 4 / np.sqrt(len(noise))
    assert model.rows_ == pytest.approx(400, abs=40)


def test_the_model_is_that_of_the_sums_and_costs_each_site_the_budget() -> None:
    transport = Recording(sites_of(PLAN, rows(3000)))
    model = fit_federated(PLAN, transport, progress=False)
    assert type(model).__name__ == "MarginalSynthesizer"
    drawn = model.sample(4000, seed=0)
    assert drawn.loc[drawn["sex"] == "f", "age"].mean() - drawn.loc[drawn["sex"] == "m", "age"].mean() > 12
    for site in transport.sites.values():
        assert 0.98 * 3 <= site.ledger.epsilon() <= 3
        assert site.ledger.secure
        assert site.ledger.epsilon() == model.ledger_.epsilon()
    assert "summed over sites" in str(model.ledger_)


def test_a_saved_model_is_the_same_with_its_ledger(tmp_path: Path) -> None:
    model = fit_federated(PLAN, InProcessTransport(sites_of(PLAN, rows())), progress=False)
    model.save(tmp_path / "m")
    loaded = tabsynth.load(tmp_path / "m")
    pd.testing.assert_frame_equal(loaded.sample(50, seed=1), model.sample(50, seed=1))
    assert loaded.card() == model.card()
    assert loaded.ledger_.epsilon() == model.ledger_.epsilon() > 0


def test_the_coordinator_receives_no_unmasked_vector() -> None:
    """Not of a site, nor of any group of sites, before the round is opened."""
    transport = Recording(sites_of(PLAN, rows()))
    fit_federated(PLAN, transport, progress=False)
    sums: list[list[Floats]] = []
    seen = 0
    for number in itertools.count():
        masked = {
            site: np.frombuffer(answer["vector"], "<u8")
            for site, request, answer in transport.transcript
            if request["step"] == "mask" and request["round"] == number
        }
        if not masked:
            break
        plain = {}
        for name, site in transport.sites.items():
            query, _ = next_query(PLAN, site._frame, PLAN.privacy().opened(), sums)
            plain[name] = np.concatenate([read().ravel() for read in query.reads]).astype(np.int64).view(np.uint64)
        for size in range(1, len(NAMES) + 1):
            for group in itertools.combinations(NAMES, size):
                gap = sum(masked[name] for name in group) - sum(plain[name] for name in group)
                assert np.abs(gap.view(np.int64).astype(np.float64)).min() > 2**40  # no cell is near its count
                seen += 1
        received = b"".join(encode_message(answer) for _, _, answer in transport.transcript)
        for vector in plain.values():
            assert vector.tobytes() not in received
        replies = [r for s, r, _ in transport.transcript if r["step"] == "prepare" and r["round"] == number + 1]
        if replies:
            sums.append([np.frombuffer(part, "<f8") for part in replies[0]["sums"]])
    assert seen >= 2 * 15


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("step", "number"),
    [
        pytest.param("prepare", 0, marks=SLOW),
        pytest.param("share", 0, marks=SLOW),
        ("mask", 0),
        pytest.param("prepare", 1, marks=SLOW),
        pytest.param("share", 1, marks=SLOW),
        pytest.param("mask", 1, marks=SLOW),
    ],
)
def test_a_site_lost_before_its_vector_leaves_and_the_others_finish(step: str, number: int) -> None:
    transport = Losing(sites_of(PLAN, rows()), "b", step, number)
    model = fit_federated(PLAN, transport, progress=False)
    assert model.rows_ == pytest.approx(400 if number else 360, abs=60)
    assert len(model.sample(50, seed=0)) == 50
    assert len(transport.sites["b"].ledger) == number
    for name in "acd":
        assert transport.sites[name].ledger.epsilon() == pytest.approx(model.ledger_.epsilon())
        assert len(transport.sites[name].ledger) == len(model.ledger_)


def test_a_site_lost_after_its_vector_is_in_the_sum() -> None:
    plan = dataclasses.replace(PLAN, sites=NAMES[:3])
    frame = rows()
    sites = sites_of(plan, frame)
    secure = SecureSum(plan, Losing(sites, "b", "unmask"))
    query, _ = next_query(plan, frame, plan.privacy().opened(), [])
    exact = [read().ravel() for read in query.reads]
    sums = secure.run_round(0, query.digest(), [len(part) for part in exact], [])
    assert secure.roster == ["a", "c"]
    assert [len(site.ledger) for site in sites.values()] == [1, 1, 1]
    gaps = [abs(a - b) / sigma for a, b, sigma in zip(sums, exact, query.sigmas(plan), strict=True)]
    assert np.concatenate(gaps).max() < 8


def test_too_few_sites_end_the_fit_with_the_ledgers_right() -> None:
    plan = dataclasses.replace(PLAN, sites=NAMES[:3])
    ledgers = {name: PrivacyLedger(3.0, 1e-5) for name in plan.sites}
    sites = {name: Site(name, plan, rows(seed=i), ledger=ledgers[name]) for i, name in enumerate(plan.sites)}
    with pytest.raises(SiteLostError, match="2 sites are left and 3 are needed"):
        fit_federated(plan, Losing(sites, "b", "share", 1), progress=False)
    sites["b"].close()
    for name, ledger in ledgers.items():
        assert len(ledger) == len(sites[name].ledger) == 1
        assert ledger.epsilon() == sites[name].ledger.epsilon() < 1.5  # the rest of the reservation is released


def test_a_site_with_another_plan_refuses() -> None:
    sites = sites_of(PLAN, rows())
    sites["c"] = Site("c", dataclasses.replace(PLAN, epsilon=1.0), rows())
    with pytest.raises(PrivacyError, match="site 'c' refused: coordinator and site have different plans"):
        fit_federated(PLAN, InProcessTransport(sites), progress=False)
    assert all(len(site.ledger) == 0 for site in sites.values())


def test_a_site_whose_budget_is_spent_refuses() -> None:
    sites = sites_of(PLAN, rows())
    sites["c"] = Site("c", PLAN, rows(), ledger=PrivacyLedger(1.0, 1e-5))
    with pytest.raises(PrivacyError, match="site 'c' refused: .* the budget is 1"):
        fit_federated(PLAN, InProcessTransport(sites), progress=False)
    assert len(sites["c"].ledger) == 0


class Scripted:
    """A coordinator that sends what a test says."""

    def __init__(self, sites: dict[str, Site]) -> None:
        self.sites = sites
        query, _ = next_query(PLAN, rows(0), PLAN.privacy().opened(), [])
        self.facts = {"digest": query.digest(), "sizes": [len(read()) for read in query.reads], "sums": []}

    def ask(self, site: str, step: str, attempt: int = 0, **more: Any) -> dict[str, Any]:
        base = {"plan": PLAN.hash(), "step": step, "round": 0, "attempt": attempt}
        return decode_message(self.sites[site].handle(encode_message(base | more)))

    def run(self, roster: list[str], attempt: int) -> None:
        keys = {s: self.ask(s, "prepare", attempt, roster=roster, **self.facts)["keys"] for s in roster}
        shared = {s: self.ask(s, "share", attempt, keys=keys)["shares"] for s in roster}
        for s in roster:
            assert "vector" in self.ask(s, "mask", attempt, shares={o: shared[o][s] for o in roster})


def test_a_round_is_opened_once_and_never_repeated() -> None:
    script = Scripted(sites_of(PLAN, rows()))
    script.run(list(NAMES), 0)
    script.run(list(NAMES[:3]), 1)  # an attempt that was not opened may be repeated, for the same charge
    assert "out of turn" in script.ask("a", "unmask", 0)["refused"]
    assert len(script.ask("a", "unmask", 1)["shares"]) == 3
    assert "opens a round twice" in script.ask("a", "unmask", 1)["refused"]
    again = script.ask("a", "prepare", 2, roster=list(NAMES[:3]), **script.facts)
    assert "opened already" in again["refused"]
    assert len(script.sites["a"].ledger) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"roster": ["a", "b"]}, "a round of 2 sites is refused"),
        ({"roster": ["a", "b", "x"]}, "must be sites of the plan"),
        ({"roster": ["b", "c", "d"]}, "include this one"),
        ({"digest": "0" * 64}, "out of step"),
    ],
)
def test_a_site_refuses_a_round_that_would_protect_less(changes: dict[str, Any], says: str) -> None:
    script = Scripted(sites_of(PLAN, rows()))
    assert says in script.ask("a", "prepare", **({"roster": list(NAMES), **script.facts} | changes))["refused"]
    assert len(script.sites["a"].ledger) == 0


def test_malformed_messages_are_refused_without_a_charge() -> None:
    site = Site("a", PLAN, rows())
    for message in (b"", b"[]", b"{", encode_message({"plan": PLAN.hash(), "step": "mask"})):
        assert "refused" in decode_message(site.handle(message))
    assert len(site.ledger) == 0


@pytest.mark.slow
def test_persons_at_several_sites_are_charged_for_all_of_them() -> None:
    schema = Schema.from_dict({"columns": {**SCHEMA.to_dict()["columns"], "who": {"kind": "identifier"}}})
    facts: dict[str, Any] = {"unit": "who", "rows_per_person": 2, "sites_per_person": 2}
    plan = FederatedPlan(schema=schema, sites=NAMES, epsilon=3.0, delta=1e-5, components=4, **facts)
    assert plan.max_rows_per_unit == 4
    frame = rows().assign(who=[f"p{i // 3}" for i in range(400)])
    sites = sites_of(plan, frame)
    model = fit_federated(plan, InProcessTransport(sites), progress=False)
    assert model.ledger_.epsilon() <= 3
    assert all(entry.sensitivity == 4 for entry in sites["a"].ledger.entries)
