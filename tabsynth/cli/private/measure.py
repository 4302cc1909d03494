"""The command ``measure``: measure the open facts of a schema under differential privacy."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import AddCommand, print_result
from tabsynth.cli.private.options import add_privacy_options, privacy_of, read_rows
from tabsynth.cli.reading import add_read_options

MEASURE = """\
examples:
  tabsynth ledger create patients.ledger --epsilon 1.5 --delta 1e-6
  tabsynth measure patients.csv --schema open.yaml --epsilon 0.4 --delta 4e-7 --ledger patients.ledger -o known.json
  tabsynth fit patients.csv --schema known.json --epsilon 1 --delta 6e-7 --ledger patients.ledger -o m.tabsynth

Numbers and dates without bounds, and categories without values, are measured and charged to the ledger. A later fit
with the schema counts the charges too.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    measure = command("measure", "Measure bounds and categories of a schema under differential privacy.", MEASURE)
    measure.add_argument("file", metavar="FILE", help="CSV, Parquet or Excel file, a database's URL, or sklearn:NAME")
    measure.add_argument(
        "--schema", required=True, metavar="FILE", help="declared schema; missing bounds and values are measured"
    )
    measure.add_argument("--output", "-o", required=True, metavar="FILE", help="the schema file to write")
    add_privacy_options(measure, required=True)
    add_read_options(measure)


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.privacy.domains import measure
    from tabsynth.schema.schema import Schema

    check_outputs([args.output], [args.file, args.schema, args.ledger])
    check_writable(args.output)
    privacy, schema = privacy_of(args), Schema.from_json(args.schema)
    assert privacy is not None
    measured = measure(read_rows(args, schema), schema, privacy)
    measured.to_json(args.output)
    names = [name for name, column in measured.items() if column.origin == "measured"]
    data = {"schema": args.output, "measured": names, "epsilon": privacy.epsilon, "ledger": args.ledger}
    return print_result(data, f"wrote {args.output}: {len(names)} columns measured")
