"""``fit`` on a folder: fit a model of linked tables."""

from __future__ import annotations

import inspect
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from tabsynth.cli.output import print_result, say
from tabsynth.cli.reading import read_options


def fit_folder(args: Namespace, options: Mapping[str, Any]) -> int:
    """Fit a RelationalSynthesizer to the tables of a folder and save it.

    Args:
        args: The arguments of ``fit``.
        options: The model's options.
    """
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.data.database.folders import read_folder, table_files
    from tabsynth.errors import InputError, quote
    from tabsynth.schema.database.database_schema import DatabaseSchema
    from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

    if args.model not in (None, "relational"):
        raise InputError(f"{args.file!r} is a folder of tables, which --model relational fits, not {args.model!r}")
    if args.checkpoint:
        raise InputError("a fit of linked tables writes no checkpoint; leave out --checkpoint")
    known = inspect.signature(RelationalSynthesizer).parameters
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"a model of linked tables has no option {quote(unknown)}; it has {quote(known)}")
    check_outputs([args.output], [*table_files(args.file).values(), args.schema])
    check_writable(args.output)
    model = RelationalSynthesizer(**options)
    schema = DatabaseSchema.from_json(args.schema) if args.schema else None
    tables, schema = read_folder(args.file, schema, read_options(args))
    for name, question in schema.questions.items():
        say(f"{name}: {question}")
    rows = ", ".join(f"{name} ({len(tables[name]):,})" for name in schema.sorted_tables)
    say(f"fitting relational to {len(tables)} tables: {rows}")
    model.fit(tables, schema=schema, seed=args.seed)
    model.save(args.output)
    data = {"model": args.output, "kind": "relational", "rows": model.rows_, "seed": model.seed_}
    return print_result(data, f"wrote {args.output}")
