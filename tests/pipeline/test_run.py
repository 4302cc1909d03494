"""The pipeline: its file, the split of the table, and a whole run on a small table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.data import Table, load_shipped, split
from tabsynth.data.sample_datasets import TARGETS, open_table
from tabsynth.errors import ConditionError, DataError, InputError, SchemaError, SourceError
from tabsynth.pipeline import run
from tabsynth.pipeline.config import EXAMPLE, Job, job_from_dict, read_job
from tabsynth.pipeline.run import plan
from tabsynth.schema import Schema

BASE: dict[str, Any] = {"version": 1, "input": "in.csv", "output": "out"}

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "who": {"kind": "identifier"},
            "age": {"kind": "numeric", "decimals": 0, "nullable": True},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
        }
    }
)


def people(rows: int = 100, each: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "who": [f"p{i // each:03d}" for i in range(rows)],
            "age": rng.integers(20, 90, rows),
            "sex": rng.choice(["f", "m"], rows, p=[0.8, 0.2]),
        }
    )


class TestSplit:
    def test_parts_are_the_table(self) -> None:
        table = Table.of(people(), SCHEMA)
        train, holdout = split(table, 0.2, seed=0)
        assert (len(train), len(holdout)) == (80, 20)
        both = pd.concat([train.frame, holdout.frame]).sort_values("who").reset_index(drop=True)
        pd.testing.assert_frame_equal(both, table.frame)

    def test_same_seed_same_split_other_seed_another(self) -> None:
        table = Table.of(people(), SCHEMA)
        first, again, other = (split(table, 0.3, seed=seed, target="sex")[1].frame for seed in (5, 5, 6))
        pd.testing.assert_frame_equal(first, again)
        assert not first.equals(other)

    @pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
    def test_each_class_gives_its_share(self, share: float) -> None:
        table = Table.of(people(), SCHEMA)
        holdout = split(table, share, seed=1, target="sex")[1].frame
        for sex, count in table.frame["sex"].value_counts().items():
            assert abs((holdout["sex"] == sex).sum() - share * count) <= 1

    def test_numeric_target_is_spread_over_its_range(self) -> None:
        table = Table.of(people(1000), SCHEMA)
        train, holdout = split(table, 0.2, seed=1, target="age")
        for q in (0.1, 0.5, 0.9):
            assert abs(train.frame["age"].quantile(q) - holdout.frame["age"].quantile(q)) <= 1

    def test_each_row_has_the_same_chance(self) -> None:
        table = Table.of(people(10), SCHEMA)
        held = sum(
            table.frame["who"].isin(split(table, 0.3, seed=seed, target="sex")[1].frame["who"]).to_numpy()
            for seed in range(400)
        )
        assert np.abs(held / 400 - 0.3).max() < 0.1  # four standard deviations

    def test_persons_stay_together(self) -> None:
        frame = people(120, each=4)
        frame["who"] = frame["who"].where(np.arange(120) >= 8)  # eight rows of unknown persons
        schema = SCHEMA.replace("who", role="person", nullable=True)
        train, holdout = split(Table.of(frame, schema), 0.25, seed=0, target="sex")
        assert not set(train.frame["who"].dropna()) & set(holdout.frame["who"].dropna())
        assert len(holdout) > 0

    def test_refusals_name_the_culprit(self) -> None:
        table = Table.of(people(), SCHEMA)
        with pytest.raises(InputError, match="between 0 and 1, not 20"):
            split(table, 20, seed=0)
        with pytest.raises(SchemaError, match="no column 'outcome' to be the target; there are 'who', 'age', 'sex'"):
            split(table, 0.2, seed=0, target="outcome")
        with pytest.raises(SchemaError, match="column 'who' cannot be the target: its kind is identifier"):
            split(table, 0.2, seed=0, target="who")
        with pytest.raises(DataError, match="2 rows; at least 3"):
            split(Table.of(people(2), SCHEMA), 0.5, seed=0)


class TestJob:
    def test_defaults(self) -> None:
        job = job_from_dict(BASE, folder="/data")
        assert job.input == Path("/data/in.csv")
        assert job.output == Path("/data/out")
        assert job.model.kind == "masked"
        assert job.seed == 0
        assert job.sample is not None
        assert job.sample.rows is None
        assert job.evaluate is not None
        assert job.evaluate.report == "report.html"

    def test_example_is_valid(self, tmp_path: Path) -> None:
        (tmp_path / "pipeline.yaml").write_text(EXAMPLE)
        job = read_job(tmp_path / "pipeline.yaml")
        assert isinstance(job, Job)
        assert job.input == "sklearn:breast_cancer"
        assert job.target == "diagnosis"
        assert job.holdout == 0.2

    def test_example_is_valid_with_every_comment_taken_in(self, tmp_path: Path) -> None:
        lines = [line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in EXAMPLE.splitlines()]
        (tmp_path / "pipeline.yaml").write_text("\n".join(lines[2:]))
        (tmp_path / "schema.json").write_text('{"columns": {"x": {"kind": "text"}}}')
        job = read_job(tmp_path / "pipeline.yaml")
        assert job.model.options == {"epochs": 20, "min_group": 5}
        assert job.model.checkpoint is False
        assert job.sample is not None
        assert job.sample.given == {"diagnosis": "benign", "mean radius": [10, 20]}

    def test_separator_of_the_sample(self, tmp_path: Path) -> None:
        people().to_csv(tmp_path / "in.csv", sep=";", decimal=",", index=False)
        job = {"version": 1, "input": str(tmp_path / "in.csv"), "output": str(tmp_path / "out"), "holdout": 0.3}
        job |= {"model": {"kind": "marginal"}, "sample": {"output": "rows.csv", "separator": ";"}}
        job |= {"read": {"separator": ";"}}
        result = run({**job, "evaluate": {"sdmetrics": False}})
        assert list(pd.read_csv(result.synthetic, sep=";", decimal=",")) == list(people())
        assert result.scores
        with pytest.raises(SourceError, match="one character"):
            run({**job, "sample": {"output": "rows.csv", "separator": ";;"}})
        with pytest.raises(SourceError, match="is no CSV file"):
            run({**job, "sample": {"separator": ";"}})

    def test_options_of_reading(self, tmp_path: Path) -> None:
        (tmp_path / "in.csv").write_bytes(("a|b\n" + "1.250|é\n2.500|?\n" * 30).encode("cp1252"))
        options = {"separator": "|", "decimal": ",", "encoding": "cp1252", "missing": ["?"]}
        job = {"version": 1, "input": str(tmp_path / "in.csv"), "output": str(tmp_path / "out"), "evaluate": False}
        result = run({**job, "read": options, "model": {"kind": "marginal"}, "holdout": str(tmp_path / "in.csv")})
        synthetic = pd.read_parquet(result.synthetic)
        assert synthetic["a"].str.fullmatch(r"\d\.\d{3}").all()
        assert set(synthetic["b"].dropna()) == {"é"}
        assert synthetic["b"].isna().any()
        with pytest.raises(InputError, match="read: unknown key 'delimiter'"):
            run({**job, "read": {"delimiter": "|"}})
        with pytest.raises(InputError, match="missing must be a list of spellings"):
            run({**job, "read": {"missing": "?"}})

    @pytest.mark.parametrize(
        ("key", "output", "message"),
        [
            ("model", "../m", "outside the folder"), ("model", "/tmp/m", "outside the folder"),
            ("model", "out/../../in.csv", "outside the folder"), ("sample", "in.csv", "is the input"),
            ("model", "job.yaml", "is the input"), ("model", "schema.json", "is the input"),
            ("evaluate", "schema.json", "is the input"), ("model", "holdout.csv", "is the input"),
        ],
    )  # fmt: skip
    def test_no_step_replaces_a_file_that_it_reads(self, tmp_path: Path, key: str, output: str, message: str) -> None:
        pd.DataFrame({"a": [1, 2, 3] * 20}).to_csv(tmp_path / "in.csv", index=False)
        pd.DataFrame({"a": [1, 2, 3] * 20}).to_csv(tmp_path / "holdout.csv", index=False)
        (tmp_path / "schema.json").write_text('{"columns": {"a": {"kind": "numeric"}}}')
        step = {"json": output} if key == "evaluate" else {"output": output}
        job = {"version": 1, "input": "in.csv", "output": ".", "schema": "schema.json", "holdout": "holdout.csv"}
        (tmp_path / "job.yaml").write_text(json.dumps({**job, key: step}))
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(InputError, match=message):
            run(tmp_path / "job.yaml")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_dates_and_ranges_become_conditions(self) -> None:
        import datetime

        day = datetime.date(2020, 1, 2)
        job = job_from_dict({**BASE, "sample": {"given": {"seen": [day, day], "sex": "f"}}})
        assert job.sample is not None
        assert job.sample.given == {"seen": ["2020-01-02", "2020-01-02"], "sex": "f"}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"version": None}, "pipeline: 'version' is missing; give an integer"),
            ({"version": 2}, "pipeline: version 2 is later than 1; upgrade"),
            ({"version": True}, "version must be an integer, not True"),
            ({"input": None}, "'input' is missing"),
            ({"output": 3}, "output must be a folder, not 3"),
            ({"smaple": {}}, r"unknown key 'smaple' \(did you mean 'sample'\?\); allowed are 'version', 'input'"),
            ({"privacy": {"epsilon": 1}}, "unknown key 'privacy'"),
            ({"holdout": 1.5}, "holdout must be between 0 and 1, not 1.5"),
            ({"holdout": True}, "holdout must be a share such as 0.2 or a path, not True"),
            ({"seed": -1}, "seed must be an integer from 0"),
            ({"seed": 1.5}, "seed must be an integer, not 1.5"),
            ({"target": ["a"]}, "target must be a column's name"),
            ({"model": "masked"}, "model must be a mapping, not 'masked'"),
            ({"model": {"checkpoint": "no"}}, "model: checkpoint must be true or false"),
            ({"sample": {"row": 5}}, r"sample: unknown key 'row' \(did you mean 'rows'\?\)"),
            ({"sample": {"rows": 0}}, "sample: rows must be at least 1, not 0"),
            ({"sample": {"rows": "10"}}, "sample: rows must be an integer, not '10'"),
            ({"evaluate": {"require": {"auc": "high"}}}, "evaluate: require: auc must be a number, not 'high'"),
            ({"evaluate": {"html": "x"}}, "evaluate: unknown key 'html'; allowed are"),
            ({"sample": False}, "evaluate needs the step sample; add evaluate: false"),
            ({"schema": {"columns": {"a": {"kind": "number"}}}}, "column 'a': kind 'number' is not one of"),
        ],
    )
    def test_refusals_name_the_key(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            job_from_dict({key: value for key, value in {**BASE, **change}.items() if value is not None})

    def test_a_misspelt_score_is_refused_before_the_fit(self, tmp_path: Path) -> None:
        job = {"version": 1, "input": "sklearn:iris", "output": str(tmp_path / "out")}
        with pytest.raises(InputError, match="evaluate: require: no score is called 'utilty'; did you mean 'utility"):
            plan({**job, "evaluate": {"require": {"utilty": 0.6}}})
        with pytest.raises(InputError, match="write 'utility' instead of 'utility.utility'"):
            plan({**job, "evaluate": {"require": {"utility.utility": 0.6}}})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("version: [", "is not YAML"),
            ("version: 1\nversion: 2\n", "key 'version' is given twice"),
            ("!!python/object/apply:os.getcwd []", "is not YAML"),
            ("- a\n- b\n", "expected a mapping"),
            ("", "expected a mapping"),
        ],
    )
    def test_bad_files(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(InputError, match=message):
            read_job(tmp_path / "p.yaml")

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"cannot read the pipeline .*no.yaml.*: there is no such file"):
            read_job(tmp_path / "no.yaml")


class TestShipped:
    @pytest.mark.parametrize("name", TARGETS)
    def test_tables_have_their_target_last(self, name: str) -> None:
        frame = load_shipped(name)
        assert frame.columns[-1] == TARGETS[name]
        assert not frame.isna().any(axis=None)

    def test_unknown_name(self) -> None:
        with pytest.raises(SourceError, match=r"no table 'titanic' ships .* 'diabetes'"):
            open_table("sklearn:titanic")


class TestConditions:
    """What every row must meet is checked before the fit, and NO is a country."""

    @staticmethod
    def job(folder: Path, given: str) -> Path:
        countries = pd.DataFrame({"country": ["NO", "SE", "DK"] * 40, "age": [20 + i % 50 for i in range(120)]})
        countries.to_csv(folder / "in.csv", index=False)
        text = (
            f"version: 1\ninput: in.csv\noutput: out\nmodel: {{kind: marginal}}\nsample: {{rows: 20, given: {given}}}\n"
        )
        (folder / "job.yaml").write_text(text + "evaluate: null\n")
        return folder / "job.yaml"

    def test_the_country_no_is_text(self, tmp_path: Path) -> None:
        result = run(self.job(tmp_path, "{country: NO}"))
        assert result.synthetic is not None
        assert (Table.of(result.synthetic).frame["country"] == "NO").all()

    @pytest.mark.parametrize("given", ["{country: ZZ}", "{country: [NO, ZZ]}", "{age: 5000}", "{age: 30.5}"])
    def test_what_cannot_be_met_is_refused_before_the_fit(self, tmp_path: Path, given: str) -> None:
        said: list[str] = []
        with pytest.raises(ConditionError, match=r"ZZ|5000|30\.5"):
            run(self.job(tmp_path, given), say=said.append)
        assert not any(line.startswith("fitting") for line in said)
        assert not (tmp_path / "out").exists()
