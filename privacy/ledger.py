"""The privacy ledger: every access to private data is charged here before it happens; nothing is ever taken back."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import cache
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.errors import PrivacyError
from tabsynth.privacy import records as chain
from tabsynth.privacy.accounting import NEIGHBOURS, checked, epsilon_of, event_to_data
from tabsynth.privacy.entries import Entry, entries_of

if TYPE_CHECKING:
    import pandas as pd

INSECURE = "insecure seed"
"""How the kind of a random source begins that is good for tests only."""


class PrivacyLedger:
    """An append-only list of charges against a budget, one for each data set.

    Args:
        epsilon: The budget; infinity keeps count without a bound.
        delta: The delta at which it is counted, fixed from the start.
        unit: What is protected: ``row``, or the column that names a person.
        neighbours: The neighbouring relation.
        path: File to keep it in, made or continued; several processes may charge one file. In memory when left out.
        parent: A data set's ledger that every charge goes to as well, before it counts here.

    Raises:
        PrivacyError: The budget makes no sense, or the file is damaged or has another budget.
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
    ) -> None:
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not epsilon > 0:
            raise PrivacyError(f"epsilon must be a number above 0, not {epsilon!r}")
        if isinstance(delta, bool) or not isinstance(delta, (int, float)) or not 0 <= delta < 1:
            raise PrivacyError(f"delta must be from 0 to below 1, not {delta!r}")
        if neighbours != NEIGHBOURS:
            raise PrivacyError(f"the neighbouring relation {neighbours!r} is not supported; use {NEIGHBOURS!r}")
        self.epsilon_budget, self.delta = float(epsilon), float(delta)
        self.unit, self.neighbours, self.parent = unit, neighbours, parent
        self.path = None if path is None else Path(path)
        self._records: list[chain.Record] = []
        if self.path is not None:
            with chain.locked(self.path):
                if self.path.exists():
                    self._refresh()
                else:
                    chain.write(self.path, self._head, self._records)

    @classmethod
    def open(cls, path: str | Path) -> PrivacyLedger:
        """Continue the ledger of a file, with the budget that stands there.

        Raises:
            PrivacyError: There is no such file, or it was changed.
        """
        return cls(**_budget(chain.read(Path(path))[0]), path=path)

    @classmethod
    def not_private(cls, columns: Iterable[str]) -> PrivacyLedger:
        """The ledger of a fit without privacy: everything was read, and epsilon is infinity."""
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
        """Pay for a read that is about to happen.

        Args:
            event: What the mechanism amounts to: an event of dp-accounting, or one as data.
            purpose: What the read is for.
            columns: The columns that will be read.
            sensitivity: The most by which one unit moves what is read.
            delta: Probability, on top of the event, that its guarantee fails.
            rng: Where the noise will come from.

        Raises:
            PrivacyError: The event is unknown, or the charge would exceed the budget; then nothing has changed, in
                memory or on disk, and the read must not happen.
        """
        if not 0 <= delta < 1:
            raise PrivacyError(f"delta must be from 0 to below 1, not {delta!r}")
        if not (math.isfinite(sensitivity) and sensitivity >= 0):
            raise PrivacyError(f"sensitivity must be a finite number of at least 0, not {sensitivity!r}")
        body = {
            "kind": "charge",
            "purpose": str(purpose),
            "columns": [str(name) for name in columns],
            "event": checked(event) if isinstance(event, Mapping) else event_to_data(event),
            "delta": float(delta),
            "sensitivity": float(sensitivity),
            "neighbours": self.neighbours,
            "code": _code(),
            "rng": rng,
            "time": _now(),
        }
        self._append(body)
        return self.entries[-1]

    def record(self, entry: Entry, digest: str) -> None:
        """Note the SHA-256 of what a charge produced, as a record of its own."""
        body = {"kind": "output", "entry": entry.index, "sha256": digest, "time": _now()}
        self._append(body)

    def extend(self, other: PrivacyLedger) -> None:
        """Append what another ledger in memory holds; for what is spent already, so that no budget is checked."""
        before = len(self)
        for record in other._records:
            body = {key: value for key, value in record.items() if key not in ("previous", "hash")}
            if body["kind"] == "output":
                body["entry"] += before
            self._records.append(chain.appended(self._head, self._records, body))

    def _append(self, body: Mapping[str, Any]) -> None:
        """Check a charge, here and in the data set's ledger, and append it behind what others appended to the file."""
        with chain.locked(self.path) if self.path is not None else nullcontext():
            self._refresh()
            if body["kind"] == "charge":
                self._check(body)
                if self.parent is not None:
                    self.parent._append(body)
            more = [*self._records, chain.appended(self._head, self._records, body)]
            if self.path is not None:
                chain.write(self.path, self._head, more)
            self._records = more

    def _check(self, body: Mapping[str, Any]) -> None:
        """Raise where a charge would exceed the budget."""
        total = self.epsilon_with(body["event"], body["delta"])
        if not total <= self.epsilon_budget:
            raise PrivacyError(
                f"{body['purpose']!r} would bring the privacy spent to epsilon {total:.6g} at delta {self.delta:.3g}; "
                f"the budget is {self.epsilon_budget:.6g}, of which {self.epsilon():.6g} is spent. Nothing was read or "
                "charged: ask for less, or release what there is"
            )

    def _refresh(self) -> None:
        """Take over what the file holds; what this ledger knows already must be its beginning."""
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
        return entries_of(self._records)

    def __len__(self) -> int:
        return len(self._charges)

    def epsilon(self, delta: float | None = None) -> float:
        """What is spent in all, an upper bound.

        Args:
            delta: The delta at which to count; by default the ledger's own.
        """
        return self._epsilon(self._charges, self.delta if delta is None else delta)

    def epsilon_with(self, event: Mapping[str, Any], delta: float = 0.0, *, quick: bool = False) -> float:
        """What would be spent in all after a further charge; ``event`` as data, ``quick`` as in ``epsilon_of``."""
        return self._epsilon([*self._charges, {"event": dict(event), "delta": delta}], self.delta, quick)

    @staticmethod
    def _epsilon(charges: list[chain.Record], delta: float, quick: bool = False) -> float:
        # A guarantee that may fail with probability delta_i adds up over charges: what is left is the events' own
        # (approximate zCDP, Lemma 8.2 of Bun and Steinke, arXiv 1605.02065).
        left = delta - sum(charge["delta"] for charge in charges)
        if left < 0 or (left == 0 and delta > 0):
            return math.inf
        return epsilon_of([charge["event"] for charge in charges], left, quick=quick)

    @property
    def remaining(self) -> float:
        """Epsilon of the budget that is not spent; epsilons do not add up, so this is a bound, not a promise."""
        return max(self.epsilon_budget - self.epsilon(), 0.0)

    @property
    def secure(self) -> bool:
        """Whether all noise came from a secure source; where not, nothing of it is differentially private."""
        return not any(charge["rng"].startswith(INSECURE) for charge in self._charges)

    def verify(self) -> None:
        """Raise where the chain in memory or in the file was changed.

        Raises:
            PrivacyError: It was; the message says where.
        """
        data = chain.to_data(self._head, self._records)
        chain.check_chain(self._head, self._records, data["tip"], "the ledger")
        if self.path is not None:
            self._refresh()

    def to_dict(self) -> dict[str, Any]:
        """The ledger as plain data, without its path."""
        return chain.to_data(self._head, self._records)

    @classmethod
    def from_dict(cls, data: Any) -> PrivacyLedger:
        """Read what ``to_dict`` gave.

        Raises:
            PrivacyError: Not a ledger, or changed.
        """
        head, records = chain.from_data(data, "the ledger")
        ledger = cls(**_budget(head))
        ledger._records = records
        return ledger

    def to_frame(self) -> pd.DataFrame:
        """A row for every charge."""
        from tabsynth.privacy.ledger_view import to_frame

        return to_frame(self)

    def __repr__(self) -> str:
        from tabsynth.privacy.ledger_view import to_text

        return to_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _budget(head: Mapping[str, Any]) -> dict[str, Any]:
    """A head as the constructor's arguments."""
    if set(head) != {"epsilon", "delta", "unit", "neighbours"}:
        raise PrivacyError(f"the ledger's head has {sorted(head)}; it is not one of this version")
    return {**head, "epsilon": math.inf if head["epsilon"] is None else head["epsilon"]}


@cache
def _code() -> str:
    """The version of tabsynth: looked up once, for a fit has hundreds of charges."""
    return version("tabsynth")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
