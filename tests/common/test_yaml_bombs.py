"""YAML whose aliases or merges would expand without bound is refused, with little memory."""

from __future__ import annotations

import resource

import pytest

from tabsynth.common.yaml_files import parse_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGES = "m0: &m0 {a: 1, b: 2, c: 3, d: 4, e: 5}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "more than 5,000,000 values"),
        (MERGES, "merge keys bring in more than 1,000,000 values"),
        ("a: &a [*a]", "nested deeper|recursive"),
        ("[" * 100_000, "nested too deeply|expected"),
    ],
    ids=["aliases", "merges", "itself", "depth"],
)
def test_bombs_are_refused(text: str, message: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=message):
        parse_yaml(text)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kilobytes


def test_aliases_and_merges_of_people_work() -> None:
    text = "base: &base {a: 1, b: 2}\nsteps:\n- {<<: *base, c: 3}\n- *base\n"
    assert parse_yaml(text)["steps"] == [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}]
