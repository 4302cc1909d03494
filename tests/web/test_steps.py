"""The first three steps: input tables, columns and protection."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tabsynth.data.read_write import write
from tabsynth.pipeline.config import read_job
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.schema.columns import Numeric
from tabsynth.web.project import PLAN, Project, write_state
from tabsynth.web.steps.previews import preview
from tabsynth.web.steps.protection import Protection, explain, plan_key, read_plan
from tabsynth.web.steps.results import area_words


@pytest.fixture
def project(client, patients: bytes, tmp_path: Path) -> Project:
    answer = client.upload("../../Patients (2).csv", patients)
    assert answer.status == 303
    assert answer.header("location") == "/p/patients-2/columns"
    return Project(tmp_path / "patients-2")


def number_of(project: Project, name: str) -> str:
    return str(list(project.schema).index(name))


def test_an_upload_becomes_a_project_of_plain_files(project: Project, tmp_path: Path) -> None:
    assert {path.name for path in project.folder.iterdir()} == {
        "project.json", "schema.json", "source.csv", "table.parquet",
    }  # fmt: skip
    assert project.folder.stat().st_mode & 0o077 == 0
    assert not list(tmp_path.parent.glob("*.csv"))
    assert len(pd.read_parquet(project.path("table.parquet"))) == 120


def test_hostile_names_and_values_are_text(client, project: Project) -> None:
    page = client.get("/p/patients-2/columns").text
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_values_of_few_rows_are_not_shown(client, project: Project) -> None:
    page = client.get("/p/patients-2/columns").text
    assert "flu" in page
    for rare in ("kuru", "rabies", "987654", "987,654", "9.9e5"):
        assert rare not in page


def test_a_question_is_answered_with_a_click(client, project: Project) -> None:
    assert "ward" in project.schema.questions
    number = number_of(project, "ward")
    card = client.get("/p/patients-2/columns").text.split(f'id="column-{number}"')[1]
    assert 'name="answer" value="categorical"' in card
    assert client.post("/p/patients-2/column", number=number, answer="categorical").status == 303
    assert project.schema["ward"].kind == "categorical"
    assert "ward" not in project.schema.questions


def test_questions_name_no_option_that_the_page_does_not_have(client) -> None:
    towns = ["rome"] * 30 + [f"town {i // 2}" for i in range(90)]
    client.upload("towns.csv", pd.DataFrame({"town": towns, "age": range(120)}).to_csv(index=False).encode())
    page = client.get("/p/towns/columns").text
    assert "by invented ones: is it a category, a key or free text" in page
    assert "min_group" not in page


def test_a_larger_budget_is_never_expected_to_cost_more_quality(project: Project) -> None:
    found = [{"epsilon": 0.1, "pairs": 0.4}, {"epsilon": 1.0, "pairs": 0.3}, {"epsilon": 3.0, "pairs": 0.31}]
    write_state(project.path(PLAN), {"key": plan_key(project), "plan": {"expected": found}})
    shown = read_plan(project)
    assert shown is not None
    assert [one["error"] for one in shown.values()] == [0.4, 0.3, 0.3]
    assert [one["bar"] for one in shown.values()] == [100, 75, 75]


def test_facts_are_corrected(client, project: Project) -> None:
    number = number_of(project, "age")
    facts = {"kind": "numeric", "role": "target", "low": "0", "high": "120"}
    assert client.post("/p/patients-2/column", number=number, **facts).status == 303
    age = project.schema["age"]
    assert (age.low, age.high, age.role, age.origin) == (0, 120, "target", "declared")
    number = number_of(project, "pay")
    assert client.post("/p/patients-2/column", number=number, kind="numeric", role="target").status == 303
    assert project.schema.with_role("target") == ["pay"]
    number = number_of(project, "illness")
    listed = {"values_declared": "1", "values": "flu\r\ncold\r\n other \r\n", "kind": "categorical"}
    assert client.post("/p/patients-2/column", number=number, **listed).status == 303
    assert project.schema["illness"].values == ("flu", "cold", "other")


def test_a_kind_that_does_not_fit_is_refused_without_showing_a_value(client, project: Project) -> None:
    number = number_of(project, "illness")
    answer = client.post("/p/patients-2/column", number=number, kind="numeric", role="")
    assert answer.status == 400
    assert "not all of its values can be read as number" in answer.text
    assert "rabies" not in answer.text
    assert project.schema["illness"].kind == "categorical"


def test_a_column_is_left_out(client, project: Project) -> None:
    number = number_of(project, "pay")
    assert client.post("/p/patients-2/column", number=number, answer="leave-out").status == 303
    assert "pay" not in project.schema
    assert "pay" not in pd.read_parquet(project.path("table.parquet"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "choose a file first"),
        ({"path": "/nowhere/at/all.csv"}, "there is no file"),
        ({"sample": "sklearn:nothing"}, "no table"),
    ],
)
def test_a_missing_table_is_explained(client, tmp_path: Path, fields: dict[str, str], message: str) -> None:
    answer = client.post("/new", **fields)
    assert answer.status == 400
    assert message in answer.text.lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"a,b\n1,2\n"])
def test_a_file_that_is_no_table_leaves_nothing(client, tmp_path: Path, content: bytes) -> None:
    assert client.upload("x.csv", content).status == 400
    assert list(tmp_path.iterdir()) == []


def test_a_path_of_this_machine_is_read_in_place(client, patients: bytes, tmp_path: Path) -> None:
    source = tmp_path / "on disk.csv"
    source.write_bytes(patients)
    assert client.post("/new", path=str(source)).header("location") == "/p/on-disk/columns"
    assert source.read_bytes() == patients


def test_each_step_waits_for_the_one_before(client, project: Project) -> None:
    assert client.get("/p/patients-2").header("location") == "/p/patients-2/columns"
    assert client.get("/p/patients-2/results").header("location") == "/p/patients-2/columns"
    project.update(confirmed=True)
    assert client.get("/p/patients-2").header("location") == "/p/patients-2/protection"


def test_an_epsilon_is_explained_in_words(client, project: Project) -> None:
    project.update(confirmed=True)
    page = client.get("/p/patients-2/protection").text
    assert "recognises at most" in page
    assert "The loss of quality is not estimated yet" in page  # nothing runs
    assert f"recognises at most {explain(1.0, 100, 'row')['recognised']}%" in explain(1.0, 100, "row")["text"]
    shares = [float(explain(epsilon, 100, "row")["recognised"]) for epsilon in (0.1, 1.0, 10.0)]
    assert 1.0 < shares[0] < shares[1] < shares[2] < 100


@pytest.mark.parametrize(
    ("auc", "level", "word"),
    [(0.4, "fair", "Detected less often than by guessing"), (0.6, "fair", "Partly distinguishable")],
)
def test_a_detection_below_guessing_is_not_called_distinguishable(auc: float, level: str, word: str) -> None:
    report = {"scores": [{"name": "detection_auc", "value": auc}], "verdict": {"areas": {"detection": level}}}
    assert area_words(report) == [{"word": word, "level": level}]


def test_integers_have_one_bin_each() -> None:
    drawn = preview(pd.Series([1, 2, 3, 4] * 20), Numeric(name="cp", decimals=0))["histogram"]
    assert (drawn["left"], drawn["right"]) == ("≤ 1", "≥ 4")


def test_a_budget_is_kept(project: Project) -> None:
    Protection(epsilon=1.0, budget=1.0, rows_public=100).save(project)
    assert Protection.of(project).epsilon == 1.0
    ledger = PrivacyLedger(1.0, Protection.of(project).delta, path=project.path("ledger.json"))
    ledger.charge({"type": "ZCDpEvent", "rho": 0.02, "xi": 0.0}, purpose="earlier", columns=["age"], sensitivity=1.0)
    with pytest.raises(Exception, match="choose a smaller epsilon"):
        Protection(epsilon=1.0, budget=1.0, rows_public=100).save(project)


@pytest.mark.parametrize("epsilon", ["", "0", "-1", "nan", "inf", "many"])
def test_an_impossible_epsilon_is_refused(client, project: Project, epsilon: str) -> None:
    answer = client.post("/p/patients-2/protection", protection="epsilon", epsilon=epsilon, rows="100")
    assert answer.status == 400
    assert project.state.get("protection") is None


def test_the_pipeline_file_is_one_that_the_pipeline_reads(client, project: Project) -> None:
    assert "learn the table first" in client.get("/p/patients-2/pipeline").text
    project.schema.to_json(project.path("schema-fit.json"))
    Protection().save(project)
    assert "kind: masked" in client.get("/p/patients-2/pipeline").text
    Protection(epsilon=1.0, budget=3.0, rows_public=100).save(project)
    assert client.post("/p/patients-2/pipeline").status == 303
    job = read_job(project.path("pipeline.yaml"))
    assert job.schema == project.schema
    assert job.input == project.path("table.parquet")
    assert job.model.privacy is not None
    assert job.model.privacy.epsilon <= 1.0
    assert PrivacyLedger.open(job.model.privacy.ledger).epsilon_budget == 3.0


def test_public_facts_are_declared_together(client, project: Project) -> None:
    project.update(confirmed=True)
    page = client.get("/p/patients-2/protection?private=1").text
    assert "flu, cold" in page
    assert "kuru" not in page
    age, illness = number_of(project, "age"), number_of(project, "illness")
    answer = client.post("/p/patients-2/public", **{f"low-{age}": "0", f"high-{age}": "120", f"list-{illness}": "1"})
    assert answer.status == 303
    assert (project.schema["age"].low, project.schema["age"].high) == (0, 120)
    assert project.schema["illness"].values == ("flu", "cold", "other")
    assert client.post("/p/patients-2/public", **{f"low-{age}": "old"}).status in (303, 400)
    wrong = client.post("/p/patients-2/public", **{f"low-{number_of(project, 'pay')}": "old"})
    assert wrong.status == 400
    assert "is not a number" in wrong.text


def test_a_table_of_a_database_is_read(client, tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": range(100), "sex": ["f", "m"] * 50})
    write(frame, f"sqlite:///{tmp_path}/clinic.db", table="patients")
    answer = client.post("/new", path=f"sqlite:///{tmp_path}/clinic.db", name="patients")
    assert answer.header("location") == "/p/patients/columns"
    assert Project(tmp_path / "patients").state["rows"] == 100
    refused = client.post("/new", path="postgresql://ann:s3cret@db.example.org/clinic", name="patients")
    assert refused.status == 400
    assert "s3cret" not in refused.text
    assert "contains a password" in refused.text


@pytest.mark.parametrize(
    "name", ["x.c\\sv", "..csv/../../x", "a" * 300 + ".csv", "x." + "y" * 300, "x.csv\x00", "💥.csv"]
)
def test_a_hostile_file_name_stays_in_its_project(client, patients: bytes, tmp_path: Path, name: str) -> None:
    client.upload(name, patients)
    for path in tmp_path.rglob("*"):
        assert len(path.relative_to(tmp_path).parts) <= 2
        assert path.is_dir() or path.name in {"project.json", "schema.json", "source.csv", "table.parquet"}


def test_the_unit_of_privacy_is_a_key(client, project: Project) -> None:
    number = number_of(project, "age")
    client.post("/p/patients-2/column", number=number, kind="numeric", role="person")
    assert (project.schema["age"].kind, project.schema["age"].role) == ("identifier", "person")
    project.update(confirmed=True)
    assert "Maximum number of rows of one person" in client.get("/p/patients-2/protection").text


@pytest.mark.parametrize(
    ("marker", "present"), [("999", [str(20 + i % 50) for i in range(93)]), ("?", ["a", "b"] * 46 + ["a"])]
)
def test_a_marker_of_missing_values_is_emptied_with_a_click(
    client, tmp_path: Path, marker: str, present: list[str]
) -> None:
    frame = pd.DataFrame({"age": [*present, *[marker] * 7], "sex": ["f", "m"] * 50})
    assert client.upload("people.csv", frame.to_csv(index=False).encode()).status == 303
    people = Project(tmp_path / "people")
    page = client.get("/p/people/columns").text
    assert "Yes, it means missing" in page
    assert client.post("/p/people/column", number="0", answer="missing").status == 303
    assert pd.read_parquet(people.path("table.parquet"))["age"].isna().sum() == 7
    assert people.schema["age"].nullable
    assert people.schema.questions == {}
    assert client.post("/p/people/column", number="0", answer="missing").status == 400
