"""A table that may be looked at only where somebody has paid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from tabsynth.privacy.accounting.ledger import PrivacyLedger

from .tables import table


class Guarded(pd.DataFrame):
    """A frame that may be looked at only between a charge and the note of what it produced."""

    def __getattribute__(self, name: str) -> Any:
        if name not in {"columns", "attrs", "_attrs", "__class__", "_mgr"}:  # attrs: where the table comes from
            paid(name)
        return super().__getattribute__(name)

    def __getitem__(self, key: Any) -> Any:
        paid(f"[{key!r}]")
        return super().__getitem__(key)

    def __len__(self) -> int:
        paid("its length")
        return super().__len__()


GUARD: dict[str, Any] = {"on": False, "open": set()}


def paid(what: str) -> None:
    """Raise where rows are read while no charge is open."""
    if GUARD["on"] and not GUARD["open"]:
        raise AssertionError(f"the rows were read ({what}) and nobody had paid")


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[pd.DataFrame]:
    charge, record = PrivacyLedger.charge, PrivacyLedger.record

    def charging(self: PrivacyLedger, *args: Any, **facts: Any) -> Any:
        entry = charge(self, *args, **facts)
        GUARD["open"].add(entry.index)
        return entry

    def recording(self: PrivacyLedger, entry: Any, digest: str) -> None:
        GUARD["open"].discard(entry.index)
        record(self, entry, digest)

    monkeypatch.setattr(PrivacyLedger, "charge", charging)
    monkeypatch.setattr(PrivacyLedger, "record", recording)
    frame = Guarded(table())
    GUARD.update(on=True, open=set())
    yield frame
    GUARD.update(on=False, open=set())
