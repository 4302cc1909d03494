"""The command ``ledger``: create, show or verify a data set's privacy ledger."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from tabsynth.cli.output import AddCommand, print_result, report_unmet

LEDGER = """\
examples:
  tabsynth ledger create patients.ledger --epsilon 3 --delta 1e-6 --unit mrn     the budget of all private reads
  tabsynth ledger show patients.ledger                                  every charge, and what is left
  tabsynth ledger verify patients.ledger                                verify the hash chain, show the spent budget
  tabsynth ledger verify patients.ledger --models a.tabsynth b.tabsynth

Every model stores the length and hash of the ledger at the time of its fit. 'verify --models' exits with code 3 if the
ledger does not begin with these charges, because it was rolled back or recreated.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    ledger = command("ledger", "Create, show or verify a data set's privacy ledger.", LEDGER)
    ledger.add_argument("action", choices=["create", "show", "verify"], help="what to do")
    ledger.add_argument("file", metavar="LEDGER", help="the ledger's file")
    ledger.add_argument("--epsilon", type=float, metavar="E", help="create: budget of all private reads together")
    ledger.add_argument("--delta", type=float, metavar="D", help="create: its delta (default: 1e-6)")
    ledger.add_argument(
        "--unit", metavar="COLUMN", help="create: column that identifies persons (default: each row is protected)"
    )
    ledger.add_argument(
        "--models", nargs="+", default=[], metavar="MODEL", help="model files that were fitted with this ledger"
    )


def run(args: Namespace) -> int:
    """Run the command."""
    from tabsynth.common.model_file import load
    from tabsynth.errors import PrivacyError
    from tabsynth.privacy.accounting.ledger import PrivacyLedger
    from tabsynth.privacy.accounting.ledger_format import check_contains_model

    if args.action == "create":
        return _create(args)
    ledger = PrivacyLedger.open(args.file)
    if args.action == "show":
        budget = {"epsilon": ledger.epsilon_budget, "spent": ledger.epsilon(), "delta": ledger.delta}
        return print_result(ledger.to_dict() | {"ledger": args.file, "budget": budget}, str(ledger))
    faults: list[str] = []
    for path in args.models:
        held = load(path).config.get("ledger")
        try:
            if not held:
                raise PrivacyError(f"the model {path!r} was fitted without privacy, so it has no ledger")
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


def _create(args: Namespace) -> int:
    """Create a ledger with a budget."""
    from pathlib import Path

    from tabsynth.common.atomic_files import check_writable
    from tabsynth.errors import InputError
    from tabsynth.privacy.accounting.ledger import PrivacyLedger

    if args.epsilon is None:
        raise InputError("a ledger is created with its budget: give --epsilon")
    if Path(args.file).exists():
        raise InputError(f"{args.file!r} exists already; a ledger is never replaced; choose another name")
    check_writable(args.file)
    delta, unit = 1e-6 if args.delta is None else args.delta, args.unit or "row"
    ledger = PrivacyLedger(args.epsilon, delta, unit=unit, path=args.file)
    data = {"ledger": args.file, "epsilon": ledger.epsilon_budget, "delta": ledger.delta, "unit": unit}
    return print_result(data, f"wrote {args.file}: {ledger.epsilon_budget:g} of epsilon at delta {delta:g}, by {unit}")
