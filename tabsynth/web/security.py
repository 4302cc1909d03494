"""Access to the page: a one-time link, a session cookie, the Host and Origin of each request, and its size."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names of this machine. Every other Host is refused, whoever resolves it to this machine (DNS rebinding)."""

COOKIE_SECONDS = 7 * 24 * 3600

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"
"""Reports are single files with their style inside; the sandbox keeps them from running or sending anything."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

WELCOME = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
    '<meta http-equiv="refresh" content="0;url=/">'
    '<title>tabsynth</title><p><a href="/">Continue</a></p></html>'
)
REFUSED = "This page needs the link that `tabsynth serve` prints in its terminal. Each link opens one browser.\n"


class Access:
    """One-time tokens, sessions and their CSRF tokens.

    Args:
        on_token: Called with each new token: the first one, and the next one whenever a token was used.
    """

    def __init__(self, on_token: Callable[[str], None] = lambda token: None) -> None:
        # All ports of a host share their cookies, so each server uses a different name.
        self.cookie = f"tabsynth-{secrets.token_hex(4)}"
        self._on_token = on_token
        self._key = secrets.token_bytes(32)
        self._sessions: set[str] = set()
        self._token = ""
        self.renew()

    def renew(self) -> None:
        """Replace the one-time token."""
        self._token = secrets.token_urlsafe(24)
        self._on_token(self._token)

    def redeem(self, token: str) -> str | None:
        """Return a new session for the one-time token; None for any other."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        session = secrets.token_urlsafe(24)
        self._sessions.add(session)
        self.renew()
        return session

    def session(self, headers: Headers) -> str | None:
        """Return the session of a request's cookie; None without a valid one."""
        given = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        return given if given in self._sessions else None

    def csrf(self, session: str) -> str:
        """Return the token that every form of a session sends back."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()


class Guard:
    """ASGI middleware that refuses every request without access, before anything of its body is read."""

    def __init__(self, app: ASGIApp, access: Access, max_bytes: int) -> None:
        self.app, self.access, self.max_bytes = app, access, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        refusal = self._refuse(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        session = self.access.session(headers)
        if session is not None:
            scope["state"] = {**scope.get("state", {}), "csrf": self.access.csrf(session)}
        try:
            await self.app(scope, _limited(receive, self.max_bytes), _with_headers(send))
        except _TooLargeError:
            await self._too_large()(scope, receive, _with_headers(send))

    def _refuse(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the refusal of a request, or the page that exchanges a token for a cookie; None to go on."""
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in LOOPBACK and host not in LOOPBACK:
            return PlainTextResponse("This page answers to this machine's own name only.\n", 403)
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        reading = scope["method"] in ("GET", "HEAD")
        if not reading and (site not in (None, "same-origin") or (origin and origin.partition("://")[2] != host)):
            return PlainTextResponse("Refused: the request came from another site.\n", 403)
        if scope["path"].startswith("/static/"):
            return None
        token = QueryParams(scope["query_string"]).get("token")
        if scope["method"] == "GET" and scope["path"] == "/" and token:
            session = self.access.redeem(token)
            if session is not None:
                page = HTMLResponse(WELCOME)
                page.set_cookie(
                    self.access.cookie, session, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", path="/"
                )
                return page
        if self.access.session(headers) is None:
            return PlainTextResponse(REFUSED, 403)
        size = headers.get("content-length", "0")
        if not size.isdigit() or int(size) > self.max_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> Response:
        return PlainTextResponse(f"Refused: more than {self.max_bytes / 2**20:,.0f} MB.\n", 413)


class _TooLargeError(Exception):
    """A body without a length that goes on beyond the limit."""


def _limited(receive: Receive, max_bytes: int) -> Receive:
    """Count the bytes of a body, without trusting the length in its header."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > max_bytes:
            raise _TooLargeError
        return message

    return counted


def _with_headers(send: Send) -> Send:
    """Add the security headers to a response that does not set them."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
