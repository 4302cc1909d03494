"""The privacy ledger: every access to private data is charged here before it happens. Charges are never refunded."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth import __version__
from tabsynth.errors import PrivacyError, escape_controls
from tabsynth.privacy.accounting import hash_chain as chain
from tabsynth.privacy.accounting.accountant import NEIGHBOURS, event_to_data, validate_event
from tabsynth.privacy.accounting.ledger_entry import Entry, compose_charges, parse_entries, parse_head, spent_records

if TYPE_CHECKING:
    import pandas as pd

INSECURE = "insecure seed"
"""Prefix of the kind of a random source that is for tests only."""


class PrivacyLedger:
    """Append-only list of charges against a budget, one ledger per data set.

    Args:
        epsilon: The budget; infinity counts without a limit.
        delta: The delta at which it is counted, fixed from the start.
        unit: The protected unit: ``row``, or the column that names a person.
        neighbours: The neighbouring relation.
        path: Its file, created or continued; several processes may charge one file. Default: in memory.
        parent: A data set's ledger; every charge is made there first.
        whole: An event as data that is reserved in the parent before the first charge and covers all charges;
            ``settle`` releases the unspent part.

    Raises:
        PrivacyError: The budget is invalid, or the file is damaged or has another budget.
    """

    def __init__(
        self,
        epsilon: float,
        delta: float,
        *,
        unit: str = "row",
        neighbours: str = NEIGHBOURS,
        path: str | Path | None = None,
        parent: PrivacyLedger | None = None,
        whole: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not epsilon > 0:
            raise PrivacyError(f"epsilon must be a number above 0, not {epsilon!r}")
        if isinstance(delta, bool) or not isinstance(delta, (int, float)) or not 0 <= delta < 1:
            raise PrivacyError(f"delta must be from 0 to below 1, not {delta!r}")
        if neighbours != NEIGHBOURS:
            raise PrivacyError(f"the neighbouring relation {neighbours!r} is not supported; use {NEIGHBOURS!r}")
        self.epsilon_budget, self.delta = float(epsilon), float(delta)
        self.unit, self.neighbours, self.parent = unit, neighbours, parent
        # Links are resolved, so that all processes that charge the file use the same lock.
        self.path = None if path is None else Path(os.path.realpath(path))
        self._reserved_event = whole
        self._reservation: int | None = None
        self._records: list[chain.Record] = []
        if self.path is not None:
            with chain.locked(self.path):
                if self.path.exists():
                    self._refresh()
                else:
                    chain.write(self.path, self._head, self._records)

    @classmethod
    def open(cls, path: str | Path) -> PrivacyLedger:
        """Open the ledger of a file, with the budget stored in it.

        Raises:
            PrivacyError: There is no such file, or it was changed.
        """
        return cls(**parse_head(chain.read(Path(path))[0]), path=path)

    @classmethod
    def not_private(cls, columns: Iterable[str]) -> PrivacyLedger:
        """Return the ledger of a fit without privacy: epsilon is infinity."""
        ledger = cls(math.inf, 0.0)
        event = {"type": "NonPrivateDpEvent"}
        ledger.charge(event, purpose="a fit without privacy", columns=columns, sensitivity=0.0)
        return ledger

    @property
    def _head(self) -> dict[str, Any]:
        budget = None if math.isinf(self.epsilon_budget) else self.epsilon_budget
        return {"epsilon": budget, "delta": self.delta, "unit": self.unit, "neighbours": self.neighbours}

    def charge(
        self,
        event: Any,
        *,
        purpose: str,
        columns: Iterable[str],
        sensitivity: float,
        delta: float = 0.0,
        rng: str = "",
    ) -> Entry:
        """Charge the next read of private data.

        Args:
            event: The privacy event of the mechanism: an event of dp-accounting, or one as data.
            purpose: What the data is read for.
            columns: The columns that will be read.
            sensitivity: Maximum change of the read values by one unit.
            delta: Probability, in addition to the event's, that the guarantee fails.
            rng: Kind of the random source.

        Raises:
            PrivacyError: The event is unknown, or the charge would exceed the budget. Nothing has changed in memory
                or on disk, and the data must not be read.
        """
        if not 0 <= delta < 1:
            raise PrivacyError(f"delta must be from 0 to below 1, not {delta!r}")
        if not (math.isfinite(sensitivity) and sensitivity >= 0):
            raise PrivacyError(f"sensitivity must be a finite number of at least 0, not {sensitivity!r}")
        body = {
            "kind": "charge",
            "purpose": str(purpose),
            "columns": [str(name) for name in columns],
            "event": validate_event(event) if isinstance(event, Mapping) else event_to_data(event),
            "delta": float(delta),
            "sensitivity": float(sensitivity),
            "neighbours": self.neighbours,
            "code": __version__,
            "rng": rng,
        }
        self._append(body)
        return self.entries[-1]

    def record(self, entry: Entry, digest: str) -> None:
        """Append a record with the SHA-256 of a charge's output."""
        body = {"kind": "output", "entry": entry.index, "sha256": digest}
        self._append(body)

    def settle(self) -> None:
        """Release the unspent part of the reservation, and record the tip of the data set's ledger."""
        if self.parent is None:
            return
        if self._reservation is not None:
            self.parent._append({"kind": "release", "reservation": self._reservation, "fit": self.tip[0]})
            self._reserved_event = self._reservation = None
        tip, records = self.parent.tip
        self._append({"kind": "dataset", "tip": tip, "records": records})

    def _append(self, body: Mapping[str, Any]) -> None:
        """Check a charge here and in the data set's ledger, and append it."""
        with chain.locked(self.path) if self.path is not None else nullcontext():
            self._refresh()
            if body["kind"] in ("charge", "reservation"):
                self._check(body)
            if body["kind"] == "charge" and self.parent is not None:
                self.parent._append(self._draw_on_reservation(self.parent, body))
            record = body if self.path is None else {**body, "date": _today()}
            records = [*self._records, chain.link_record(self._head, self._records, record)]
            if self.path is not None:
                chain.write(self.path, self._head, records)
            self._records = records

    def _draw_on_reservation(self, parent: PrivacyLedger, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record of a charge for the parent; before the first one, reserve the whole event there."""
        if self._reserved_event is not None and self._reservation is None:
            purpose = f"a fit at epsilon {self.epsilon_budget:g}"
            parent._append(
                {"kind": "reservation", "purpose": purpose, "event": dict(self._reserved_event), "delta": 0.0}
            )
            self._reservation = sum(record["kind"] == "reservation" for record in parent._records) - 1
        charge = {key: value for key, value in body.items() if key != "reservation"}
        return charge if self._reservation is None else {**charge, "reservation": self._reservation}

    def _check(self, body: Mapping[str, Any]) -> None:
        """Raise if a charge or a reservation would exceed the budget."""
        spent = spent_records(self._records, body.get("reservation"))
        total = compose_charges([*spent, dict(body)], self.delta)
        if not total <= self.epsilon_budget:
            what = body["purpose"] if body["kind"] == "reservation" else repr(body["purpose"])
            raise PrivacyError(
                f"{what} would bring the privacy spent to epsilon {total:.6g} at delta {self.delta:.3g}; "
                f"the budget is {self.epsilon_budget:.6g}, of which {self.epsilon():.6g} is spent or reserved. "
                "Nothing was read or charged: use a smaller epsilon, or release the existing outputs"
            )

    def _refresh(self) -> None:
        """Reload the file; the records in memory must be its first ones."""
        if self.path is None:
            return
        head, records = chain.read(self.path)
        if head != self._head:
            raise PrivacyError(
                f"the ledger {str(self.path)!r} is for {head}, not {self._head}; a data set has one budget, "
                "delta and unit: open it with PrivacyLedger.open"
            )
        if records[: len(self._records)] != self._records:
            raise PrivacyError(f"the ledger {str(self.path)!r} lost records that were there before; restore the file")
        self._records = records

    @property
    def _charges(self) -> list[chain.Record]:
        return [record for record in self._records if record["kind"] == "charge"]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every charge, in order."""
        return parse_entries(self._records)

    def __len__(self) -> int:
        return len(self._charges)

    def epsilon(self, delta: float | None = None) -> float:
        """Return an upper bound on the spent epsilon. The reservation of a running or failed fit counts in full.

        Args:
            delta: The delta at which epsilon is computed; default: the ledger's.
        """
        delta = self.delta if delta is None else delta
        charged, reserved = self._charges, spent_records(self._records)
        spent = compose_charges(charged, delta)
        return spent if reserved == charged else max(spent, compose_charges(reserved, delta))

    def epsilon_with(self, event: Mapping[str, Any], *, quick: bool = False) -> float:
        """Return the spent epsilon after a further charge; ``event`` is data, ``quick`` as in ``compose_epsilon``."""
        further = {"event": dict(event), "delta": 0.0}
        return compose_charges([*spent_records(self._records), further], self.delta, quick)

    @property
    def remaining(self) -> float:
        """The unspent epsilon of the budget. Composition is not additive, so this is a bound only."""
        return max(self.epsilon_budget - self.epsilon(), 0.0)

    @property
    def secure(self) -> bool:
        """Whether all noise came from a secure source; otherwise no output is differentially private."""
        return not any(charge["rng"].startswith(INSECURE) for charge in self._charges)

    def verify(self) -> None:
        """Check that the records in memory and in the file are unchanged.

        Raises:
            PrivacyError: A record was changed; the message names it.
        """
        data = chain.to_data(self._head, self._records)
        chain.check_chain(self._head, self._records, data["tip"], "the ledger")
        if self.path is not None:
            self._refresh()

    @property
    def tip(self) -> tuple[str, int]:
        """Hash of the last record and number of records, to compare with a copy kept elsewhere."""
        return chain.get_tip(self._head, self._records), len(self._records)

    def to_dict(self) -> dict[str, Any]:
        """Return the ledger as plain data, without its path."""
        return chain.to_data(self._head, self._records)

    @classmethod
    def from_dict(cls, data: Any) -> PrivacyLedger:
        """Rebuild the output of ``to_dict``.

        Raises:
            PrivacyError: The data are not an unchanged ledger.
        """
        head, records = chain.from_data(data, "the ledger")
        ledger = cls(**parse_head(head))
        ledger._records = records
        return ledger

    def to_frame(self) -> pd.DataFrame:
        """Return a row for every charge."""
        from tabsynth.privacy.accounting.ledger_format import to_frame

        return to_frame(self)

    def __repr__(self) -> str:
        from tabsynth.privacy.accounting.ledger_format import to_text

        return escape_controls(to_text(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
