"""The web application: routes, validation of forms, and static files."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tabsynth.errors import InputError, TabsynthError
from tabsynth.web.pages import Pages
from tabsynth.web.security import Access, Guard

MAX_BYTES = 2**30
"""Maximum size of an upload in bytes."""

MAX_FIELDS = 10_000

Handler = Callable[[Request, FormData], Response]

STATIC = {"style.css": "text/css", "web.css": "text/css", "web.js": "text/javascript"}


def create_app(root: Path, access: Access, *, max_bytes: int = MAX_BYTES) -> Starlette:
    """Return the application over a folder of projects.

    Args:
        root: The folder.
        access: Tokens and sessions.
        max_bytes: Largest body of a request.
    """
    pages = Pages(root)
    routes = [
        Route("/", pages.home),
        Route("/static/{name}", static),
        Route("/new", _form(pages.new, pages.home), methods=["POST"]),
        Route("/p/{slug}", pages.go_on),
        Route("/p/{slug}/columns", pages.columns),
        Route("/p/{slug}/column", _form(pages.change_column, pages.columns), methods=["POST"]),
        Route("/p/{slug}/columns", _form(pages.confirm_columns, pages.columns), methods=["POST"]),
        Route("/p/{slug}/protection", pages.protection),
        Route("/p/{slug}/protection", _form(pages.protect, pages.protection), methods=["POST"]),
        Route("/p/{slug}/public", _form(pages.declare, pages.protection), methods=["POST"]),
        Route("/p/{slug}/learn", pages.learn),
        Route("/p/{slug}/learn", _form(pages.start, pages.learn), methods=["POST"]),
        Route("/p/{slug}/cancel", _form(pages.cancel, pages.learn), methods=["POST"]),
        Route("/p/{slug}/events", pages.events),
        Route("/p/{slug}/results", pages.results),
        Route("/p/{slug}/release", _form(pages.sign, pages.results), methods=["POST"]),
        Route("/p/{slug}/verify", _form(pages.verify, pages.results), methods=["POST"]),
        Route("/p/{slug}/pipeline", pages.pipeline),
        Route("/p/{slug}/pipeline", _form(pages.save_pipeline, pages.pipeline), methods=["POST"]),
        Route("/p/{slug}/files/{name}", pages.file),
    ]
    handlers: Mapping[Any, Any] = {
        InputError: pages.refused,
        TabsynthError: pages.refused,
        404: pages.refused,
        500: pages.broken,
    }
    guard = Middleware(Guard, access=access, max_bytes=max_bytes)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)


def _form(handler: Handler, page: Callable[..., Response]) -> Callable[[Request], Any]:
    """Return a POST handler that checks the CSRF token, and shows errors on the page that caused them."""

    async def handle(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
            given, own = form.get("csrf"), request.state.csrf
            if not isinstance(given, str) or not hmac.compare_digest(given.encode(), own.encode()):
                return HTMLResponse("Refused: the form does not belong to this page. Reload the page.", 403)
            try:
                return await anyio.to_thread.run_sync(handler, request, form)
            except TabsynthError as error:
                message = str(error)
        return await anyio.to_thread.run_sync(lambda: page(request, error=message))

    return handle


def static(request: Request) -> Response:
    """Return the style and the script, from the package."""
    name = request.path_params["name"]
    if name not in STATIC:
        return HTMLResponse("Not found", 404)
    package = "tabsynth.reporting.templates" if name == "style.css" else "tabsynth.web.static"
    folder, _, last = package.rpartition(".")
    content = (resources.files(folder) / last / name).read_bytes()
    return Response(content, media_type=STATIC[name], headers={"cache-control": "no-cache"})
