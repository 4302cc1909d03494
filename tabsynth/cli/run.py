"""The command ``run``: run a pipeline file."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import DONE, AddCommand, print_result, report_unmet, say

RUN = """\
examples:
  tabsynth run --example > pipeline.yaml               a commented template
  tabsynth run pipeline.yaml
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    run = command("run", "Run a pipeline file: read, split, fit, sample, evaluate.", RUN)
    run.add_argument("file", nargs="?", metavar="PIPELINE", help="a YAML file")
    run.add_argument("--example", action="store_true", help="print a commented pipeline file and exit")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.errors import InputError
    from tabsynth.pipeline.config import EXAMPLE
    from tabsynth.pipeline.run import run as run_pipeline

    if args.example:
        print(EXAMPLE, end="")
        return DONE
    if args.file is None:
        raise InputError("name a pipeline file, or use --example")
    result = run_pipeline(args.file, say=say)
    print_result(result.to_dict(), result.summary)
    return report_unmet(result.unmet)
