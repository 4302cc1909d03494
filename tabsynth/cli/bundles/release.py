"""The command ``release``: build a signed release."""

from __future__ import annotations

import os
from argparse import Namespace

from tabsynth.cli.bundles.keys import PASSWORD_VARIABLE
from tabsynth.cli.output import AddCommand, print_result, report_unmet, say

RELEASE = f"""\
examples:
  tabsynth keys --private release.pem --public release.pub
  tabsynth release synthetic.parquet --model m.tabsynth --evaluation report.json --audit audit.json \\
      --name patients-2026 --license CC-BY-4.0 --publisher "Data office" --key release.pem --output patients.zip
  tabsynth release synthetic.parquet ... --recipient age1... --output patients.zip.age

The release holds the data (Parquet, CSV), a data contract, the public part of evaluation and audit, the privacy
statement, cards, software versions, a manifest and its signature. It is refused (exit code 3, nothing is written or
replaced) unless evaluation, audit and ledger pass their gates, or a waiver names the gate, who waived it, why and until
when. {PASSWORD_VARIABLE} is the password of the key, if it has one.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    release = command("release", "Build a signed release of a synthetic table.", RELEASE)
    release.add_argument(
        "file", metavar="SYNTHETIC", help="the synthetic table: CSV, Parquet or Excel; or a folder of linked tables"
    )
    release.add_argument("--output", "-o", required=True, metavar="PATH", help="a folder, NAME.zip or NAME.zip.age")
    release.add_argument("--key", required=True, metavar="FILE", help="the private key that signs (tabsynth keys)")
    release.add_argument(
        "--model", metavar="MODEL", help="the model that sampled the table (for its schema, ledger and card)"
    )
    release.add_argument("--schema", metavar="FILE", help="schema file (default: the model's)")
    release.add_argument("--evaluation", metavar="FILE", help="report of tabsynth evaluate, as JSON")
    release.add_argument("--audit", metavar="FILE", help="report of tabsynth audit, as JSON")
    release.add_argument(
        "--ledger", metavar="FILE", help="the data set's ledger, which must contain the model's charges"
    )
    release.add_argument(
        "--gates", default="default", metavar="FILE", help="gates of the evaluation (default: built in)"
    )
    release.add_argument("--waivers", metavar="FILE", help="YAML list of waivers: gate, who, why, until")
    release.add_argument("--recipient", action="append", default=[], metavar="KEY", help="encrypt to an age or SSH key")
    about = release.add_argument_group("description")
    about.add_argument("--name", required=True, help="short name, such as patients-2026")
    about.add_argument("--title", help="title for readers")
    about.add_argument("--description", help="description: content, intended use and limits of the table")
    about.add_argument("--license", help="name or address of the licence")
    about.add_argument("--publisher", help="person or organisation that is responsible for the release")
    about.add_argument("--version", dest="release_version", help="version of the release (default: 1.0.0)")
    about.add_argument("--date", help="day of the release (default: today, UTC); no other time enters the release")
    about.add_argument("--url", help="web address of the release")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.atomic_files import check_outputs
    from tabsynth.common.yaml_files import read_yaml
    from tabsynth.data.database.folders import holds_linked_tables
    from tabsynth.errors import InputError
    from tabsynth.release.build import build
    from tabsynth.release.gates import GateError
    from tabsynth.schema.database.database_schema import DatabaseSchema
    from tabsynth.schema.schema import Schema

    kind: type[Schema | DatabaseSchema] = DatabaseSchema if holds_linked_tables(args.file) else Schema
    check_outputs([args.output], [args.file, args.key, args.model, args.evaluation, args.audit, args.ledger])
    waivers = read_yaml(args.waivers, "waivers") if args.waivers else []
    if not isinstance(waivers, list):
        raise InputError(f"{args.waivers}: write a list of waivers, each with gate, who, why and until")
    about = {key: getattr(args, key) for key in ("name", "title", "description", "license", "publisher", "date", "url")}
    try:
        release = build(
            args.output,
            args.file,
            about={**about, "version": args.release_version},
            key=args.key,
            password=os.environ.get(PASSWORD_VARIABLE),
            model=args.model,
            schema=kind.from_json(args.schema) if args.schema else None,
            evaluation=args.evaluation,
            audit=args.audit,
            ledger=args.ledger,
            gates=args.gates,
            waivers=waivers,
            recipients=args.recipient,
        )
    except GateError as error:
        code = report_unmet(error.unmet)
        entry = f"{{gate: {error.unmet[0].partition(':')[0]}, who: ..., why: ..., until: DATE}}"
        say(f"missed gates can be waived: --waivers FILE with a list of entries such as {entry}")
        return code
    waived = sum(gate.waiver is not None for gate in release.gates)
    text = f"wrote {release.path}: {len(release.files)} files, {len(release.gates)} gates, {waived} of them waived"
    return print_result(release.to_dict(), text)
