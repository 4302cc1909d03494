"""``sample`` from a model of linked tables: write a folder."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tabsynth.cli.output import print_result

if TYPE_CHECKING:
    from tabsynth.schema.database.database_schema import DatabaseSchema
    from tabsynth.schema.schema import Schema

ParseGiven = Callable[[Iterable[str], "Schema"], dict[str, Any] | None]
"""Parses the conditions of one table."""


def sample_folder(args: Namespace, parse_given: ParseGiven) -> int:
    """Sample a database into a folder.

    Args:
        args: The arguments of ``sample``.
        parse_given: Parses the conditions of one table.
    """
    from tabsynth.common.validation import random_seed
    from tabsynth.data.database.folders import check_folder_output
    from tabsynth.errors import InputError
    from tabsynth.pipeline.outputs import write_sampled_folder
    from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

    model = RelationalSynthesizer.load(args.model)
    kind = args.format or "parquet"
    if args.separator is not None:
        raise InputError("--separator is for one table; the CSV files of a folder are separated by commas")
    if args.keep_formulas and kind != "csv":
        raise InputError("--keep-formulas is for --format csv; Parquet marks no formulas")
    check_folder_output(args.output, tuple(model.schema_.tables), kind)
    given = _given_by_table(args.given, model.schema_, parse_given)
    seed = random_seed() if args.seed is None else args.seed
    rows = write_sampled_folder(
        model,
        args.output,
        args.rows,
        scale=args.scale,
        given=given,
        seed=seed,
        format=kind,
        keep_formulas=args.keep_formulas,
    )
    text = ", ".join(f"{name} ({count:,})" for name, count in rows.items())
    return print_result({"output": args.output, "rows": rows, "seed": seed}, f"wrote {args.output}: {text}")


def _given_by_table(
    conditions: Iterable[str], schema: DatabaseSchema, parse_given: ParseGiven
) -> dict[str, Mapping[str, Any]] | None:
    """Return the conditions ``TABLE.COLUMN=VALUE`` by table."""
    from tabsynth.errors import ConditionError, quote

    texts: dict[str, list[str]] = {}
    for text in conditions:
        name = max((n for n in schema.tables if text.startswith(f"{n}.")), key=len, default=None)
        if name is None:
            raise ConditionError(f"--given {text}: write TABLE.COLUMN=VALUE; the tables are {quote(schema.tables, 12)}")
        texts.setdefault(name, []).append(text[len(name) + 1 :])
    found = {name: parse_given(own, schema.tables[name]) for name, own in texts.items()}
    return {name: own for name, own in found.items() if own} or None
