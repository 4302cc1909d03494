"""Random neighbours leave the same output, exit codes and files on the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tabsynth.cli import main
from tabsynth.privacy import budget

from .mechanisms.test_clamping import CELLS
from .shadow import blind
from .tables import SCHEMA, table
from .test_neighbours_in_every_form import written

OPTIONS = ("--epsilon", "2", "--delta", "1e-5", "--n-public", "100", "--option", "components=2")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(row=st.lists(CELLS, min_size=len(SCHEMA), max_size=len(SCHEMA)), removed=st.integers(0, 59))
def test_random_neighbours_leave_the_same_files(
    form: str,
    row: list[Any],
    removed: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blind(monkeypatch)
    fix_noise(monkeypatch)
    frame = table()
    cells = dict(zip(SCHEMA, row, strict=True))
    more = pd.DataFrame({name: pd.Series([*frame[name].tolist(), cells[name]], dtype=object) for name in frame})
    less = frame.drop(index=removed).reset_index(drop=True)
    first, *others = (left_behind(one, form, tmp_path, capsys) for one in (frame, more, less))
    assert first["codes"] == [0, 0, 0, 0]
    for other in others:
        assert other == first


def test_the_test_finds_a_message_that_depends_on_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tabsynth.cli.private import fit

    blind(monkeypatch)
    fix_noise(monkeypatch)
    read = fit.read_rows

    def talking(*args: Any) -> pd.DataFrame:
        rows = read(*args)
        fit.say(f"read {len(rows)} rows")
        return rows

    monkeypatch.setattr(fit, "read_rows", talking)
    first, second = (left_behind(frame, "csv", tmp_path, capsys) for frame in (table(), table().iloc[1:]))
    assert first != second
    assert first["files"] == second["files"]


def fix_noise(patch: pytest.MonkeyPatch) -> None:
    """Give each budget of the command line the insecure seed, which the command line itself does not offer."""
    checked = budget.Privacy.__post_init__

    def seeded(privacy: budget.Privacy) -> None:
        checked(privacy)
        object.__setattr__(privacy, "insecure_seed", 3)

    assert "insecure_seed" in {field.name for field in dataclasses.fields(budget.Privacy)}
    patch.setattr(budget.Privacy, "__post_init__", seeded)


def left_behind(frame: pd.DataFrame, form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Exit codes, output and files of a fit, of its ledger's verification and display, and of a sample."""
    for path in folder.iterdir():
        path.unlink()
    data = written(frame, form, folder / "patients")
    schema, ledger, model = (str(folder / name) for name in ("schema.json", "patients.ledger", "m.tabsynth"))
    Path(schema).write_text(json.dumps(SCHEMA.to_dict()))
    codes = [
        main(["fit", str(data), "--schema", schema, *OPTIONS, "--ledger", ledger, "--output", model]),
        main(["ledger", "verify", ledger, "--models", model]),
        main(["ledger", "show", ledger]),
        main(["sample", model, "--rows", "3", "--seed", "1", "--output", str(folder / "sample.csv")]),
    ]
    data.unlink()
    said = capsys.readouterr()
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return {"codes": codes, "output": said.out, "messages": said.err, "files": files}
