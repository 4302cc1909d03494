"""Numbers with a unit are not read without it."""

import pandas as pd
import pytest

from tabsynth.errors import DataError
from tabsynth.mixing.harmonise import HarmonisationStats
from tabsynth.mixing.value_parsing import parse_number_column


@pytest.mark.parametrize("values", [["70 kg", "81 kg"], ["154.5 lb", "180.0 lb"]])
def test_units_are_never_dropped(values):
    with pytest.raises(DataError, match="unit"):
        parse_number_column(pd.Series(values), "column 'weight'", 0.0, HarmonisationStats(), is_batch=False)
