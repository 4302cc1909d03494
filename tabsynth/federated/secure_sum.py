"""The coordinator's part of the secure sum: it relays keys and sealed shares, and unmasks only the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.errors import PrivacyError, quote
from tabsynth.federated.masking import Words, mask_stream
from tabsynth.federated.plan import FederatedPlan
from tabsynth.federated.secret_sharing import join_shares
from tabsynth.federated.transport import SiteLostError, Transport, decode_message, encode_message

MAX_PLAUSIBLE_COUNT = 2**53
"""A sum beyond this was not masked by the same streams at all sites."""


class SecureSum:
    """Rounds of the secure sum over the sites of a plan.

    Attributes:
        roster: The sites that still take part.
        lost: Sites that stopped answering, with the round.
    """

    def __init__(self, plan: FederatedPlan, transport: Transport) -> None:
        self.plan, self._transport, self._hash = plan, transport, plan.hash()
        self.roster = list(plan.sites)
        self.lost: dict[str, int] = {}

    def run_round(self, number: int, digest: str, sizes: Sequence[int], sums: Sequence[Floats]) -> list[Integers]:
        """Return the noisy sums of one query.

        Args:
            number: Number of the round, from 0.
            digest: Digest of the query.
            sizes: Cells of each vector.
            sums: The sums of the round before.

        Raises:
            SiteLostError: Too many sites are lost.
            PrivacyError: A site refuses.
        """
        sent = [np.asarray(part, "<f8").tobytes() for part in sums]
        facts = {"digest": digest, "sizes": list(sizes), "sums": sent}
        for attempt in range(len(self.plan.sites)):
            base = {"round": number, "attempt": attempt}
            total = self._try_round(base, facts)
            if total is not None:
                signed = total.view(np.int64)
                if len(signed) != sum(sizes) or np.abs(signed.astype(np.float64)).max(initial=0) > MAX_PLAUSIBLE_COUNT:
                    raise PrivacyError("the masks do not cancel: a site derived another query or another key")
                return np.split(signed, np.cumsum(sizes)[:-1])
        raise SiteLostError("a round was lost at every attempt")

    def end(self) -> None:
        """Notify the sites that the fit has ended, so that their ledgers release uncharged reservations."""
        message = encode_message({"plan": self._hash, "step": "end"})
        self._send(dict.fromkeys(self.roster, message))

    def _send(self, messages: Mapping[str, bytes]) -> dict[str, bytes | None]:
        """Return the answer of each site, None where it is lost; all sites work at the same time."""

        def send(site: str) -> bytes | None:
            try:
                return self._transport.send(site, messages[site])
            except SiteLostError:
                return None

        with ThreadPoolExecutor(max(len(messages), 1)) as pool:
            return dict(zip(messages, pool.map(send, messages), strict=True))

    def _try_round(self, base: Mapping[str, Any], facts: Mapping[str, Any]) -> Words | None:
        """Return the sum of an attempt; None where a site was lost before its vector arrived."""
        roster = list(self.roster)
        prepared = self._ask("prepare", base, {name: {**facts, "roster": roster} for name in roster})
        if len(prepared) < len(roster):
            return None
        keys = {name: reply["keys"] for name, reply in prepared.items()}
        shared = self._ask("share", base, {name: {"keys": keys} for name in roster})
        if len(shared) < len(roster):
            return None
        sealed = {to: {sender: shared[sender]["shares"][to] for sender in roster} for to in roster}
        masked = self._ask("mask", base, {name: {"shares": sealed[name]} for name in roster})
        if len(masked) < len(roster):
            return None
        opened = self._ask("unmask", base, {name: {} for name in roster}, needed=self.plan.threshold)
        helpers = list(opened)[: self.plan.threshold]
        vectors = [np.frombuffer(reply["vector"], "<u8").astype(np.uint64) for reply in masked.values()]
        total: Words = np.stack(vectors).sum(0, dtype=np.uint64)
        for owner in roster:
            try:
                seed = join_shares({roster.index(name): opened[name]["shares"][owner] for name in helpers})
            except ValueError as error:
                raise PrivacyError(f"the shares of site {owner!r} do not belong together") from error
            np.subtract(total, mask_stream(seed, len(total)), out=total)
        return total

    def _ask(
        self, step: str, base: Mapping[str, Any], messages: Mapping[str, Mapping[str, Any]], needed: int | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return the answers of the sites that answer; the others leave the roster.

        Raises:
            SiteLostError: Fewer sites are left than a round needs.
            PrivacyError: A site refuses.
        """
        head = {"plan": self._hash, "step": step, **base}
        encoded = {site: encode_message({**head, **message}) for site, message in messages.items()}
        answers: dict[str, dict[str, Any]] = {}
        for site, data in self._send(encoded).items():
            if data is None:
                self.lost[site] = int(base["round"])
                self.roster.remove(site)
                continue
            answers[site] = decode_message(data)
            if "refused" in answers[site]:
                raise PrivacyError(f"site {site!r} refused: {answers[site]['refused']}")
        fewest = self.plan.min_sites if needed is None else needed
        if len(answers) < fewest:
            raise SiteLostError(
                f"{quote(self.lost)} stopped answering in round {base['round']}; {len(answers)} sites are left and "
                f"{fewest} are needed. The fit has ended; every site's ledger contains the rounds that it answered"
            )
        return answers
