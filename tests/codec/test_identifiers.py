import json
import re
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.codec.identifier_patterns import Form, Pattern
from tabsynth.codec.identifiers import from_regex, generate_keys, learn_pattern
from tabsynth.errors import SchemaError


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _outline(key: str) -> str:
    return re.sub(r"[^\W_]", "w", key)


keys = st.one_of(
    st.lists(st.integers(0, 2**62), min_size=1, max_size=60),
    st.lists(st.text("abAB01-_/é ", min_size=1, max_size=12), min_size=1, max_size=60),
    st.lists(st.from_regex(r"rec-[0-9]{1,4}-(org|dup-[0-9])", fullmatch=True), min_size=1, max_size=60),
)


@settings(max_examples=60, deadline=None)
@given(keys, st.integers(0, 400), st.integers(0, 9))
def test_fresh_keys_are_different_of_the_same_type_and_reproducible(values, n, seed):
    pattern = learn_pattern(pd.Series(values, dtype=object))
    made = generate_keys(pattern, n, _rng(seed))
    assert len(made) == len(set(made.tolist())) == n
    assert all(isinstance(key, type(values[0])) for key in made.tolist())
    assert made.tolist() == generate_keys(pattern, n, _rng(seed)).tolist()
    assert Pattern.from_dict(json.loads(json.dumps(pattern.to_dict()))) == pattern


@settings(max_examples=40, deadline=None)
@given(st.lists(st.uuids(), min_size=5, max_size=40, unique=True))
def test_uuids_become_uuids(values):
    text = [str(value) for value in values]
    made = generate_keys(learn_pattern(pd.Series(text)), 50, _rng())
    assert all(re.fullmatch(r"\w{8}-\w{4}-\w{4}-\w{4}-\w{12}", key) for key in made)


def test_chunks_never_repeat_each_other():
    pattern = learn_pattern(pd.Series([f"rec-{i}-org" for i in range(1, 900)]))
    parts = [generate_keys(pattern, 250, _rng(3), start=at) for at in range(0, 5000, 250)]
    assert len(set(np.concatenate(parts))) == 5000


def test_outlines_and_lengths_are_kept():
    values = pd.Series([f"{a}{i:04d}/{i % 7}" for i, a in enumerate("ABCDE" * 40)])
    made = generate_keys(learn_pattern(values), 500, _rng())
    assert {_outline(key) for key in made} == {"wwwww/w"}
    assert all(re.fullmatch(r"[A-Z]\d{4}/\d", key) for key in made)


def test_only_what_all_keys_share_stays_literal():
    values = pd.Series([f"HOSP-{i}-north" for i in range(10, 90)] + ["HOSP-77-secret"] * 3 + ["HOSP-SMITHJOHN"])
    pattern = learn_pattern(values)
    assert all(key.startswith("HOSP-") for key in generate_keys(pattern, 50, _rng()))
    said = json.dumps(pattern.to_dict())
    assert "HOSP" in "".join(chars for form in pattern.forms for chars, _ in form.parts)
    assert "secret" not in said
    assert "SMITH" not in said
    assert "north" not in "".join(chars for form in pattern.forms for chars, _ in form.parts)


def test_a_single_key_leaves_no_letter_behind():
    pattern = learn_pattern(pd.Series(["JOHN-SMITH-1970"] * 100))
    assert all(len(chars) > 9 for form in pattern.forms for chars, _ in form.parts)


def test_a_row_number_counts_on():
    pattern = learn_pattern(pd.Series(range(1, 301)))
    assert generate_keys(pattern, 3, _rng()).tolist() == [301, 302, 303]
    assert generate_keys(pattern, 3, _rng(), start=3).tolist() == [304, 305, 306]
    assert generate_keys(pattern, 3, _rng(), avoid=[301, 303]).tolist() == [302, 304, 305]


def test_integers_keep_their_number_of_digits():
    made = generate_keys(learn_pattern(pd.Series(_rng().choice(9000, 300, replace=False) + 1000)), 2000, _rng())
    assert made.dtype == np.int64
    assert made.min() >= 1000
    assert made.max() <= 9999


def test_negative_integers_keep_their_sign():
    learned = learn_pattern(pd.Series([-(2**53) - 7 * i for i in range(50)]))
    made = generate_keys(learned, 200, _rng())
    assert (made < -(10**15)).all()
    mixed = generate_keys(
        learn_pattern(pd.Series([1000 + i for i in range(50)] + [-2000 - i for i in range(50)])), 400, _rng()
    )
    assert 0.3 < np.mean([key < 0 for key in mixed]) < 0.7


def test_integers_of_nineteen_digits_fit():
    made = generate_keys(learn_pattern(pd.Series([2**63 - 1 - i for i in range(9)])), 1000, _rng())
    assert (made > 10**18).all()


def test_whole_floats_with_a_gap_are_integers():
    assert generate_keys(learn_pattern(pd.Series([12.0, 45.0, np.nan, 99.0, 31.0, 77.0])), 4, _rng()).dtype == np.int64


def test_a_narrow_learned_pattern_gets_longer():
    pattern = learn_pattern(pd.Series([f"P{i}" for i in range(9)]))
    made = generate_keys(pattern, 5000, _rng())
    assert len(set(made)) == 5000
    assert all(re.fullmatch(r"P\d+", key) for key in made)


def test_avoided_keys_are_not_made():
    pattern = learn_pattern(pd.Series([f"{i:02d}" for i in range(50)]))
    taken = {f"{i:02d}" for i in range(60)}
    assert not taken & set(generate_keys(pattern, 40, _rng(), avoid=taken))


def test_a_column_of_nothing_still_gets_keys():
    assert len(set(generate_keys(learn_pattern(pd.Series([], dtype=object)), 7, _rng()).tolist())) == 7


@pytest.mark.parametrize(
    "regex",
    [
        r"\d{6}",
        r"[A-Z]{2}-\d{2,4}",
        r"^(ab|cd)?[0-9a-f]{8}$",
        r"x+\w\d",
        r"(?:A|B)\.[^a-z]{3}",
        r"a.{3}",
        r"\w{3}[\d_]{2}",
    ],
)
def test_declared_expressions_match_what_they_make(regex):
    made = from_regex(regex, 200, _rng())
    assert len(set(made)) == 200
    assert all(re.fullmatch(regex, key) for key in made)


def test_every_text_of_an_expression_can_be_had():
    assert sorted(from_regex(r"a|[ab]|c\d", 12, _rng())) == sorted(["a", "b", *(f"c{i}" for i in range(10))])
    with pytest.raises(SchemaError, match="only 12 identifiers left, but 13"):
        from_regex(r"a|[ab]|c\d", 13, _rng())


@pytest.mark.parametrize(
    ("regex", "message"),
    [(r"[a", "not a regular expression"), (r"(a)\1", "groupref"), (r"(?=a)b", "assert"), (r"(a?){400}", "repeats")],
)
def test_expressions_that_cannot_be_spelled_out_say_why(regex, message):
    with pytest.raises(SchemaError, match=message):
        from_regex(regex, 1, _rng())


def test_a_declared_expression_decides_for_a_column():
    made = generate_keys(learn_pattern(pd.Series(["x1", "x2"]), regex=r"PAT\d{5}"), 10, _rng())
    assert all(re.fullmatch(r"PAT\d{5}", key) for key in made)
    assert generate_keys(learn_pattern(pd.Series([1, 2]), regex=r"[1-9]\d{5}"), 10, _rng()).dtype == np.int64


def test_capacity_counts_spellings():
    assert Form(1.0, (("01", 3), ("-", 1))).capacity == 8


def test_a_damaged_pattern_is_refused():
    with pytest.raises(SchemaError, match="not a pattern"):
        Pattern.from_dict({"forms": [{"weight": 1}]})


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        keys,
        st.lists(st.integers(0, 2000), min_size=5, max_size=200, unique=True),
        st.lists(st.from_regex(r"P[0-9]{1,3}", fullmatch=True), min_size=1, max_size=200, unique=True),
    ),
    st.integers(1, 3000),
)
def test_a_fresh_key_is_never_a_real_one(values, n):
    made = generate_keys(learn_pattern(pd.Series(values, dtype=object)), n, _rng())
    assert not set(made.tolist()) & set(values)


SPACES: dict[str, tuple[pd.Series, str | None]] = {
    "dense from 1": (pd.Series(np.arange(1, 2001)), None),
    "most of a dense range": (pd.Series(np.random.default_rng(0).permutation(10_000)[:8000] + 1), None),
    "all numbers of four digits": (pd.Series(np.arange(1000, 10_000)), None),
    "a few long ones": (pd.Series([*range(10_000, 19_000), 100_017, 1_000_003]), None),
    "uuid": (pd.Series([str(uuid.UUID(int=seed * 7919**9 % 2**128)) for seed in range(1, 3000)]), None),
    "text with a counter": (pd.Series([f"P-{i:04d}" for i in range(6000)]), None),
    "declared": (pd.Series([f"P{i:06d}" for i in range(5000)]), "P[0-9]{6}"),
    "declared, half of it taken": (pd.Series([f"{i:04d}" for i in range(5000)]), r"\d{4}"),
    "declared integers": (pd.Series(np.random.default_rng(1).permutation(90_000)[:9000] + 10_000), r"\d{5}"),
    "declared, two forms that overlap": (pd.Series([f"a{i:03d}" for i in range(500)]), r"a\d{3}|[ab]\d{3}"),
}


@pytest.mark.parametrize("name", list(SPACES))
def test_no_key_that_a_pattern_can_spell_is_a_training_key(name: str) -> None:
    values, regex = SPACES[name]
    pattern = learn_pattern(values, regex=regex)
    wanted = min(2 * len(values), sum(form.capacity for form in pattern.forms)) if regex else 20 * len(values)
    for seed in range(3):
        made = generate_keys(pattern, wanted, np.random.default_rng(seed))
        assert len(set(made.tolist())) == wanted
        assert not set(made.tolist()) & set(values.tolist())
    stored = json.dumps(pattern.to_dict())
    assert not any(f'"{key}"' in stored for key in values.astype(str))


def test_a_lengthened_pattern_spells_no_long_key_of_too_few_persons() -> None:
    usual = [f"P{i:02d}" for i in range(100)]
    longest = max(len(form.places) for form in learn_pattern(pd.Series(usual)).forms)
    rare = [f"P{digit * longest}" for digit in "1357"]  # as long as the next form would be
    pattern = learn_pattern(pd.Series([*usual, *rare]))
    room = sum(form.capacity for form in pattern.forms)
    made = generate_keys(pattern, room + 10**longest, np.random.default_rng(0))
    assert not set(rare) & set(made.tolist())


@pytest.mark.parametrize(("taken", "regex"), [(900, r"\d{3}"), (10_000, r"\d{4}"), (3, "[abc]")])
def test_a_declared_pattern_that_training_keys_fill_is_refused(taken: int, regex: str) -> None:
    width = 3 if regex == r"\d{3}" else 4
    keys = ["a", "b", "c"] if regex == "[abc]" else [f"{i:0{width}d}" for i in range(taken)]
    with pytest.raises(SchemaError, match="too few spellings that are not taken by training rows"):
        learn_pattern(pd.Series(keys), regex=regex)


@pytest.mark.parametrize("zero", "٠۰०０")
def test_keys_are_written_in_the_digits_of_their_script(zero: str) -> None:
    digits = str.maketrans("0123456789", "".join(chr(ord(zero) + k) for k in range(10)))
    real = [f"AB-{i:05d}".translate(digits) for i in range(60)]
    drawn = generate_keys(learn_pattern(pd.Series(real)), 60, _rng()).tolist()
    assert all(key.startswith("AB-") and len(key) == 8 for key in drawn)
    assert {char for key in drawn for char in key[3:]} <= {chr(ord(zero) + k) for k in range(10)}
