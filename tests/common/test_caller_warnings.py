from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import pandas as pd

import tabsynth as ts


def test_warnings_name_the_line_that_called_tabsynth(tmp_path: Path) -> None:
    """A notebook shows the line of a warning: one inside the package helps nobody."""
    rare = pd.DataFrame({"code": [f"W{row // 4}" for row in range(80)], "x": [*range(80)]})
    rare.to_csv(tmp_path / "odd.csv", index=False, sep="|")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
        ts.MarginalSynthesizer().fit(rare, seed=0)
        ts.Table.of(rare, {"columns": {"x": {"kind": "numeric"}}})  # type: ignore[arg-type]
        ts.Schema.from_dict({"columns": {"x": {"kind": "categorical", "decimals": 0}}})
        ts.read(tmp_path / "odd.csv")
    assert [(one.filename, one.lineno - line) for one in caught] == [(__file__, step) for step in (1, 2, 3, 4)]
