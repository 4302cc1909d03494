"""Inference of a single column."""

import pandas as pd

from tabsynth.schema.inference import infer_schema


def infer_one(values, name="x"):
    return infer_schema(pd.DataFrame({name: values}))[name]
