"""Argument types, messages and results of the commands."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.common.text import escape_controls

if TYPE_CHECKING:
    from tabsynth.reporting.report_files import SavedReport

DONE, UNMET = 0, 3
"""Exit codes of a command that ran to its end."""

AddCommand = Callable[[str, str, str], argparse.ArgumentParser]
"""Adds a command to the parser: its name, a line of help and examples."""


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the files of a report."""
    parser.add_argument("--output", "-o", metavar="REPORT", help="report to write: .html, .md or .json")
    parser.add_argument("--json", metavar="FILE", help="also write the report as JSON; - prints it on stdout")


def report_paths(args: argparse.Namespace) -> list[str]:
    """Return the files of a report."""
    return [path for path in (args.output, args.json) if path and path != "-"]


def save_report(report: SavedReport, paths: Iterable[str], unmet: Sequence[str] = ()) -> dict[str, str]:
    """Write a report to files; if requirements are not met, those that exist are kept and it is written beside them.

    Returns:
        The file that was written for each path.
    """
    written = {path: unreplaced_path(path, unmet) for path in paths}
    for path, target in written.items():
        report.save(target)
        say(f"wrote {target}" + (f"; {path} is unchanged" if target != path else ""))
    return written


def unreplaced_path(path: str, unmet: Sequence[str]) -> str:
    """Return a path, or ``report.failed.html`` for an existing ``report.html`` if requirements are not met."""
    target = Path(path)
    return str(target.with_name(f"{target.stem}.failed{target.suffix}")) if unmet and target.exists() else path


def parse_pair(text: str, option: str) -> tuple[str, str]:
    """Split NAME=VALUE."""
    from tabsynth.errors import InputError

    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputError(f"{option} {text}: write NAME=VALUE")
    return name, value


def parse_number(text: str, option: str) -> float:
    """Parse a finite number."""
    from tabsynth.errors import InputError

    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{option}: {text!r} is not a number") from None
    if not math.isfinite(value):
        raise InputError(f"{option}: {text!r} is not a finite number")
    return int(value) if value.is_integer() else value


def report_unmet(lines: Sequence[str]) -> int:
    """Print unmet requirements; return the exit code."""
    for line in lines:
        say(f"not met: {line}", "warning")
    return UNMET if lines else DONE


@dataclass
class Log:
    """Printer of messages on stderr; ``style`` is text, time or json."""

    style: str = "text"
    quiet: bool = False


LOG = Log()


def say(line: str, level: str = "info") -> None:
    """Print a message on stderr: at level info unless quiet."""
    if LOG.quiet and level == "info":
        return
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    if LOG.style == "json":
        text = json.dumps({"time": now, "level": level, "message": line})
    else:
        prefix = f"{now} tabsynth" if LOG.style == "time" else "tabsynth"
        text = escape_controls(f"{prefix}: {line}")
    with suppress(OSError):  # a log on a full disk changes no exit code
        print(text, file=sys.stderr, flush=True)


@contextmanager
def print_warnings() -> Iterator[None]:
    """Print each distinct warning as a message, once: the fits of a search repeat them."""
    seen: set[str] = set()

    def show(message: Warning | str, *_place: Any, **_more: Any) -> None:
        if str(message) not in seen:
            seen.add(str(message))
            say(str(message), "warning")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


def progress_callback() -> Callable[[str, float], None] | None:
    """Return the progress messages of an evaluation; None unless stderr is a terminal."""
    return (lambda stage, share: say(f"{stage} ({share:.0%})")) if sys.stderr.isatty() and not LOG.quiet else None


def print_result(data: Any, text: str, *, force_json: bool = False, summary: Any = None) -> int:
    """Print the result: text on a terminal, else JSON: the summary if the whole result is in a file."""
    if sys.stdout.isatty() and not force_json:
        print(escape_controls(text), flush=True)
    else:
        print(json.dumps(data if summary is None or force_json else summary, indent=2, allow_nan=False), flush=True)
    return DONE


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align rows in columns; the last column wraps at the terminal's width."""
    table = [list(head), *([" ".join(escape_controls(cell).split()) for cell in row] for row in rows)]
    widths = [min(max(len(row[i]) for row in table), 30) for i in range(len(head) - 1)]
    left = sum(widths) + 2 * len(widths)
    last = max(shutil.get_terminal_size((120, 24)).columns - left, 30)
    lines = []
    for row in table:
        cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, [*widths, last], strict=True)]
        for i in range(max(map(len, cells))):
            parts = [cell[i] if i < len(cell) else "" for cell in cells]
            padded = [part.ljust(width) for part, width in zip(parts, widths, strict=False)]
            lines.append("  ".join([*padded, parts[-1]]).rstrip())
    return "\n".join(lines)


def non_negative_integer(text: str) -> int:
    """Parse an integer such as ``10_000``."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def positive_integer(text: str) -> int:
    """Parse an integer of at least 1."""
    value = non_negative_integer(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def positive_number(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value
