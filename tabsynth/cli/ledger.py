"""The command ``ledger``: verify a data set's privacy ledger."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from tabsynth.cli.output import AddCommand, failed, show

LEDGER = """\
examples:
  tabsynth ledger verify patients.ledger                                the chain of its records, and what is spent
  tabsynth ledger verify patients.ledger --models a.tabsynth b.tabsynth

Every model keeps the hash and the number of records that the data set's ledger had when it was fitted. A ledger that
was rolled back, or deleted and made anew, no longer begins with them: exit code 3.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    ledger = command(
        "ledger", "Verify the privacy ledger of a data set, and that it holds its models' charges.", LEDGER
    )
    ledger.add_argument("action", choices=["verify"], help="what to do")
    ledger.add_argument("file", metavar="LEDGER", help="the ledger's file")
    ledger.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="model files fitted under it")


def run(args: Namespace) -> int:
    """Verify a data set's privacy ledger; the exit code is 3 where it does not hold what a model says."""
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
    show(data, f"{str(ledger).splitlines()[0]}\nrecords: {records}, tip {tip}; models verified: {len(args.models)}")
    return failed(faults)
