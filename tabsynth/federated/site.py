"""A site, which has rows and answers each round of the secure sum with one masked vector.

The protocol is that of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS
2017), with one change: if a site is lost before its vector arrives, its mask key is not reconstructed. The attempt
is discarded without unmasking, and the others repeat the round with new keys and larger shares of the noise, so that
every sum has the noise that was charged. A site that helped to unmask a round never repeats it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.errors import PrivacyError, TabsynthError
from tabsynth.federated import masking
from tabsynth.federated.plan import FederatedPlan
from tabsynth.federated.replicated_fit import Query, next_query
from tabsynth.federated.secret_sharing import split_secret
from tabsynth.federated.transport import decode_message, encode_message
from tabsynth.privacy.accounting.ledger_entry import Entry
from tabsynth.privacy.mechanisms.distributed_noise import charge_summed_counts, noisy_parts

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from tabsynth.privacy.accounting.ledger import PrivacyLedger
    from tabsynth.synthesizers.marginal.private_rows import CellRows


@dataclass
class Attempt:
    """One attempt at a round.

    Attributes:
        number: Its number within the round.
        roster: The sites that take part, in the plan's order.
        share_key: Key pair for sealing shares.
        mask_key: Key pair for pairwise masks.
        self_seed: Seed of the site's own mask.
        keys: Public keys of each site: for shares, for masks.
        masked: Whether the masked vector has left.
    """

    number: int
    roster: list[str]
    share_key: X25519PrivateKey = field(default_factory=masking.new_key)
    mask_key: X25519PrivateKey = field(default_factory=masking.new_key)
    self_seed: bytes = field(default_factory=lambda: os.urandom(32))
    keys: dict[str, list[bytes]] = field(default_factory=dict)
    shares: dict[str, bytes] = field(default_factory=dict)
    masked: bool = False


class Site:
    """A party that has rows. The rows never leave it; it sends only public keys, sealed shares and masked sums.

    Args:
        name: Its name in the plan.
        plan: Its own copy of the plan; a coordinator with another one is refused.
        frame: Its rows.
        ledger: The ledger of its data set, or the path of its file; by default the fit is counted alone.

    Attributes:
        ledger: The charges of this fit.
    """

    def __init__(
        self,
        name: str,
        plan: FederatedPlan,
        frame: pd.DataFrame,
        *,
        ledger: str | Path | PrivacyLedger | None = None,
    ) -> None:
        masking.require_cryptography()
        if name not in plan.sites:
            raise PrivacyError(f"the plan has no site {name!r}; its sites are {', '.join(plan.sites)}")
        if sorted(map(str, frame.columns)) != sorted(plan.schema):
            raise PrivacyError("the columns of the site's table are not those of the plan's schema")
        self.name, self.plan = name, plan
        self._privacy = plan.privacy(ledger=ledger).opened()
        self.ledger = self._privacy.open_ledger
        self._noise = self._privacy.noise()
        self._frame: pd.DataFrame = frame
        self._encoded: CellRows | None = None
        self._sums: list[list[Floats]] = []
        self._query: Query | None = None
        self._sizes: list[int] = []
        self._charged: Entry | None = None
        self._attempt: Attempt | None = None
        self._opened = self._ended = False

    def handle(self, message: bytes) -> bytes:
        """Answer the coordinator; a refusal is an answer too."""
        try:
            request = decode_message(message)
            if request.get("plan") != self.plan.hash():
                raise PrivacyError("coordinator and site have different plans, schemas or versions; compare them")
            if self._ended:
                raise PrivacyError("the fit has ended at this site")
            step = {"prepare": self._prepare, "share": self._share, "mask": self._mask, "unmask": self._unmask,
                    "end": self._end}  # fmt: skip
            if request.get("step") not in step:
                raise PrivacyError("the coordinator asks for an unknown step")
            return encode_message(step[str(request["step"])](request))
        except TabsynthError as error:
            return encode_message({"refused": str(error)})
        except (KeyError, TypeError, ValueError, IndexError):
            return encode_message({"refused": "the coordinator's message is malformed or out of turn"})

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Derive the query of a round, and make keys for an attempt."""
        number, roster = int(request["round"]), [str(name) for name in request["roster"]]
        if self._query is None or number == len(self._sums) + 1:
            self._begin_round(number, request)
        elif number != len(self._sums) or self._opened:
            raise PrivacyError("the coordinator repeats a round that was opened already")
        if self._query is None or request["digest"] != self._query.digest():
            raise PrivacyError("coordinator and site are out of step: they derive different queries")
        if roster != [name for name in self.plan.sites if name in roster] or self.name not in roster:
            raise PrivacyError("the sites of a round must be sites of the plan, in its order, and include this one")
        if len(roster) < self.plan.min_sites:
            raise PrivacyError(f"a round of {len(roster)} sites is refused; {self.plan.min_sites} are the fewest")
        self._attempt = Attempt(int(request["attempt"]), roster)
        return {"keys": [masking.public_bytes(self._attempt.share_key), masking.public_bytes(self._attempt.mask_key)]}

    def _begin_round(self, number: int, request: dict[str, Any]) -> None:
        if number:
            if not self._opened or number != len(self._sums) + 1:
                raise PrivacyError("the coordinator skips a round")
            self._sums.append([np.frombuffer(part, "<f8").astype(np.float64) for part in request["sums"]])
        elif self._query is not None:
            raise PrivacyError("the coordinator begins again")
        self._query, self._encoded = next_query(self.plan, self._frame, self._privacy, self._sums, self._encoded)
        self._sizes = [int(size) for size in request["sizes"]]
        self._charged, self._opened = None, False

    def _share(self, request: dict[str, Any]) -> dict[str, Any]:
        """Seal a share of the seed of the own mask for each site."""
        attempt = self._current(request)
        if attempt.keys:
            raise PrivacyError("the coordinator gives keys twice")
        attempt.keys = {name: list(request["keys"][name]) for name in attempt.roster}
        shares = split_secret(attempt.self_seed, len(attempt.roster), self.plan.threshold)
        return {
            "shares": {
                name: masking.seal(self._share_seed(name), share, f"{self.name}>{name}")
                for name, share in zip(attempt.roster, shares, strict=True)
            }
        }

    def _mask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Charge, read, add the own part of the noise, and mask."""
        attempt = self._current(request)
        assert self._query is not None
        if attempt.masked or not attempt.keys:
            raise PrivacyError("the coordinator asks for a vector twice, or before keys are exchanged")
        for name in attempt.roster:
            sealed = request["shares"][name]
            attempt.shares[name] = masking.unseal(self._share_seed(name), sealed, f"{name}>{self.name}")
        attempt.masked = True
        facts: dict[str, Any] = {"sigmas": self._query.sigmas(self.plan), "ledger": self.ledger}
        if self._charged is None:
            self._charged = charge_summed_counts(
                **facts,
                parts=self.plan.parts,
                sensitivity=self.plan.max_rows_per_unit,
                purpose=f"{self._query.purpose}, summed over sites",
                columns=self._query.columns,
                rng=self._noise.kind,
            )
        own_parts = len(attempt.roster) - self.plan.curious_sites
        facts |= {"charged": self._charged, "sizes": self._sizes, "parts": own_parts, "noise": self._noise}
        parts = noisy_parts(self._query.reads, **facts)
        vector = np.concatenate(parts).astype(np.int64).view(np.uint64)
        vector = vector + masking.mask_stream(attempt.self_seed, len(vector))
        place = attempt.roster.index(self.name)
        for other, name in enumerate(attempt.roster):
            if name != self.name:
                seed = masking.shared_seed(attempt.mask_key, attempt.keys[name][1], self._label("mask"))
                stream = masking.mask_stream(seed, len(vector))
                vector = vector + stream if place < other else vector - stream
        return {"vector": vector.astype("<u8").tobytes()}

    def _unmask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Give the shares of the sites' own masks: once a round, and only where every vector is in the sum."""
        attempt = self._current(request)
        if not attempt.masked or self._opened:
            raise PrivacyError("the coordinator opens a round twice, or before the vectors")
        self._opened = True
        return {"shares": attempt.shares}

    def _end(self, request: dict[str, Any]) -> dict[str, Any]:
        self.close()
        return {"charges": len(self.ledger)}

    def close(self) -> None:
        """End the fit at this site, also if the coordinator is lost, and release uncharged reservations."""
        if not self._ended:
            self._ended = True
            self.ledger.settle()

    def _current(self, request: dict[str, Any]) -> Attempt:
        attempt = self._attempt
        if attempt is None or (request["round"], request["attempt"]) != (len(self._sums), attempt.number):
            raise PrivacyError("the coordinator's message is out of turn")
        return attempt

    def _share_seed(self, name: str) -> bytes:
        assert self._attempt is not None
        return masking.shared_seed(self._attempt.share_key, self._attempt.keys[name][0], self._label("share"))

    def _label(self, purpose: str) -> str:
        """Return a label that binds a seed to the plan, the round and the attempt."""
        assert self._attempt is not None
        return f"{self.plan.hash()} {purpose} {len(self._sums)} {self._attempt.number}"
