"""Message transport between coordinator and sites: the interface, and an implementation within one process."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tabsynth.errors import PrivacyError, TabsynthError

if TYPE_CHECKING:
    from tabsynth.federated.site import Site


class SiteLostError(TabsynthError):
    """A site does not answer."""


class Transport(Protocol):
    """Sends a message to a site and waits for its answer; ``send`` is called from one thread for each site."""

    def send(self, site: str, message: bytes) -> bytes:
        """Return the answer of a site.

        Raises:
            SiteLostError: It does not come.
        """


class InProcessTransport:
    """Sites in this process, for tests and trials."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self.sites = dict(sites)

    def send(self, site: str, message: bytes) -> bytes:
        """Return the answer of a site."""
        return self.sites[site].handle(message)


def encode_message(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON; bytes in base64."""
    return json.dumps(_to_plain(dict(message)), separators=(",", ":")).encode()


def decode_message(data: bytes) -> dict[str, Any]:
    """Decode the output of ``encode_message``.

    Raises:
        PrivacyError: It is not a message.
    """
    try:
        message = _from_plain(json.loads(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise PrivacyError("a message between coordinator and site is malformed") from error
    if not isinstance(message, dict):
        raise PrivacyError("a message between coordinator and site is malformed")
    return message


def _to_plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(key): _to_plain(part) for key, part in value.items()}
    return [_to_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            return base64.b64decode(value["base64"], validate=True)
        return {key: _from_plain(part) for key, part in value.items()}
    return [_from_plain(part) for part in value] if isinstance(value, list) else value
