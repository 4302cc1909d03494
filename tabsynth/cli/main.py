"""Entry point: parse the arguments, run a command, and turn errors into exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import NoReturn

from tabsynth import __version__
from tabsynth.cli import audit, canaries, evaluate, fit, inspect, ledger, mix, plan_privacy, run, sample, split, tune
from tabsynth.cli.bundles import keys, release, verify
from tabsynth.cli.output import DONE, LOG, print_warnings, say
from tabsynth.cli.private import measure
from tabsynth.cli.reading import standard_streams
from tabsynth.cli.web import serve
from tabsynth.common.text import escape_controls

COMMANDS: dict[str, ModuleType] = {
    "inspect": inspect,
    "split": split,
    "fit": fit,
    "sample": sample,
    "evaluate": evaluate,
    "audit": audit,
    "canaries": canaries,
    "ledger": ledger,
    "tune": tune,
    "plan-privacy": plan_privacy,
    "measure": measure,
    "mix": mix,
    "release": release,
    "verify": verify,
    "keys": keys,
    "run": run,
    "serve": serve,
}
"""Command to module: ``add_arguments(command)`` and ``run(args)``."""

UNEXPECTED, BAD_INPUT, BAD_MODEL, BUSY, INTERRUPTED, TERMINATED = 1, 2, 4, 6, 130, 143
"""Exit codes of errors."""

DESCRIPTION = """\
Fit a model to a table, sample synthetic rows, and measure their quality and privacy.

  tabsynth inspect patients.csv                                      kinds of the columns, open questions
  tabsynth fit patients.csv --output m.tabsynth                      fit a model
  tabsynth sample m.tabsynth -n 1000 --output synthetic.parquet      sample rows
  tabsynth evaluate patients.csv synthetic.parquet --output report.html
  tabsynth audit patients.csv synthetic.parquet --holdout held.csv   attack the synthetic rows
  tabsynth run pipeline.yaml                                         run all steps

To try it without a table of your own, pass sklearn:diabetes, sklearn:breast_cancer, sklearn:wine or sklearn:iris.
"""

EXIT_CODES = """\
Results go to stdout, as text on a terminal and otherwise as JSON. Progress and messages go to stderr.

exit codes:
  0    done
  1    unexpected error
  2    wrong usage or invalid input; nothing was written
  3    finished, but a threshold (--require, --gates, the pipeline's `require`) was not met, an audit found a violation,
       or a release missed a gate; earlier results were not replaced
  4    the model file is damaged, is not a model file, or was written by a later version
  5    a release does not verify: it was changed, is incomplete, or is signed with another key
  6    another run is writing to the same folder; try again later
  130  interrupted; repeat the same command to resume a fit from its checkpoint
  143  terminated (SIGTERM), as 130
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; by default those of the process.

    Returns:
        The exit code: see ``tabsynth --help``.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    try:
        # Before anything is parsed, since messages of the parser repeat arguments.
        _check_no_passwords(given)
    except Exception as error:
        return _report_error(error)
    args = build_parser().parse_args(given)
    LOG.style, LOG.quiet = getattr(args, "log_format", "text"), getattr(args, "quiet", False)
    try:
        with print_warnings(), _termination(), standard_streams(args):
            return int(COMMANDS[args.command].run(args))
    except _Terminated:
        say("terminated", "error")
        return TERMINATED
    except KeyboardInterrupt:
        say("interrupted", "error")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has exited (| head): print nothing, also at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if getattr(args, "debug", False):
            raise
        return _report_error(error)


class _Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


@contextmanager
def _termination() -> Iterator[None]:
    """Handle the first SIGTERM as an interruption, so that temporary files are removed; a second one ends at once."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise _Terminated

    replaced = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if replaced:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if replaced:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _check_no_passwords(arguments: Sequence[str]) -> None:
    """Raise SourceError if an argument is, or contains after ``=``, a database's URL with a password."""
    urls = [text for text in arguments if "://" in text]
    if urls:
        from tabsynth.data.sql.urls import check_no_password

        for text in urls:
            check_no_password(text)
            check_no_password(text.partition("=")[2])


def _report_error(error: Exception) -> int:
    """Print an error in one line on stderr; return its exit code."""
    from tabsynth.errors import (
        BusyError,
        InputError,
        MissingDependencyError,
        ModelFileError,
        PrivacyError,
        TabsynthError,
    )

    line = " ".join(str(error).split())
    if not isinstance(error, TabsynthError):
        kind = type(error).__name__
        say(f"unexpected error: {kind}: {line} (--debug shows the traceback)", "error")
        return UNEXPECTED
    say(f"error: {line}", "error")
    if isinstance(error, (BusyError, ModelFileError)):
        return BUSY if isinstance(error, BusyError) else BAD_MODEL
    return BAD_INPUT if isinstance(error, (InputError, MissingDependencyError, PrivacyError)) else UNEXPECTED


class _Parser(argparse.ArgumentParser):
    """A parser whose errors show control characters of arguments escaped."""

    def error(self, message: str) -> NoReturn:
        super().error(escape_controls(message))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. Imports only the standard library, so that ``--help`` is instant."""
    common = _Parser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    common.add_argument(
        "--quiet", "-q", action="store_true", default=argparse.SUPPRESS, help="warnings and errors only"
    )
    common.add_argument(
        "--log-format",
        choices=["text", "time", "json"],
        default=argparse.SUPPRESS,
        help="messages on stderr: text (default), text with time, or one JSON object per line",
    )
    layout = argparse.RawDescriptionHelpFormatter
    parser = _Parser("tabsynth", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=layout)
    parser.add_argument(
        "--version", action="version", version=f"tabsynth {__version__}", help="print the version and exit"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str, epilog: str) -> argparse.ArgumentParser:
        epilog = f"{epilog}\n{EXIT_CODES}"
        return commands.add_parser(
            name, help=about, description=about, epilog=epilog, formatter_class=layout, parents=[common]
        )

    for module in COMMANDS.values():
        module.add_arguments(command)
    return parser
