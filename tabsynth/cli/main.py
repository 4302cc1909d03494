"""Entry point: parse the arguments, run a command, and turn errors into exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from tabsynth.cli import audit, canaries, evaluate, fit, inspect, ledger, mix, plan_privacy, run, sample, tune
from tabsynth.cli.output import warnings_as_lines

COMMANDS: dict[str, ModuleType] = {
    "inspect": inspect,
    "fit": fit,
    "sample": sample,
    "evaluate": evaluate,
    "audit": audit,
    "canaries": canaries,
    "ledger": ledger,
    "tune": tune,
    "plan-privacy": plan_privacy,
    "mix": mix,
    "run": run,
}
"""Each command's module: ``add_arguments(command)`` and ``run(args)``."""

DONE, UNEXPECTED, BAD_INPUT, UNMET, BAD_MODEL, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""The exit codes."""

ABOUT = """\
Learn a table, draw a synthetic one, and measure how good and how safe it is.

  tabsynth inspect patients.csv                                      what is in the table, and what to decide
  tabsynth fit patients.csv --output m.tabsynth                      learn it
  tabsynth sample m.tabsynth -n 1000 --output synthetic.parquet      draw rows
  tabsynth evaluate patients.csv synthetic.parquet --output report.html
  tabsynth audit patients.csv synthetic.parquet --holdout held.csv   attack it: what does it give away?
  tabsynth run pipeline.yaml                                         all of it at once

No table at hand? Every FILE may be sklearn:diabetes, sklearn:breast_cancer, sklearn:wine or sklearn:iris.
"""

CODES = """\
results go to stdout, as text on a terminal and as JSON into a pipe or file; progress and messages go to stderr

exit codes:
  0    done
  1    unexpected error
  2    bad usage or bad input; nothing was written
  3    done, but a score does not meet what --require, --gates or the pipeline's require ask; an audit's violation
  4    the model file is damaged, foreign or of a later version
  130  interrupted; a fit goes on from its checkpoint when run again
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; by default those of the process.

    Returns:
        The exit code: see ``tabsynth --help``.
    """
    args = build_parser().parse_args(argv)
    try:
        with warnings_as_lines():
            return int(COMMANDS[args.command].run(args))
    except KeyboardInterrupt:
        print("tabsynth: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has gone (| head): print nothing, also at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if getattr(args, "debug", False):
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    """Say an error in one line on stderr; give its exit code."""
    from tabsynth.errors import InputError, MissingDependencyError, ModelFileError, PrivacyError, TabsynthError

    line = " ".join(str(error).split())
    if not isinstance(error, TabsynthError):
        kind = type(error).__name__
        print(f"tabsynth: unexpected error: {kind}: {line} (--debug shows where it comes from)", file=sys.stderr)
        return UNEXPECTED
    print(f"tabsynth: error: {line}", file=sys.stderr)
    if isinstance(error, ModelFileError):
        return BAD_MODEL
    return BAD_INPUT if isinstance(error, (InputError, MissingDependencyError, PrivacyError)) else UNEXPECTED


class _Version(argparse.Action):
    """``--version``, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"tabsynth {version('tabsynth')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. Its imports are the standard library's: ``--help`` must be instant."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks of errors")
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("tabsynth", description=ABOUT, epilog=CODES, formatter_class=layout)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str, epilog: str) -> argparse.ArgumentParser:
        epilog = f"{epilog}\n{CODES}"
        return commands.add_parser(
            name, help=about, description=about, epilog=epilog, formatter_class=layout, parents=[common]
        )

    for module in COMMANDS.values():
        module.add_arguments(command)
    return parser
