"""Inferred schemas of the example tables."""

from functools import cache

import pytest

from tabsynth.data import read


@pytest.fixture(scope="module")
def schema_of(shared_data):
    """The schema of an example table by its name; each table is read once."""
    return cache(lambda name: read(shared_data / f"{name}.csv.gz").schema)
