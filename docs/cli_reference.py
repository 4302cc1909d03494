"""MkDocs hook: replace the marker in reference/cli.md by the help text of every command, as the parser prints it."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from tabsynth.cli import main

MARKER = "<!-- commands -->"
WIDTH = "100"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Insert the commands where the page has the marker."""
    return markdown.replace(MARKER, reference()) if MARKER in markdown else markdown


def reference() -> str:
    """All commands as Markdown, the exit codes only once."""
    pages = {path: help_of(path) for path in commands(())}
    shared = common_end(pages[()], pages[("inspect",)])
    parts = []
    for path, page in pages.items():
        text = page.removesuffix(shared)
        parts.append(f"## {' '.join(['tabsynth', *path])}\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(parts)


def common_end(one: str, other: str) -> str:
    """The paragraphs with which both texts end."""
    pairs = zip(reversed(one.split("\n\n")), reversed(other.split("\n\n")), strict=False)
    shared = [left for left, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return "".join(f"\n\n{part}" for part in reversed(shared))


def commands(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A command and all commands below it."""
    yield path
    listed = re.search(r"^  (?:COMMAND|VERB)\n((?:    .*\n)+)", help_of(path) + "\n", re.MULTILINE)
    for name in re.findall(r"^    ([a-z][a-z-]*)", listed[1] if listed else "", re.MULTILINE):
        yield from commands((*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """What ``tabsynth COMMAND --help`` prints, in a fixed width."""
    shown = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            main([*path, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return shown.getvalue()
