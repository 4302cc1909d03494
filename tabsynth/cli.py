"""The command line: parse, call, print. What each command does is in ``tabsynth.commands``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tabsynth.canary_cli import add_canaries, add_ledger
from tabsynth.mix_cli import add_mix

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

INSPECT = """\
examples:
  tabsynth inspect patients.csv                        a table for people
  tabsynth inspect patients.csv --schema schema.json   also write what was inferred, to edit and give to fit
  tabsynth inspect patients.csv --json | jq .questions
"""

FIT = """\
examples:
  tabsynth fit patients.csv --output m.tabsynth
  tabsynth fit patients.parquet --schema schema.json --seed 0 --output m.tabsynth
  tabsynth fit patients.csv --model ctgan --epochs 300 --option batch_size=200 --output m.tabsynth

A long fit keeps its state beside the output (m.tabsynth.checkpoint). When it is interrupted, the same command goes on
from there; the checkpoint is removed when the fit ends.
"""

SAMPLE = """\
examples:
  tabsynth sample m.tabsynth -n 1000 --output synthetic.parquet
  tabsynth sample m.tabsynth -n 10_000_000 --seed 1 --output synthetic.csv      in chunks: memory stays flat
  tabsynth sample m.tabsynth -n 500 --given sex=f --given age=60:80 --output women.csv

A condition is COLUMN=VALUE, COLUMN=LOW:HIGH for numbers and dates (ends included; one may be left out), COLUMN=A,B for
several categories, or COLUMN= for a missing value.
"""

EVALUATE = """\
examples:
  tabsynth evaluate train.csv synthetic.csv --output report.html
  tabsynth evaluate train.csv synthetic.csv --holdout test.csv --target outcome --output report.html --json report.json
  tabsynth evaluate train.csv synthetic.csv --require NAME=0.9       exit with 3 when the score NAME is worse than 0.9
  tabsynth evaluate train.csv synthetic.csv --gates gates.yaml       exit with 3 when a gate is missed and not waived
  tabsynth evaluate train.csv masked.csv --also vae=vae.csv --output report.html      several tables side by side

With --holdout (real rows that were not fitted) the report also says what real data reach and whether rows were copied.
A limit is the least value of a score where higher is better, the greatest where lower is better, and the greatest
distance from its target where it aims at one.

A gates file holds limits and waivers; --gates default holds those that fresh real rows never fail:

  gates:
    fidelity.trend_error: {max: 2.0}
    utility.utility_gap: {above_floor: 0.05}
  waivers:
    - {gate: fidelity.trend_error, who: A. Analyst, why: pilot only, until: 2031-01-31}
"""

AUDIT = """\
examples:
  tabsynth audit train.csv synthetic.csv --holdout test.csv --output audit.html
  tabsynth audit train.csv synthetic.csv --holdout test.csv --epsilon 1 --delta 1e-6      hold a claim against it
  tabsynth audit train.csv synthetic.csv --holdout test.csv --gates copies_exact=0.1 verdict=consistent

The holdout is real rows of the same population that were not learned. The verdict is VIOLATION (exit code 3),
CONSISTENT, powered, or INCONCLUSIVE; without a holdout there is none. A gate is the greatest value that a score may
have; verdict=consistent asks for a verdict with power. --internal writes the records most at risk, by row number.
"""

TUNE = """\
examples:
  tabsynth tune patients.csv --trials 20 --output best.yaml
  tabsynth tune patients.csv --objective utility --target outcome --holdout 0.3 --output best.yaml

Each trial is a whole fit. The held-out rows are cut in two: one half chooses the options, the other says how good they
are. best.yaml holds them as the model step of a pipeline file. Needs the package optuna.
"""

PLAN_PRIVACY = """\
examples:
  tabsynth plan-privacy --schema schema.json -n 30_000
  tabsynth plan-privacy --schema schema.json -n 30_000 --rows-per-person 5 --epsilons 0.5,1,2 --output plan.html
  tabsynth plan-privacy --cardinalities 2,2,5,12,40 -n 10_000

Simulated on a table that is made by rule from public facts alone; nothing of a real table is read or spent.
"""

RUN = """\
examples:
  tabsynth run --example > pipeline.yaml               a commented file to start from
  tabsynth run pipeline.yaml
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; by default those of the process.

    Returns:
        The exit code: see ``tabsynth --help``.
    """
    args = _parser().parse_args(argv)
    try:
        from tabsynth import commands, echo

        with echo.warnings_as_lines():
            return int(getattr(commands, args.command.replace("-", "_"))(args))
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


def _parser() -> argparse.ArgumentParser:
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

    inspect = command("inspect", "Say what each column of a table is, why, and what a person should decide.", INSPECT)
    inspect.add_argument("file", metavar="FILE", help="CSV, Parquet or Excel file, or sklearn:NAME")
    inspect.add_argument("--schema", metavar="FILE", help="write the inferred schema to this JSON file")
    inspect.add_argument("--json", action="store_true", help="print JSON, also on a terminal")

    fit = command("fit", "Learn a table and write a model file.", FIT)
    fit.add_argument("file", metavar="FILE", help="CSV, Parquet or Excel file, or sklearn:NAME")
    fit.add_argument("--output", "-o", required=True, metavar="MODEL", help="the model file to write")
    fit.add_argument("--model", default="masked", metavar="KIND", help="kind of synthesizer (default: %(default)s)")
    fit.add_argument("--schema", metavar="FILE", help="what the columns are, as JSON (default: inferred)")
    fit.add_argument("--seed", type=_whole, default=0, metavar="N", help="seed of the fit (default: %(default)s)")
    fit.add_argument("--epochs", type=_positive, metavar="N", help="passes over the table (default: the model decides)")
    fit.add_argument("--min-group", type=_positive, metavar="N", help="values shared by fewer rows are never released")
    fit.add_argument("--device", metavar="NAME", help="where to compute: auto, cpu, cuda, ...")
    fit.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="any other model option")
    fit.add_argument("--checkpoint", metavar="FILE", help="where to keep the state (default: MODEL.checkpoint)")
    fit.add_argument("--no-checkpoint", action="store_true", help="keep no state: an interrupted fit is lost")

    sample = command("sample", "Draw synthetic rows from a model file.", SAMPLE)
    sample.add_argument("model", metavar="MODEL", help="a model file of fit")
    sample.add_argument("--output", "-o", required=True, metavar="FILE", help="CSV, Parquet or Excel file to write")
    sample.add_argument("--rows", "-n", type=_positive, metavar="N", help="number of rows (default: as many as fitted)")
    sample.add_argument("--given", action="append", default=[], metavar="CONDITION", help="what every row must meet")
    sample.add_argument("--seed", type=_whole, metavar="N", help="seed of the draw (default: drawn and printed)")

    evaluate = command("evaluate", "Compare a synthetic table with the real one.", EVALUATE)
    evaluate.add_argument("train", metavar="TRAIN", help="the real rows that were fitted")
    evaluate.add_argument("synthetic", metavar="SYNTH", help="the synthetic rows")
    evaluate.add_argument("--holdout", metavar="TEST", help="real rows that were not fitted")
    evaluate.add_argument("--target", metavar="COLUMN", help="the column that the table is used to predict")
    evaluate.add_argument("--schema", metavar="FILE", help="what the columns are, as JSON (default: inferred)")
    evaluate.add_argument("--seed", type=_whole, default=0, metavar="N", help="seed (default: %(default)s)")
    evaluate.add_argument("--output", "-o", metavar="REPORT", help="report to write: .html, .md or .json")
    evaluate.add_argument("--json", metavar="FILE", help="also write the report as JSON; - prints it on stdout")
    evaluate.add_argument("--quick", action="store_true", help="only scores that train no model, detection on a sample")
    evaluate.add_argument("--gates", metavar="FILE", help="limits and waivers as YAML, or the word default")
    evaluate.add_argument("--also", action="append", default=[], metavar="NAME=FILE", help="compare another table too")
    evaluate.add_argument("--require", action="append", default=[], metavar="NAME=LIMIT", help="least quality")

    audit = command("audit", "Attack a synthetic table and say what it gives away of its training rows.", AUDIT)
    audit.add_argument("train", metavar="TRAIN", help="the real rows that were fitted")
    audit.add_argument("synthetic", metavar="SYNTH", help="the synthetic rows, whoever made them")
    audit.add_argument("--holdout", metavar="TEST", help="real rows that were not fitted; without them: no verdict")
    audit.add_argument("--schema", metavar="FILE", help="what the columns are, as JSON (default: inferred)")
    audit.add_argument("--epsilon", type=float, metavar="E", help="the privacy that was claimed")
    audit.add_argument("--delta", type=float, metavar="D", help="its delta (default: 1e-6)")
    audit.add_argument("--seed", type=_whole, default=0, metavar="N", help="seed (default: %(default)s)")
    audit.add_argument("--output", "-o", metavar="REPORT", help="report to write: .html, .md or .json")
    audit.add_argument("--json", metavar="FILE", help="also write the report as JSON; - prints it on stdout")
    audit.add_argument("--internal", metavar="FILE", help="write the records most at risk; 'internal' in its name")
    audit.add_argument("--gates", nargs="+", default=[], metavar="NAME=LIMIT", help="greatest values allowed")

    add_canaries(command)
    add_ledger(command)
    tune = command("tune", "Search a model's options by a score on held-out rows.", TUNE)
    tune.add_argument("file", metavar="FILE", help="CSV, Parquet or Excel file, or sklearn:NAME")
    tune.add_argument("--output", "-o", required=True, metavar="YAML", help="where to write the best options")
    tune.add_argument("--model", default="masked", metavar="KIND", help="kind of synthesizer (default: %(default)s)")
    tune.add_argument("--trials", type=_positive, default=20, metavar="N", help="number of fits (default: %(default)s)")
    tune.add_argument("--objective", default="detection_auc", metavar="SCORE", help="score (default: %(default)s)")
    tune.add_argument("--holdout", type=float, default=0.2, metavar="SHARE", help="held out (default: %(default)s)")
    tune.add_argument("--target", metavar="COLUMN", help="the column that the table is used to predict")
    tune.add_argument("--schema", metavar="FILE", help="what the columns are, as JSON (default: inferred)")
    tune.add_argument("--seed", type=_whole, default=0, metavar="N", help="seed (default: %(default)s)")

    plan = command("plan-privacy", "Say what each epsilon costs in quality, before it is spent.", PLAN_PRIVACY)
    what = plan.add_mutually_exclusive_group(required=True)
    what.add_argument("--schema", metavar="FILE", help="what the columns will be, as JSON")
    what.add_argument("--cardinalities", metavar="N,N,...", help="how many values each column has, without a schema")
    plan.add_argument("--rows", "-n", type=_positive, required=True, metavar="N", help="about how many rows: public")
    plan.add_argument("--epsilons", default="0.1,0.3,1,3,10", metavar="E,E,...", help="budgets (default: %(default)s)")
    plan.add_argument("--delta", type=float, metavar="D", help="delta (default: that of Privacy for so many rows)")
    plan.add_argument("--mechanisms", default="marginal,tree", metavar="NAME,...", help="of marginal, tree, masked")
    plan.add_argument("--rules", metavar="YAML", help="rules that the simulated table follows")
    plan.add_argument("--rows-per-person", type=_positive, default=1, metavar="K", help="protect persons of K rows")
    plan.add_argument("--seed", type=_whole, default=0, metavar="N", help="seed (default: %(default)s)")
    plan.add_argument("--output", "-o", metavar="FILE", help="also write a page (.html) or the drawing (.svg)")

    add_mix(command)
    run = command("run", "Run a pipeline file: read, split, fit, sample, evaluate.", RUN)
    run.add_argument("file", nargs="?", metavar="PIPELINE", help="a YAML file")
    run.add_argument("--example", action="store_true", help="print a commented pipeline file and exit")
    return parser


def _whole(text: str) -> int:
    """A whole number of the command line; ``10_000`` is one."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def _positive(text: str) -> int:
    """A whole number of at least 1."""
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return value


if __name__ == "__main__":
    sys.exit(main())
