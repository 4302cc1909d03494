"""The command ``ledger``: verify a data set's privacy ledger."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from tabsynth.cli.output import AddCommand, print_result, report_unmet

LEDGER = """\
examples:
  tabsynth ledger verify patients.ledger                                verify the hash chain, show the spent budget
  tabsynth ledger verify patients.ledger --models a.tabsynth b.tabsynth

Every model stores the hash and length of the ledger at its fit. A ledger that was rolled back or recreated does not
start with them: exit code 3.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    ledger = command("ledger", "Verify a data set's privacy ledger, and that it contains its models' charges.", LEDGER)
    ledger.add_argument("action", choices=["verify"], help="what to do")
    ledger.add_argument("file", metavar="LEDGER", help="the ledger's file")
    ledger.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="model files fitted under it")


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.model_file import load
    from tabsynth.errors import PrivacyError
    from tabsynth.privacy.accounting.ledger import PrivacyLedger
    from tabsynth.privacy.accounting.ledger_format import check_contains_model

    ledger = PrivacyLedger.open(args.file)
    faults: list[str] = []
    for path in args.models:
        held = load(path).config.get("ledger")
        try:
            if not held:
                raise PrivacyError(f"the model {path!r} was fitted without privacy")
            check_contains_model(ledger, PrivacyLedger.from_dict(held), f"the model {path!r}")
        except PrivacyError as error:
            faults.append(str(error))
    tip, records = ledger.tip
    data: dict[str, Any] = {"ledger": args.file, "tip": tip, "records": records, "charges": len(ledger)}
    data |= {"epsilon": ledger.epsilon(), "delta": ledger.delta, "models": list(args.models), "faults": faults}
    print_result(
        data, f"{str(ledger).splitlines()[0]}\nrecords: {records}, tip {tip}; models verified: {len(args.models)}"
    )
    return report_unmet(faults)
