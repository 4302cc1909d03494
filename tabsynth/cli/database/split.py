"""``split`` on a folder: hold out root rows with all rows below them."""

from __future__ import annotations

from argparse import Namespace

from tabsynth.cli.output import print_result
from tabsynth.cli.reading import read_options


def split_folder(args: Namespace) -> int:
    """Split a folder of linked tables into two, Parquet or CSV as the first file of the folder.

    Args:
        args: The arguments of ``split``.
    """
    from tabsynth.data.database.folders import check_folder_output, read_folder, table_files, write_folder
    from tabsynth.data.database.root_rows import split_by_root
    from tabsynth.errors import InputError
    from tabsynth.schema.database.database_schema import DatabaseSchema

    if args.target:
        raise InputError("--target is for one table, not for a folder of tables; leave it out")
    schema = DatabaseSchema.from_json(args.schema) if args.schema else None
    files = table_files(args.file)
    suffix = "csv" if next(iter(files.values())).name.lower().endswith((".csv", ".csv.gz")) else "parquet"
    for folder in (args.train, args.holdout):
        check_folder_output(folder, tuple(files), suffix)
    tables, schema = read_folder(args.file, schema, read_options(args))
    train, holdout = split_by_root(tables, schema, args.share, seed=args.seed)
    write_folder(train, args.train, schema, suffix)
    write_folder(holdout, args.holdout, schema, suffix)
    rows = {side: {n: len(frame) for n, frame in own.items()} for side, own in (("train", train), ("holdout", holdout))}
    root = schema.roots[0] if len(schema.roots) == 1 else None
    count = "the rows" if root is None else f"{len(train[root]):,} and {len(holdout[root]):,} rows of {root!r}"
    text = f"wrote {count}, each with all rows below it, to {args.train} and {args.holdout}"
    return print_result({"train": args.train, "holdout": args.holdout, "rows": rows, "seed": args.seed}, text)
