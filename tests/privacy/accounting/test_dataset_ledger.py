"""A data set's ledger: one file under every name, reservation of a whole fit, and no lost charges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dp_accounting import dp_event

from tabsynth.cli import main
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy, zcdp_rho
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

from ..tables import SCHEMA, table

DELTA = 1e-6


def charge(ledger: PrivacyLedger, rho: float) -> None:
    ledger.charge(dp_event.ZCDpEvent(rho=rho), purpose="a count", columns=["age"], sensitivity=1.0)


def test_a_link_and_the_name_behind_it_are_one_ledger(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path, link = tmp_path / "real" / "set.ledger", tmp_path / "link.ledger"
    first = PrivacyLedger(1.0, DELTA, path=path)
    link.symlink_to(path)
    second = PrivacyLedger.open(link)
    assert first.path == second.path
    charge(first, 0.01)
    charge(second, 0.005)
    assert link.is_symlink()
    assert len(PrivacyLedger.open(path)) == len(PrivacyLedger.open(link)) == 2
    assert list(tmp_path.glob(".*.lock")) == []


def test_a_file_of_several_names_is_refused_and_unchanged(tmp_path: Path) -> None:
    path, other = tmp_path / "set.ledger", tmp_path / "other.ledger"
    ledger = PrivacyLedger(1.0, DELTA, path=path)
    os.link(path, other)
    before = path.read_bytes()
    for act in (lambda: charge(ledger, 0.01), lambda: PrivacyLedger.open(other), ledger.verify):
        with pytest.raises(PrivacyError, match="several names"):
            act()
    assert path.read_bytes() == other.read_bytes() == before
    other.unlink()
    charge(ledger, 0.01)


def opened(path: Path, epsilon: float) -> PrivacyLedger:
    return Privacy(epsilon, DELTA, ledger=path).opened().open_ledger


def test_the_first_charge_reserves_the_whole_fit(tmp_path: Path) -> None:
    path = tmp_path / "set.ledger"
    PrivacyLedger(1.0, DELTA, path=path)
    first, second = opened(path, 0.8), opened(path, 0.8)
    charge(first, zcdp_rho(0.8, DELTA) / 10)
    assert PrivacyLedger.open(path).epsilon() == pytest.approx(0.8, abs=1e-3)
    before = path.read_bytes()
    with pytest.raises(PrivacyError, match=r"a fit at epsilon 0.8 would bring .* spent or reserved. Nothing was read"):
        charge(second, 1e-5)
    assert path.read_bytes() == before
    assert len(second) == 0
    charge(first, zcdp_rho(0.8, DELTA) * 0.8)
    first.settle()
    ledger = PrivacyLedger.open(path)
    assert len(ledger) == 2
    assert ledger.epsilon() == pytest.approx(first.epsilon())
    charge(opened(path, 0.2), 1e-5)


def test_what_a_broken_fit_reserved_stays_spent(tmp_path: Path) -> None:
    path = tmp_path / "set.ledger"
    PrivacyLedger(1.0, DELTA, path=path)
    charge(opened(path, 0.8), 1e-4)  # and the process ends here
    assert PrivacyLedger.open(path).epsilon() == pytest.approx(0.8, abs=1e-3)
    with pytest.raises(PrivacyError, match="the budget is 1"):
        charge(opened(path, 0.8), 1e-4)


def test_charges_that_outgrow_their_reservation_are_counted() -> None:
    parent = PrivacyLedger(9.0, DELTA)
    child = PrivacyLedger(9.0, DELTA, parent=parent, whole={"type": "ZCDpEvent", "rho": 0.001, "xi": 0.0})
    charge(child, 0.1)
    assert parent.epsilon() >= child.epsilon() > 1
    with pytest.raises(PrivacyError, match="budget"):
        charge(child, 9.0)


FIT = """
import sys
from tests.privacy.tables import SCHEMA, table
from tabsynth.errors import PrivacyError
from tabsynth.privacy.budget import Privacy
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
for _ in range(3):
    try:
        model = MarginalSynthesizer(components=2).fit(
            table(), schema=SCHEMA, privacy=Privacy(0.8, 1e-6, ledger=sys.argv[1]), progress=False
        )
        print("fitted")
    except PrivacyError as error:
        assert "a fit at epsilon" in str(error), error
"""


@pytest.mark.slow
def test_of_concurrent_fits_the_budget_bears_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "set.ledger"
    PrivacyLedger(1.0, DELTA, path=path)
    command = [sys.executable, "-c", FIT, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=900)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert "".join(said).count("fitted") == 1
    ledger = PrivacyLedger.open(path)
    assert ledger.epsilon() <= 0.8
    assert [record["kind"] for record in ledger.to_dict()["records"]].count("reservation") == 1


@pytest.fixture
def fitted(tmp_path: Path) -> tuple[str, str]:
    """A ledger's file and a model that was fitted under it, with another fit behind it."""
    ledger, model = str(tmp_path / "set.ledger"), str(tmp_path / "model")
    PrivacyLedger(9.0, DELTA, path=ledger)
    privacy = Privacy(1.0, DELTA, ledger=ledger)
    MarginalSynthesizer(components=2).fit(table(), schema=SCHEMA, privacy=privacy, progress=False).save(model)
    charge(PrivacyLedger.open(ledger), 0.01)
    return ledger, model


def test_a_ledger_holds_its_models(fitted: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    ledger, model = fitted
    assert main(["ledger", "verify", ledger, "--models", model]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["faults"] == []
    assert data["records"] == len(PrivacyLedger.open(ledger).to_dict()["records"])


@pytest.mark.parametrize("plant", ["rolled back", "recreated", "of another fit"])
def test_a_ledger_that_lost_a_models_charges_is_noticed(
    plant: str, fitted: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model = fitted
    Path(path).unlink()
    ledger = PrivacyLedger(9.0, DELTA, path=path)
    if plant == "rolled back":
        charge(ledger, 0.01)
    elif plant == "of another fit":
        privacy = Privacy(1.0, DELTA, ledger=path)
        MarginalSynthesizer(components=2).fit(table(), schema=SCHEMA, privacy=privacy, progress=False)
    assert main(["ledger", "verify", path, "--models", model]) == 3
    said = capsys.readouterr()
    assert "rolled back, recreated or belongs to other data" in json.loads(said.out)["faults"][0]
    assert "not met" in said.err


def test_no_time_is_published_and_the_file_keeps_the_day(fitted: tuple[str, str], tmp_path: Path) -> None:
    import zipfile

    path, model = fitted
    with zipfile.ZipFile(model) as archive:
        held = json.loads(archive.read("config.json"))["ledger"]["records"]
    assert not any("time" in record or "date" in record for record in held)
    days = {record["date"] for record in PrivacyLedger.open(path).to_dict()["records"]}
    assert all(len(day) == len("2024-01-31") for day in days)
