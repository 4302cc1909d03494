"""The command ``audit``: attack a synthetic table."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from tabsynth.cli.database.audit import audit_folders
from tabsynth.cli.output import (
    AddCommand,
    add_report_options,
    non_negative_integer,
    parse_number,
    parse_pair,
    positive_integer,
    print_result,
    progress_callback,
    report_paths,
    report_unmet,
    save_report,
    say,
    unreplaced_path,
)
from tabsynth.cli.reading import add_read_options, open_compared

if TYPE_CHECKING:
    from tabsynth.privacy.audit.report import AuditReport
    from tabsynth.privacy.budget import Privacy

AUDIT = """\
examples:
  tabsynth audit train.csv synthetic.csv --holdout test.csv --output audit.html
  tabsynth audit train.csv synthetic.csv --holdout test.csv --epsilon 1 --delta 1e-6      test a claimed epsilon
  tabsynth audit train.csv synthetic.csv --holdout test.csv --gates copies_exact=0.1 verdict=consistent
  tabsynth audit clinic/ synthetic/ --holdout others/ --output audit.html      folders of linked tables, by person

The holdout contains real rows of the same population that were not in the training table. The verdict is VIOLATION
(exit code 3), CONSISTENT, powered, or INCONCLUSIVE; without a holdout there is none. A gate is the maximum of a score;
verdict=consistent requires a verdict with power. --internal writes the records most at risk, by row number.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    audit = command("audit", "Attack a synthetic table and report what it discloses about its training rows.", AUDIT)
    audit.add_argument("train", metavar="TRAIN", help="the real training rows, or a folder of linked tables")
    audit.add_argument("synthetic", metavar="SYNTH", help="the synthetic rows, from any tool, or a folder")
    audit.add_argument("--holdout", metavar="TEST", help="held-out real rows, or a folder; needed for a verdict")
    audit.add_argument("--schema", metavar="FILE", help="schema file (default: inferred)")
    audit.add_argument("--epsilon", type=float, metavar="E", help="claimed epsilon, to be tested")
    audit.add_argument("--delta", type=float, metavar="D", help="its delta (default: 1e-6)")
    audit.add_argument(
        "--unit",
        metavar="COLUMN",
        help="column that identifies the persons whom the claim protects (default: each row)",
    )
    audit.add_argument(
        "--rows-per-person",
        type=positive_integer,
        metavar="K",
        help="maximum number of rows of a person that were used",
    )
    audit.add_argument("--seed", type=non_negative_integer, default=0, metavar="N", help="seed (default: %(default)s)")
    add_report_options(audit)
    audit.add_argument(
        "--internal", metavar="FILE", help="write the records most at risk; its name must contain 'internal'"
    )
    audit.add_argument(
        "--gates", nargs="+", default=[], metavar="NAME=LIMIT", help="exit with code 3 if a score exceeds its limit"
    )
    add_read_options(audit)


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.data.database.folders import holds_linked_tables
    from tabsynth.errors import InputError
    from tabsynth.privacy.audit.report import unmet_audit
    from tabsynth.reporting.report_files import check_report_output

    gates: dict[str, str | float] = {}
    for name, value in (parse_pair(text, "--gates") for text in args.gates):
        if name == "verdict" and value != "consistent":
            raise InputError(f"--gates verdict={value}: the only verdict to require is consistent")
        gates[name] = value if name == "verdict" else parse_number(value, "--gates")
    outputs = report_paths(args)
    check_outputs([*outputs, args.internal], [args.train, args.synthetic, args.holdout, args.schema])
    for path in outputs:
        check_report_output(path)
    if args.internal:
        check_writable(args.internal)
        if "internal" not in args.internal.lower():
            raise InputError(
                f"--internal {args.internal}: the name must contain 'internal', because the file lists records"
            )
    privacy = _claim(args)
    report = audit_folders(args, privacy) if holds_linked_tables(args.train) else _audit_table(args, privacy)
    unmet = unmet_audit(report, gates)
    written = save_report(report, outputs, unmet)
    if args.internal:
        written[args.internal] = unreplaced_path(args.internal, unmet)
        report.save_internal(written[args.internal])
        say(f"wrote {written[args.internal]}: it identifies records, do not publish it")
    files = {name: written.get(path, path) for name, path in (("report", args.output), ("json", args.json))}
    files["internal"] = written.get(args.internal, args.internal)
    short = {"files": files, "verdict": report.verdict, "text": report.text, "unmet": unmet}
    print_result(report.to_dict(), str(report), force_json=args.json == "-", summary=short if outputs else None)
    return report_unmet(unmet)


def _claim(args: Namespace) -> Privacy | None:
    """Return the claimed guarantee, None without ``--epsilon``."""
    from tabsynth.errors import InputError
    from tabsynth.privacy.budget import Privacy

    given = {"--delta": args.delta, "--unit": args.unit, "--rows-per-person": args.rows_per_person}
    for option, value in given.items():
        if value is not None and args.epsilon is None:
            raise InputError(f"{option} belongs to a claim: give --epsilon too")
    if args.epsilon is None:
        return None
    return Privacy(
        epsilon=args.epsilon, delta=args.delta, unit=args.unit or "row", rows_per_person=args.rows_per_person
    )


def _audit_table(args: Namespace, privacy: Privacy | None) -> AuditReport:
    """Attack one table."""
    from tabsynth.privacy.audit.audit import audit

    schema, train, synthetic, holdout = open_compared(args)
    return audit(
        train, synthetic, holdout, schema=schema, privacy=privacy, seed=args.seed, progress=progress_callback()
    )
