"""Private fits of linked tables: what a person changes, what is charged, and what must not depend on rows."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.errors import InputError, ModelFileError, PrivacyError, SchemaError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal import count_source
from tabsynth.synthesizers.marginal import fit as marginal_fit
from tabsynth.synthesizers.marginal.budget_allocation import MixtureConfig
from tabsynth.synthesizers.relational.private import structure
from tabsynth.synthesizers.relational.private.learned_tables import gap_codes, gap_shares
from tabsynth.synthesizers.relational.private.linked_rows import weigh_persons
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

from .linked import SCHEMA, Tables, facts, people, with_person
from .shadow import blind

PRIVACY = Privacy(epsilon=3.0, delta=1e-5, unit="pid", rows_per_person=4, n_public=100, insecure_seed=3)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixtures of few components and steps: everything after the counts is post-processing."""
    config = MixtureConfig(components=4, steps=2, rate=0.1, penalty=0.1)
    monkeypatch.setattr(marginal_fit, "mixture_config", lambda *facts: config)


def fit(tables: Tables, privacy: Privacy = PRIVACY, **options: Any) -> RelationalSynthesizer:
    return RelationalSynthesizer(**options).fit(tables, schema=SCHEMA, privacy=privacy, progress=False)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("visits", "tests"), [(1, 0), (60, 2)])
def test_a_person_changes_counts_by_no_more_than_what_is_charged(
    visits: int, tests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Words that begin alike for any number of rows, so that both fits choose alike among the rows of other persons.
    monkeypatch.setattr(Noise, "words", lambda self, n: np.random.default_rng(5).integers(0, 2**63, n, np.uint64))
    base, other = people(60), with_person(people(60), visits, tests)
    counts: list[list[Any]] = [[], []]
    noisy: list[list[Any]] = []
    scales: list[tuple[list[float], float]] = []

    def counted(
        side: int, reads: Sequence[Any], sigmas: Sequence[float], sensitivity: float, noise: Noise
    ) -> list[Any]:
        """The same noisy counts for both tables, so that both are asked the same."""
        place = len(counts[side])
        counts[side].append([read() for read in reads])
        if not side:
            scales.append((list(sigmas), sensitivity))
            noisy.append(
                [own + noise.gaussian(sigma, own.size) for own, sigma in zip(counts[0][-1], sigmas, strict=True)]
            )
        return noisy[place]

    for side, tables in enumerate((base, other)):
        monkeypatch.setattr(
            count_source,
            "noisy_count_vectors",
            lambda reads, side=side, sigmas=(), sensitivity=0.0, noise=None, **facts: counted(
                side, reads, sigmas, sensitivity, noise
            ),
        )
        monkeypatch.setattr(
            structure,
            "noisy_counts",
            lambda read, side=side, sigma=0.0, sensitivity=0.0, noise=None, **facts: counted(
                side, [read], [sigma], sensitivity, noise
            )[0],
        )
        fit(tables, replace(PRIVACY, epsilon=50.0))  # so much that all kinds of counts are taken
    assert len(counts[0]) == len(counts[1]) == len(scales) > 12
    realised, charged = 0.0, 0.0
    for without, own, (sigmas, sensitivity) in zip(*counts, scales, strict=True):
        for before, after, sigma in zip(without, own, sigmas, strict=True):
            moved = float(np.linalg.norm(after.astype(float) - before))
            assert moved <= sensitivity + 1e-9
            realised += moved**2 / (2 * sigma**2)
            charged += sensitivity**2 / (2 * sigma**2)
    assert realised <= charged
    if visits == 60:  # all rows of the person are in one cell of most tables: the bound is met
        assert realised > 0.3 * charged


@pytest.mark.usefixtures("quick")
def test_all_that_is_charged_is_within_the_budget() -> None:
    model = fit(people(60), replace(PRIVACY, epsilon=1.0))
    assert 0.9 < model.ledger_.epsilon() <= 1.0
    assert model.ledger_.unit == "pid"
    assert {entry.sensitivity for entry in model.ledger_.entries} == {1.0, 2.0, 4.0}
    assert sum("persons by their number" in entry.purpose for entry in model.ledger_.entries) == 2
    declared = fit(people(60), max_children={"visits": 6, "tests": 3})
    assert not any("persons by their number" in entry.purpose for entry in declared.ledger_.entries)


@pytest.mark.usefixtures("quick")
def test_a_ledger_of_the_data_set_refuses_a_fit_before_it_reads() -> None:
    ledger = PrivacyLedger(1.0, 1e-5, unit="pid")
    with pytest.raises(PrivacyError, match="budget"):
        fit({name: frame.iloc[:0] for name, frame in people(5).items()}, replace(PRIVACY, ledger=ledger))
    assert len(ledger) == 0
    fit(people(20), replace(PRIVACY, epsilon=0.6, ledger=ledger))
    with pytest.raises(PrivacyError, match="one unit"):
        fit(people(20), replace(PRIVACY, ledger=PrivacyLedger(9.0, 1e-5)))


def changes() -> dict[str, Tables]:
    """Tables that differ from ``people(20)`` by one person's rows, some of them broken."""
    base = people(20)
    dangling = base["visits"].assign(pid=base["visits"].pid.where(base["visits"].pid != "p3", "nobody"))
    undeclared = base["visits"].assign(ward=base["visits"].ward.where(base["visits"].pid != "p3", "unheard of"))
    late = base["visits"].assign(day=base["visits"].day.where(base["visits"].pid != "p3"))
    repeated = pd.concat([base["patients"], base["patients"][:1]], ignore_index=True)
    return {
        "no difference": base,
        "another person": with_person(base, 9, 3),
        "keys without a parent": {**base, "visits": dangling},
        "an undeclared category": {**base, "visits": undeclared},
        "rows without a time": {**base, "visits": late},
        "a repeated key": {**base, "patients": repeated},
        "no visits": {**base, "visits": base["visits"][:0]},
        "nobody": {name: frame[:0] for name, frame in base.items()},
    }


@pytest.mark.usefixtures("quick")
def test_neighbours_leave_the_same_file_and_the_same_messages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blind(monkeypatch)
    files = {}
    for name, tables in changes().items():
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("error")
            fit(tables).save(tmp_path / "model")
        with zipfile.ZipFile(tmp_path / "model") as archive:
            files[name] = {part: archive.read(part) for part in archive.namelist()} | {"said": said.getvalue()}
    assert [name for name, held in files.items() if held != files["no difference"]] == []


@pytest.mark.usefixtures("quick")
def test_columns_types_and_keys_follow_from_the_schema(tmp_path: Path) -> None:
    shapes = []
    for tables in changes().values():
        model = fit(tables)
        drawn = model.sample(30, seed=1)
        shapes.append({name: frame.dtypes.to_dict() for name, frame in drawn.items()})
        assert set(drawn["visits"].pid) <= set(drawn["patients"].pid)
        assert set(drawn["tests"].vid) <= set(drawn["visits"].vid)
        assert drawn["visits"].vid.is_unique
    assert all(shape == shapes[0] for shape in shapes)


def test_every_person_weighs_the_same() -> None:
    persons = np.repeat(np.arange(5), [1, 2, 3, 7, 40])
    chosen = weigh_persons(persons, 6, Noise.insecure(0))
    assert np.bincount(persons[chosen]).tolist() == [6] * 5
    times = np.bincount(chosen, minlength=len(persons))
    assert times[:6].tolist() == [6, 3, 3, 2, 2, 2]
    assert set(times[6:].tolist()) == {0, 1}
    assert len(weigh_persons(persons[:0], 6, Noise.insecure(0))) == 0


def test_gaps_are_decoded_as_they_were_encoded() -> None:
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(400), rng.integers(1, 9, 400))
    times = np.sort(rng.integers(0, 5000, len(owners)) + 10_000.0 * owners)
    codes = gap_codes(owners, times)
    first, last = np.searchsorted(owners, owners), np.searchsorted(owners, owners, side="right") - 1
    inner = (np.arange(len(owners)) > first) & (np.arange(len(owners)) < last)
    assert (np.isnan(codes) == ~inner).all()
    rows = np.flatnonzero(inner)
    share = gap_shares(codes[rows], last[rows] - rows, rng)
    again = times[rows - 1] + share * (times[last[rows]] - times[rows - 1])
    assert np.median(np.abs(again - times[rows])) < 0.05 * 5000
    assert (again >= times[rows - 1]).all()
    assert (gap_codes(np.zeros(4, np.int64), np.array([1.0, 1.0, 1.0, 5.0]))[1:3] == 0).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"schema": None}, PrivacyError, "declared schema"),
        ({"privacy": Privacy(epsilon=1.0)}, PrivacyError, "unit='pid'"),
        ({"privacy": replace(PRIVACY, unit="vid")}, PrivacyError, "row of the root table 'patients'"),
        ({"privacy": 1.0}, PrivacyError, "tabsynth.Privacy"),
        ({"seed": 1}, PrivacyError, "no seed"),
        ({"tables": {"patients": people(9)["patients"]}}, InputError, "missing 'tests', 'visits'"),
        (
            {"tables": people(9) | {"visits": people(9)["visits"].drop(columns="ward")}},
            SchemaError,
            "columns only in the schema: 'ward'",
        ),
        (
            {"tables": people(9) | {"visits": people(9)["visits"].assign(pid=1.5)}},
            PrivacyError,
            "two keys may become equal",
        ),
        (
            {"schema": replace(SCHEMA, tables={**SCHEMA.tables, "tests": Schema.infer(people(9)["tests"])})},
            PrivacyError,
            "table 'tests'.*inferred",
        ),
        (
            {"schema": replace(SCHEMA, foreign_keys=SCHEMA.foreign_keys[1:])},
            PrivacyError,
            "one root table",
        ),
    ],
)
def test_what_is_not_public_or_not_supported_is_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {"tables": people(9), "schema": SCHEMA, "privacy": PRIVACY, **change}
    with pytest.raises(error, match=message):
        RelationalSynthesizer().fit(given.pop("tables"), **given)


@pytest.mark.usefixtures("quick")
def test_a_model_is_saved_with_its_ledger_and_meets_conditions(tmp_path: Path) -> None:
    model = fit(people(60))
    model.save(tmp_path / "model")
    again = RelationalSynthesizer.load(tmp_path / "model")
    assert again.ledger_.epsilon() == model.ledger_.epsilon()
    assert again.card() == model.card()
    drawn = model.sample(50, seed=1)
    for name, frame in again.sample(50, seed=1).items():
        pd.testing.assert_frame_equal(frame, drawn[name])
    some = model.sample(50, given={"patients": {"sex": "f"}, "visits": {"ward": "heart"}}, seed=2)
    assert set(some["patients"].sex) == {"f"}
    assert set(some["visits"].ward) == {"heart"}
    file = load(tmp_path / "model")
    config = {**file.config, "caps": dict.fromkeys(file.config["caps"], 0)}
    save(tmp_path / "edited", ModelFile(file.kind, config, file.arrays))
    with pytest.raises(ModelFileError, match="than the cap of 0"):
        RelationalSynthesizer.load(tmp_path / "edited")


@pytest.mark.slow
def test_links_and_siblings_are_learned() -> None:
    real = people(1200)
    drawn = fit(real, replace(PRIVACY, epsilon=8.0, n_public=1200), max_children={"visits": 16, "tests": 8}).sample(
        1200, seed=1
    )
    for name in ("sex", "stay", "eye", "same"):
        # Of independent columns and siblings, "eye" and "same" would be .2 and .3 away.
        assert abs(facts(drawn)[name] - facts(real)[name]) < 0.12, name
    assert drawn["visits"].merge(drawn["patients"]).eval("day >= birth").all()
