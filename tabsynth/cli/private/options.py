"""Options of a privacy budget, and the table that it protects."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import TYPE_CHECKING

from tabsynth.cli.output import positive_integer
from tabsynth.cli.reading import read_options

if TYPE_CHECKING:
    import pandas as pd

    from tabsynth.privacy.budget import Privacy
    from tabsynth.schema.schema import Schema


def add_privacy_options(command: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the options of ``Privacy`` to a command."""
    group = command.add_argument_group("differential privacy", "needs a declared schema (--schema)")
    group.add_argument(
        "--epsilon",
        type=float,
        required=required,
        metavar="E",
        help="privacy budget: the maximum epsilon of this command",
    )
    group.add_argument("--delta", type=float, metavar="D", help="delta of the budget (default: at most 1e-6)")
    group.add_argument(
        "--unit",
        metavar="COLUMN",
        help="column that identifies persons, who are protected (default: each row is protected)",
    )
    group.add_argument(
        "--rows-per-person", type=positive_integer, metavar="K", help="maximum number of rows of a person that are used"
    )
    group.add_argument(
        "--ledger",
        required=required,
        metavar="FILE",
        help="ledger of the data set, to which all private reads are charged",
    )
    group.add_argument("--n-public", type=positive_integer, metavar="N", help="approximate row count, if it is public")


def privacy_of(args: Namespace) -> Privacy | None:
    """Return the budget of the arguments, None without ``--epsilon``.

    Raises:
        InputError: Other options of a budget without ``--epsilon``.
        PrivacyError: A value is not allowed.
    """
    from tabsynth.errors import InputError
    from tabsynth.privacy.budget import Privacy

    others = {"delta": args.delta, "unit": args.unit, "rows_per_person": args.rows_per_person}
    others |= {"ledger": args.ledger, "n_public": args.n_public}
    given = {name: value for name, value in others.items() if value is not None}
    if args.epsilon is None:
        if given:
            name = next(iter(given)).replace("_", "-")
            raise InputError(f"--{name} is an option of a private fit: give --epsilon as well")
        return None
    return Privacy(epsilon=args.epsilon, **given)


def read_rows(args: Namespace, schema: Schema) -> pd.DataFrame:
    """Return the rows of a file, read so that no message depends on a cell, or those of another source.

    Raises:
        InputError: A file with options of reading, which the private reader does not have.
    """
    from pathlib import Path

    from tabsynth.data.private_files import read_private
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.errors import InputError
    from tabsynth.evaluation.inputs import relax_schema

    options = read_options(args)
    if Path(args.file).is_file():
        if options:
            raise InputError(f"a file under privacy is read without options; leave out --{next(iter(options))}")
        return read_private(Path(args.file), schema)
    # A private read clamps what the schema does not allow.
    return open_table(args.file, relax_schema(schema), options).frame
