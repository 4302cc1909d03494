"""The command ``audit``: attack a synthetic table and report what it discloses."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tabsynth.cli.output import AddCommand, failed, non_negative_integer, number, pair, say, show, stages

if TYPE_CHECKING:
    from tabsynth.privacy.audit.report import AuditReport


AUDIT = """\
examples:
  tabsynth audit train.csv synthetic.csv --holdout test.csv --output audit.html
  tabsynth audit train.csv synthetic.csv --holdout test.csv --epsilon 1 --delta 1e-6      hold a claim against it
  tabsynth audit train.csv synthetic.csv --holdout test.csv --gates copies_exact=0.1 verdict=consistent

The holdout is real rows of the same population that were not learned. The verdict is VIOLATION (exit code 3),
CONSISTENT, powered, or INCONCLUSIVE; without a holdout there is none. A gate is the greatest value that a score may
have; verdict=consistent asks for a verdict with power. --internal writes the records most at risk, by row number.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    audit = command("audit", "Attack a synthetic table and say what it gives away of its training rows.", AUDIT)
    audit.add_argument("train", metavar="TRAIN", help="the real rows that were fitted")
    audit.add_argument("synthetic", metavar="SYNTH", help="the synthetic rows, whoever made them")
    audit.add_argument("--holdout", metavar="TEST", help="real rows that were not fitted; without them: no verdict")
    audit.add_argument("--schema", metavar="FILE", help="what the columns are, as JSON (default: inferred)")
    audit.add_argument("--epsilon", type=float, metavar="E", help="the privacy that was claimed")
    audit.add_argument("--delta", type=float, metavar="D", help="its delta (default: 1e-6)")
    audit.add_argument("--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)")
    audit.add_argument("--output", "-o", metavar="REPORT", help="report to write: .html, .md or .json")
    audit.add_argument("--json", metavar="FILE", help="also write the report as JSON; - prints it on stdout")
    audit.add_argument("--internal", metavar="FILE", help="write the records most at risk; 'internal' in its name")
    audit.add_argument("--gates", nargs="+", default=[], metavar="NAME=LIMIT", help="greatest values allowed")


def run(args: Namespace) -> int:
    """Attack a synthetic table; the exit code is 3 on a violation and where a gate is missed."""
    from tabsynth.common.atomic_files import check_writable
    from tabsynth.data.sample_datasets import is_shipped, open_table
    from tabsynth.errors import InputError
    from tabsynth.pipeline.outputs import check_report
    from tabsynth.privacy.audit.audit import audit as attack
    from tabsynth.privacy.budget import Privacy
    from tabsynth.schema.schema import Schema

    limits = dict(pair(text, "--gates") for text in args.gates)
    wanted = limits.pop("verdict", None)
    if wanted not in (None, "consistent"):
        raise InputError(f"--gates verdict={wanted}: the only verdict to ask for is consistent")
    gates = {name: number(value, "--gates") for name, value in limits.items()}
    if args.delta is not None and args.epsilon is None:
        raise InputError("--delta belongs to a claim: give --epsilon too")
    outputs = [path for path in (args.output, args.json) if path and path != "-"]
    for path in outputs:
        check_report(path)
    if args.internal:
        check_writable(args.internal)
        if "internal" not in args.internal.lower():
            raise InputError(f"--internal {args.internal}: the name must hold the word 'internal', it lists records")
    schema = Schema.from_json(args.schema) if args.schema else None
    privacy = None if args.epsilon is None else Privacy(epsilon=args.epsilon, delta=args.delta)
    train, synthetic, holdout = (
        open_table(name) if name and is_shipped(name) else name for name in (args.train, args.synthetic, args.holdout)
    )
    report = attack(train, synthetic, holdout, schema=schema, privacy=privacy, seed=args.seed, progress=stages())
    for path in outputs:
        report.save(path)
        say(f"wrote {path}")
    if args.internal:
        report.save_internal(args.internal)
        say(f"wrote {args.internal}: it names single records, keep it inside")
    show(report.to_dict(), str(report), force_json=args.json == "-")
    amiss = wanted is not None and report.verdict != "CONSISTENT, powered"
    return failed([*([report.headline] if amiss or report.verdict == "VIOLATION" else []), *_over(report, gates)])


def _over(report: AuditReport, gates: Mapping[str, float]) -> list[str]:
    """The scores above their gates, in words."""
    from tabsynth.errors import InputError, quote
    from tabsynth.reporting.number_format import figure

    unknown = [name for name in gates if name not in report.scores]
    if unknown:
        raise InputError(f"--gates: no score {quote(unknown)}; the report has {quote(report.scores, 40)}")
    held = [(report.scores[name], limit) for name, limit in gates.items()]
    return [
        f"{score.name} is {figure(score.value, score.unit)}, at most {figure(limit, score.unit)} is allowed"
        for score, limit in held
        if score.value > limit
    ]
