"""The command ``run``: run a pipeline file."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import DONE, AddCommand, print_result, report_unmet, say

RUN = """\
examples:
  tabsynth run --example > pipeline.yaml               a commented template
  tabsynth run --print-schema > pipeline.schema.json   a JSON Schema of the file, for editors
  tabsynth run pipeline.yaml --dry-run                 which steps would run, and why
  tabsynth run pipeline.yaml

A step is skipped if its inputs, settings, versions and outputs are unchanged. To resume an interrupted or killed run,
repeat the command. OUTPUT/.pipeline/status.json contains the state of the run.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    run = command("run", "Run a pipeline file: read or mix, fit, sample, evaluate, audit, release.", RUN)
    run.add_argument("file", nargs="?", metavar="PIPELINE", help="a YAML file")
    run.add_argument("--example", action="store_true", help="print a commented pipeline file and exit")
    run.add_argument("--print-schema", action="store_true", help="print the JSON Schema of a pipeline file and exit")
    run.add_argument("--dry-run", action="store_true", help="print which steps would run, and write nothing")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.errors import InputError
    from tabsynth.pipeline.config import EXAMPLE
    from tabsynth.pipeline.run import plan
    from tabsynth.pipeline.run import run as run_pipeline
    from tabsynth.pipeline.schema_file import schema_text

    if args.example or args.print_schema:
        print(EXAMPLE if args.example else schema_text(), end="")
        return DONE
    if args.file is None:
        raise InputError("name a pipeline file, or use --example")
    if args.dry_run:
        steps = plan(args.file)
        data = [{"step": item.step, "run": bool(item.reason), "reason": item.reason} for item in steps]
        return print_result({"steps": data}, "\n".join(map(str, steps)))
    result = run_pipeline(args.file, say=say)
    print_result(result.to_dict(), result.summary)
    return report_unmet(result.unmet)
