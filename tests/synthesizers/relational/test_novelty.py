"""First occurrences of values in histories: their rates, what was seen, and the correction by simulation."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.synthesizers.relational.occurrences.novelty import SeenTokens, first_occurrences, novelty_correction

HISTORIES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=5)


@given(HISTORIES)
def test_first_occurrences_are_those_that_a_walk_through_the_histories_counts(histories: list[list[int]]) -> None:
    tokens, starts = np.concatenate(histories), np.cumsum([0, *map(len, histories)])
    events, exposed = np.zeros(4), np.zeros(4)
    for one in histories:
        seen = SeenTokens(1, [0], np.array([4]))
        for place, token in enumerate(one):
            unseen = seen.unseen(0, 1)
            assert unseen is not None
            if place:
                exposed += unseen[0]
                events[token] += unseen[0, token]
            seen.update(np.array([[token]]))
    found = first_occurrences(tokens, 4, starts)
    assert found[0].tolist() == events.tolist()
    assert found[1].tolist() == np.maximum(exposed, 1).tolist()


def test_a_value_that_comes_first_too_often_gets_a_lower_logit() -> None:
    starts = np.arange(0, 1001, 10)
    real = np.repeat(np.arange(100) % 2, 10)  # every parent keeps to one value
    loose = np.random.default_rng(0).integers(0, 2, 1000)
    step = novelty_correction(real, loose, 3, starts, damping=1.0, most=9.0)
    assert (step[:2] < -2).all()
    assert np.allclose(novelty_correction(loose, loose, 3, starts, damping=1.0, most=9.0), 0)
    assert pd.Series(step).abs().max() <= 9
