"""The command ``fit``: fit a model and save it."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.cli.database.fit import fit_folder
from tabsynth.cli.output import (
    DONE,
    LOG,
    AddCommand,
    non_negative_integer,
    parse_pair,
    positive_integer,
    print_result,
    say,
)
from tabsynth.cli.private.fit import fit_private
from tabsynth.cli.private.options import add_privacy_options, privacy_of
from tabsynth.cli.reading import add_read_options, read_options

if TYPE_CHECKING:
    from tabsynth.data.table import Table
    from tabsynth.schema.schema import Schema
    from tabsynth.synthesizers.base import Synthesizer

FIT = """\
examples:
  tabsynth fit patients.csv --output m.tabsynth
  tabsynth fit patients.parquet --schema schema.json --seed 0 --output m.tabsynth
  tabsynth fit patients.csv --model ctgan --epochs 300 --option batch_size=200 --output m.tabsynth
  tabsynth fit 'visits/*.parquet' --out-of-core --output m.tabsynth
  tabsynth fit clinic/ --schema clinic.yaml --output m.tabsynth        a folder of linked tables
  tabsynth fit patients.csv --schema declared.yaml --epsilon 1 --delta 1e-6 --unit mrn --rows-per-person 5 \\
      --ledger patients.ledger --output m.tabsynth                     under differential privacy

A long fit writes a checkpoint (m.tabsynth.checkpoint). After an interruption, the same command resumes from it; the
checkpoint is removed when the fit ends.
"""


def add_arguments(command: AddCommand) -> None:
    """Add the command to the parser."""
    fit = command("fit", "Fit a model to a table and save it.", FIT)
    fit.add_argument(
        "file", metavar="FILE", help="CSV, Parquet or Excel file, a database's URL, sklearn:NAME, or a folder of tables"
    )
    fit.add_argument("--output", "-o", required=True, metavar="MODEL", help="the model file to write")
    fit.add_argument(
        "--model",
        metavar="KIND",
        help="kind of synthesizer (default: masked; relational for a folder; marginal with --epsilon)",
    )
    fit.add_argument("--schema", metavar="FILE", help="schema file (default: inferred)")
    fit.add_argument(
        "--seed", type=non_negative_integer, metavar="N", help="seed of the fit (default: 0; a private fit has none)"
    )
    fit.add_argument(
        "--epochs", type=positive_integer, metavar="N", help="passes over the table (default: chosen by the model)"
    )
    fit.add_argument(
        "--min-group",
        type=positive_integer,
        metavar="N",
        help="do not release values that fewer rows have (default: 5)",
    )
    fit.add_argument(
        "--max-rows", type=positive_integer, metavar="N", help="train on a random sample of a large file's rows"
    )
    fit.add_argument(
        "--out-of-core", action="store_true", help="train on all rows of a table larger than memory (masked model)"
    )
    fit.add_argument("--device", metavar="NAME", help="device of the network: auto, cpu, cuda, ...")
    fit.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="set another option of the model"
    )
    fit.add_argument("--checkpoint", metavar="FILE", help="checkpoint file (default: MODEL.checkpoint)")
    fit.add_argument("--no-checkpoint", action="store_true", help="write no checkpoint")
    add_privacy_options(fit)
    add_read_options(fit)


def run(args: Namespace) -> int:
    """Run the command; under torchrun, in all processes together."""
    from tabsynth.common.data_parallel import process_group

    with process_group() as rank:
        LOG.quiet |= rank > 0
        return _run(args, first=not rank)


def _run(args: Namespace, *, first: bool) -> int:
    """Fit; the first of several processes saves the model and prints the result."""
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.data.database.folders import holds_linked_tables
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.errors import InputError
    from tabsynth.pipeline.outputs import checkpoint_path
    from tabsynth.schema.schema import Schema
    from tabsynth.synthesizers.registry import create_on_device, supports_checkpoints

    options = {"epochs": args.epochs, "min_group": args.min_group, "device": args.device}
    options = {name: value for name, value in options.items() if value is not None}
    for text in args.option:
        name, value = parse_pair(text, "--option")
        options[name] = _parse_option(value)
    if args.checkpoint and args.no_checkpoint:
        raise InputError("--checkpoint and --no-checkpoint exclude each other; give one")
    if (privacy := privacy_of(args)) is not None:
        return fit_private(args, options, privacy, first=first)
    args.seed = args.seed or 0
    if args.max_rows is not None and (Path(args.file).is_dir() or read_options(args)):
        raise InputError("--max-rows is for one CSV or Parquet file that is read without further options")
    if args.out_of_core and (args.max_rows is not None or read_options(args)):
        raise InputError("--out-of-core is for one table that is read whole, without further options; give it alone")
    if not args.out_of_core and holds_linked_tables(args.file):
        return fit_folder(args, options)
    kind = args.model or "masked"
    model = create_on_device(kind, options)
    checkpoint = Path(args.checkpoint) if args.checkpoint else None
    if checkpoint is None and not args.no_checkpoint and supports_checkpoints(model):
        checkpoint = checkpoint_path(args.output)
    check_outputs([args.output, checkpoint], [args.file, args.schema])
    check_writable(args.output)
    if checkpoint:
        check_writable(checkpoint)
    schema = Schema.from_json(args.schema) if args.schema else None
    if args.out_of_core:
        return _fit_out_of_core(args, model, schema, checkpoint, first=first)
    if args.max_rows is None:
        table = open_table(args.file, schema, read_options(args))
        total = len(table)
    else:
        table, total = _open_sample(args, schema)
    for name, question in (Schema({}) if args.schema else table.schema).questions.items():
        say(f"column {name!r}: {question}")
    if total > len(table):
        say(f"training on a random sample of {len(table):,} of {total:,} rows")
    say(f"fitting {kind} to {len(table):,} rows of {len(table.schema)} columns")
    try:
        model.fit(table, seed=args.seed, checkpoint=checkpoint, progress=None if first else False)
    except KeyboardInterrupt:
        _say_where(checkpoint)
        raise
    model.source_rows_ = total if total > len(table) else None
    return _finish(args, model, {} if model.source_rows_ is None else {"source_rows": model.source_rows_}, first=first)


def _fit_out_of_core(
    args: Namespace, model: Synthesizer, schema: Schema | None, checkpoint: Path | None, *, first: bool
) -> int:
    """Fit to all rows of a table that is not read into memory."""
    from tabsynth.distributed import fit_out_of_core

    say(f"fitting {model.kind} to all rows of {args.file}")
    try:
        progress = None if first else False
        fit_out_of_core(model, args.file, schema=schema, seed=args.seed, checkpoint=checkpoint, progress=progress)
    except KeyboardInterrupt:
        _say_where(checkpoint)
        raise
    rule = model.card().get("training_rows")
    for name, question in ({} if args.schema else model.schema_.questions).items():
        say(f"column {name!r}: {question}")
    say(f"trained on {rule or f'all {model.rows_} rows, in memory'}")
    return _finish(args, model, {"training_rows": rule} if rule else {}, first=first)


def _finish(args: Namespace, model: Synthesizer, facts: dict[str, Any], *, first: bool) -> int:
    """Save the model and print the result."""
    if not first:
        return DONE
    model.save(args.output)
    data = {"model": args.output, "kind": model.kind, "rows": model.rows_, "seed": model.seed_}
    return print_result(data | facts, f"wrote {args.output}")


def _say_where(checkpoint: Path | None) -> None:
    """Name the checkpoint, or the files of finished stages beside it, if there are any."""
    if checkpoint and any(path.name.startswith(checkpoint.name) for path in checkpoint.absolute().parent.iterdir()):
        say(f"checkpoint kept in {checkpoint}; run the same command to resume")


def _open_sample(args: Namespace, schema: Schema | None) -> tuple[Table, int]:
    """Return a random sample of a file's rows, and the number of its rows."""
    from tabsynth.distributed.fitting import sample_table

    return sample_table(args.file, args.max_rows, schema=schema, seed=args.seed)


def _parse_option(text: str) -> Any:
    """Parse an option's value as JSON, else keep the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
