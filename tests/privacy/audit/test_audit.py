"""The audit: verdicts, refused arguments, and reports that survive their JSON form and name nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth import __version__
from tabsynth.errors import DataError, InputError, SchemaError, SourceError
from tabsynth.privacy.attacks.holdout_overlap import check_overlap, round_significant
from tabsynth.privacy.audit import audit
from tabsynth.privacy.audit.one_run import epsilon_from_scores
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.privacy.audit.verdict import Claim, judge_attacks, judge_claim
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema

Draw = Callable[[int, int], pd.DataFrame]


@pytest.fixture(scope="module")
def leaking(draw: Draw, schema: Schema) -> AuditReport:
    """A table of new rows with 3 % of the training rows, slightly perturbed."""
    rows = draw(6000, 11)
    copied = rows[:60].assign(income=rows["income"][:60] * 1.0001)
    return audit(rows[:2000], pd.concat([copied, rows[4000:5940]]), rows[2000:4000], schema=schema)


def test_a_planted_leak_passes_dcr_and_fails_the_audit(leaking: AuditReport) -> None:
    dcr = leaking.scores["smoke_dcr_share"]
    assert dcr.interval is not None
    assert dcr.interval[0] <= 50 <= dcr.interval[1]
    assert leaking.verdict == "VIOLATION"
    assert leaking.scores["copies_exact"].value == 0
    assert "copies_near" in leaking.significant
    assert len(leaking.worst) == 25
    assert all(record["row"] < 60 for record in leaking.worst)


@pytest.mark.slow
def test_fresh_rows_are_consistent_and_the_power_is_stated(draw: Draw, schema: Schema) -> None:
    rows = draw(24_000, 12)
    report = audit(rows[:8000], rows[8000:16_000], rows[16_000:], schema=schema)
    assert report.verdict == "CONSISTENT, powered"
    assert re.search(r"copies with 1 % noise \((0\.5|1|2|3) %\)", report.text), report.text
    assert "passed" not in report.to_html().lower()
    few = audit(rows[:300], rows[8000:8300], rows[16_000:16_300], schema=schema)
    assert few.verdict == "INCONCLUSIVE"


def test_a_claim_is_held_against_what_was_measured(draw: Draw, schema: Schema) -> None:
    rows = draw(1200, 13)
    report = audit(rows[:600], rows[:600], rows[600:], schema=schema, privacy=Privacy(epsilon=1.0, delta=1e-6))
    assert report.verdict == "VIOLATION"
    assert report.claim is not None
    assert 1.0 < report.claim["measured"] <= report.claim["most"]
    assert "epsilon" in report.questions[0]["answer"]
    assert judge_claim(Claim(1.0, 1e-6, 0.5, 8.0, 0.9))[0] == "CONSISTENT, powered"
    assert judge_claim(Claim(1.0, 1e-6, 0.5, 8.0, 0.7))[0] == "INCONCLUSIVE"
    assert judge_claim(Claim(1.0, 1e-6, 1.01, 8.0, 0.7))[0] == "VIOLATION"
    assert judge_attacks([], False, "")[0] == "INCONCLUSIVE"


def test_json_comes_back_and_names_nobody(leaking: AuditReport, tmp_path: Path) -> None:
    leaking.save(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text("utf-8"))
    again = AuditReport.from_dict(data)
    assert again == leaking
    assert again.to_html() == leaking.to_html()
    assert '"row"' not in json.dumps(data)
    assert [item["status"] for item in data["questions"]].count("not answered") == 2
    assert len(data["questions"]) == 9
    with pytest.raises(DataError, match="not an audit report"):
        AuditReport.from_dict({"format": "tabsynth-evaluation"})
    with pytest.raises(DataError, match="later"):
        AuditReport.from_dict({**data, "version": 9})


def test_single_records_go_to_an_internal_file_only(leaking: AuditReport, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="internal"):
        leaking.save_internal(tmp_path / "records.json")
    leaking.save_internal(tmp_path / "records.internal.json")
    data = json.loads((tmp_path / "records.internal.json").read_text("utf-8"))
    assert data["internal"].startswith("INTERNAL")
    assert len(data["records"]) == 25


def test_text_forms(leaking: AuditReport, tmp_path: Path) -> None:
    assert str(leaking).startswith("VIOLATION. ")
    assert "density_ratio_random_tpr" in str(leaking)
    leaking.save(tmp_path / "r.md")
    assert "## Nine questions" in (tmp_path / "r.md").read_text("utf-8")
    with pytest.raises(SourceError, match=r"\.html, \.json or \.md"):
        leaking.save(tmp_path / "r.pdf")


def test_without_a_holdout_there_is_no_verdict(draw: Draw, schema: Schema) -> None:
    rows = draw(400, 14)
    report = audit(rows[:200], pd.concat([rows[:50], rows[200:]]), schema=schema)
    assert report.verdict is None
    assert report.scores["copies_exact"].value == 25.0
    assert "holdout" in " ".join(report.notes)
    assert "No verdict" in report.to_html()
    assert report.questions[3]["status"] == "not answered"


def test_ten_rows_say_nothing(draw: Draw, schema: Schema) -> None:
    rows = draw(30, 15)
    report = audit(rows[:10], rows[10:20], rows[20:], schema=schema)
    assert report.verdict == "INCONCLUSIVE"
    assert "too few rows to detect any of the planted leaks" in report.text
    with pytest.raises(DataError, match="the holdout has 3 rows"):
        audit(rows[:10], rows[10:20], rows[20:23], schema=schema)


def test_an_overlap_is_refused_with_its_size(draw: Draw, schema: Schema) -> None:
    rows = draw(1000, 16)
    holdout = pd.concat([rows[500:], rows[:17]])
    with pytest.raises(DataError, match="17 of its 517 rows are training rows"):
        audit(rows[:500], rows[:500], holdout, schema=schema)
    with pytest.raises(DataError, match="500 of its 500 rows"):
        audit(rows[:500], rows[:500], rows[:500], schema=schema)


def test_numbers_that_differ_in_the_last_bit_are_one() -> None:
    values = np.random.default_rng(0).normal(size=300) * 10.0 ** np.arange(-150, 150)
    other = np.nextafter(values, np.inf)
    assert (round_significant(values) == round_significant(other)).mean() > 0.99
    assert (round_significant(np.array([0.0, -0.0, 1e-300, np.nan]))[:3] == [0.0, 0.0, 1e-300]).all()
    with pytest.raises(DataError, match="overlaps"):
        check_overlap(pd.DataFrame({"x": values}), pd.DataFrame({"x": other}))


def test_rows_that_repeat_by_chance_are_no_overlap() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 8, 2000), "b": rng.choice(list("xyz"), 2000)})
    assert check_overlap(frame[:1000], frame[1000:]) == 1000
    numbers = pd.DataFrame({"a": rng.integers(0, 4000, 1500), "b": rng.integers(0, 100, 1500)})
    assert check_overlap(numbers[:1000], numbers[1000:]) <= 5
    with pytest.raises(DataError, match="overlaps"):
        check_overlap(numbers[:1000], pd.concat([numbers[1000:], numbers[:30]]))


def test_bad_input_is_refused_before_any_work(draw: Draw, schema: Schema) -> None:
    rows = draw(90, 17)
    train, made, held = rows[:30], rows[30:60], rows[60:]
    for wrong, error, match in (
        ({"synthetic": made.drop(columns="sex")}, SchemaError, "the synthetic table has other columns"),
        ({"holdout": held.assign(extra=1)}, SchemaError, "the holdout has other columns"),
        ({"synthetic": made[:0]}, DataError, "no rows"),
        ({"seed": -1}, InputError, "seed"),
        ({"privacy": 1.0}, DataError, "privacy must be a Privacy"),
        ({"synthetic": 3}, InputError, "expected a DataFrame"),
    ):
        given = {"train": train, "synthetic": made, "holdout": held, "schema": schema, **wrong}
        with pytest.raises(error, match=match):
            audit(**given, progress=lambda *_: pytest.fail("work was begun"))  # type: ignore[arg-type]


def test_same_seed_same_report(draw: Draw, schema: Schema) -> None:
    rows = draw(600, 18)
    stages: list[str] = []
    dicts = [
        audit(
            rows[:200], rows[200:400], rows[400:], schema=schema, seed=3, progress=lambda name, _: stages.append(name)
        ).to_dict()
        for _ in range(2)
    ]
    for data in dicts:
        del data["provenance"]["created"]
        assert data["provenance"]["packages"]["tabsynth"] == __version__
    assert dicts[0] == dicts[1]
    assert stages[0] == "membership"
    assert stages[-1] == "done"


def test_exchanged_arguments_are_refused(draw: Draw, schema: Schema) -> None:
    rows = draw(1800, 21)
    made = pd.concat([rows[:100], rows[1200:1700]])
    assert audit(rows[:600], made, rows[600:1200], schema=schema).verdict == "VIOLATION"
    with pytest.raises(DataError, match="train and holdout are exchanged"):
        audit(rows[600:1200], made, rows[:600], schema=schema)


def test_a_holdout_of_altered_training_rows_is_refused(draw: Draw, schema: Schema) -> None:
    rows = draw(2000, 22)
    for name in ("age", "income"):
        with pytest.raises(DataError, match=f"training rows in all columns but '{name}'"):
            check_overlap(rows[:1000], rows[:1000].assign(**{name: rows[name] + 1}))
    assert check_overlap(rows[:1000], rows[1000:]) == 0
    coarse = pd.DataFrame(np.random.default_rng(0).integers(0, 2, (2000, 8)).astype(str), columns=list("abcdefgh"))
    assert check_overlap(coarse[:1000], coarse[1000:]) > 900


def test_a_claim_makes_no_leak_inaudible(draw: Draw, schema: Schema) -> None:
    rows = draw(3000, 23)
    made = pd.concat([rows[:30], rows[2000:]])
    claimed = audit(rows[:1000], made, rows[1000:2000], schema=schema, privacy=Privacy(1.0, 1e-6))
    assert claimed.verdict == audit(rows[:1000], made, rows[1000:2000], schema=schema).verdict == "VIOLATION"


def test_ties_are_no_evidence() -> None:
    member = np.arange(2000) < 1000
    assert epsilon_from_scores(np.zeros(2000), member, 1e-6)[0] < 0.3
    kind, text = judge_claim(Claim(1.0, 1e-6, 0.5, 8.0, 0.7), ["Near copies 3 %"])
    assert kind == "INCONCLUSIVE"
    assert "Training rows are recognised beyond chance by near copies 3 %" in text


@pytest.mark.slow
def test_planted_leaks_that_the_audit_finds_are_found_when_they_are_there(draw: Draw, schema: Schema) -> None:
    rows = draw(6000, 31)
    fresh = audit(rows[:2000], rows[4000:], rows[2000:4000], schema=schema)
    planted = {leak["name"]: leak for leak in fresh.details["power"]["planted"]}
    assert planted["verbatim copies"]["least"] <= 0.03
    assert planted["copies with 5 % noise"]["least"] > planted["verbatim copies"]["least"]
    assert "detected these leaks (smallest detected share of records): verbatim copies (0.5 %), " in fresh.text
    assert "missed, up to 10 %: interpolated rows." in fresh.text  # ages are rounded
    assert "Which leaks this audit would detect" in fresh.to_html()
    for name, noise in (("verbatim copies", 0.0), ("copies with 1 % noise", 0.01)):
        least = planted[name]["least"]
        copies = rows[: round(least * 2000)].copy()
        for column in ("age", "income", "score"):
            low, high = rows[column].quantile([0.1, 0.9])
            shift = noise * (high - low) * np.random.default_rng(0).normal(size=len(copies))
            copies[column] = copies[column] + shift
        made = pd.concat([copies, rows[4000 : 6000 - len(copies)]])
        assert audit(rows[:2000], made, rows[2000:4000], schema=schema).verdict == "VIOLATION"


def test_every_exact_copy_of_an_isolated_record_is_named(draw: Draw, schema: Schema) -> None:
    rows = draw(3000, 32)
    outliers = rows[:3].assign(income=[9e7, 8e7, 1e-3], age=[140, 150, 160])
    train = pd.concat([rows[:997], outliers], ignore_index=True)
    report = audit(train, pd.concat([outliers, rows[2000:]]), rows[1000:2000], schema=schema)
    assert {record["row"] for record in report.worst if record["exact_copy"]} == {997, 998, 999}
    assert any(note.startswith("3 isolated training records occur exactly") for note in report.notes)
