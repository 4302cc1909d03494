"""Tables: read from files, checked against a schema, split and written."""

from __future__ import annotations

from tabsynth.data.read_write import read, write
from tabsynth.data.sample_datasets import load_shipped
from tabsynth.data.table import Table
from tabsynth.data.train_test_split import split

__all__ = ["Table", "load_shipped", "read", "split", "write"]
