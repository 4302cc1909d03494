"""What each command of the command line does: ``tabsynth.cli`` parses, these call and print."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tabsynth.auditing import audit as audit
from tabsynth.canarying import canaries as canaries
from tabsynth.common.atomic_files import check_writable, write_text
from tabsynth.echo import DONE, failed, number, pair, say, show
from tabsynth.errors import ConditionError, InputError, listed
from tabsynth.judging import evaluate as evaluate
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Numeric
from tabsynth.schema.schema import Schema


def inspect(args: Namespace) -> int:
    """Say what each column is, why, and what a person should decide. Only people see values of the table."""
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.schema.inference import describe

    if args.schema:
        check_writable(args.schema)
    table = open_table(args.file)
    schema = table.schema
    if args.schema:
        schema.to_json(args.schema)
        say(f"wrote {args.schema}: edit it and give it to fit with --schema")
    described = describe(schema, table.frame)
    rows = [
        [r["column"], r["kind"], _facts(schema[r["column"]]), ", ".join(r["examples"]), r["because"]] for r in described
    ]
    text = f"{args.file}: {len(table):,} rows, {len(schema)} columns\n\n"
    text += aligned(["column", "kind", "facts", "frequent values", "why"], rows)
    if schema.questions:
        text += "\n\nto decide (edit the schema that --schema writes):\n"
        text += "\n".join(f"  {name}: {question}" for name, question in schema.questions.items())
    data = {"file": args.file, "rows": len(table), "schema": schema.to_dict(), "questions": schema.questions}
    return show(data, text, force_json=args.json)


def fit(args: Namespace) -> int:
    """Learn a table and write a model file."""
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.pipeline.outputs import checkpoint_of
    from tabsynth.synthesizers.registry import make, resumable

    options = {"epochs": args.epochs, "min_group": args.min_group, "device": args.device}
    options = {name: value for name, value in options.items() if value is not None}
    for text in args.option:
        name, value = pair(text, "--option")
        options[name] = _plain(value)
    if args.checkpoint and args.no_checkpoint:
        raise InputError("--checkpoint and --no-checkpoint exclude each other; give one")
    model = make(args.model, options)
    checkpoint = Path(args.checkpoint) if args.checkpoint else None
    if checkpoint is None and not args.no_checkpoint and resumable(model):
        checkpoint = checkpoint_of(args.output)
    check_writable(args.output)
    if checkpoint:
        check_writable(checkpoint)
    table = open_table(args.file, Schema.from_json(args.schema) if args.schema else None)
    for name, question in table.schema.questions.items():
        say(f"column {name!r}: {question}")
    say(f"fitting {args.model} to {len(table):,} rows of {len(table.schema)} columns")
    try:
        model.fit(table, seed=args.seed, checkpoint=checkpoint)
    except KeyboardInterrupt:
        if checkpoint and checkpoint.exists():
            say(f"the state is kept in {checkpoint}; the same command goes on from there")
        raise
    model.save(args.output)
    data = {"model": args.output, "kind": args.model, "rows": len(table), "seed": model.seed_}
    return show(data, f"wrote {args.output}")


def sample(args: Namespace) -> int:
    """Draw rows from a model file."""
    from tabsynth.common.validation import fresh_seed
    from tabsynth.pipeline.outputs import check_table_output, write_sample
    from tabsynth.synthesizers.registry import known_values, load

    check_table_output(args.output)
    model = load(args.model)
    given = parse_given(args.given, model.schema_, known_values(model))
    rows = model.rows_ if args.rows is None else args.rows
    seed = fresh_seed() if args.seed is None else args.seed
    write_sample(model, args.output, rows, given=given, seed=seed)
    return show({"output": args.output, "rows": rows, "seed": seed}, f"wrote {rows:,} rows to {args.output}")


def tune(args: Namespace) -> int:
    """Search a model's options."""
    from tabsynth.data.sample_datasets import open_table
    from tabsynth.tune import tune as search

    check_writable(args.output)
    table = open_table(args.file, Schema.from_json(args.schema) if args.schema else None)
    chosen = {name: getattr(args, name) for name in ("trials", "objective", "holdout", "target", "seed")}
    found = search(table, args.model, **chosen, say=say)
    found.save(args.output)
    data = {"output": args.output, "kind": args.model, "options": dict(found.options), "objective": args.objective}
    data |= {"confirmed": found.confirmed.value, "default": found.default.value}
    return show(data, f"{found}\nwrote {args.output}")


def plan_privacy(args: Namespace) -> int:
    """Say what each epsilon would cost in quality, before anything is spent."""
    from tabsynth.budget_planning.report import HEAD, about, drawing, page, rows_of
    from tabsynth.budget_planning.simulation import from_cardinalities
    from tabsynth.budget_planning.simulation import plan_privacy as simulate

    if args.output:
        if not args.output.endswith((".html", ".svg")):
            raise InputError(f"--output {args.output}: the plan is written as .html or .svg")
        check_writable(args.output)
    sizes = [int(number(text, "--cardinalities")) for text in (args.cardinalities or "").split(",") if text]
    schema = Schema.from_json(args.schema) if args.schema else from_cardinalities(sizes)
    plan = simulate(
        schema,
        args.rows,
        epsilons=[number(text, "--epsilons") for text in args.epsilons.split(",")],
        delta=args.delta,
        mechanisms=args.mechanisms.split(","),
        rules=args.rules,
        rows_per_person=args.rows_per_person,
        seed=args.seed,
    )
    if args.output:
        write_text(args.output, page(plan) if args.output.endswith(".html") else drawing(plan))
    return show(plan.to_dict(), f"{about(plan)}\n\n{aligned(HEAD, rows_of(plan))}")


def run(args: Namespace) -> int:
    """Run a pipeline file."""
    from tabsynth.pipeline.config import EXAMPLE
    from tabsynth.pipeline.run import run as run_pipeline

    if args.example:
        print(EXAMPLE, end="")
        return DONE
    if args.file is None:
        raise InputError("give a pipeline file, or --example to see one")
    result = run_pipeline(args.file, say=say)
    show(result.to_dict(), result.summary)
    return failed(result.unmet)


def parse_given(
    conditions: Iterable[str], schema: Schema, known: Mapping[str, Sequence[Any]] | None = None
) -> dict[str, Any] | None:
    """The conditions of a command line as ``sample(given=...)`` wants them.

    Args:
        conditions: ``COLUMN=VALUE``, ``COLUMN=LOW:HIGH`` (numbers and dates; an end may be left out),
            ``COLUMN=A,B`` (categories) or ``COLUMN=`` (missing).
        schema: The model's.
        known: The values that the model knows, by column, where the schema does not hold them.

    Raises:
        ConditionError: No ``COLUMN=VALUE``, an unknown column, or a value that its column cannot have.
    """
    given: dict[str, Any] = {}
    for text in conditions:
        places = [i for i, letter in enumerate(text) if letter == "=" and text[:i] in schema]
        if not places:
            name, sign, _ = text.partition("=")
            wrong = f"unknown column {name!r}; there are {listed(schema, 12)}" if sign else "write COLUMN=VALUE"
            raise ConditionError(f"--given {text}: {wrong}")
        name, value = text[: places[-1]], text[places[-1] + 1 :]
        if name in given:
            raise ConditionError(f"--given names column {name!r} twice; give one condition for it")
        given[name] = _condition(schema[name], value, (known or {}).get(name, ()))
    return given or None


def _condition(column: Column, text: str, known: Sequence[Any]) -> Any:
    """A condition in the type of its column."""
    if isinstance(column, (Numeric, Datetime)):
        single = partial(number, option=f"--given {column.name}") if isinstance(column, Numeric) else str
        ends = _ends(text, times=isinstance(column, Datetime))
        if ends is not None:
            return tuple(single(end) if end else None for end in ends)
        return single(text) if text else None
    if isinstance(column, Boolean) and text:
        if text.lower() not in ("true", "false"):
            raise ConditionError(f"--given {column.name}={text}: the column is boolean; give true or false")
        return text.lower() == "true"
    declared = column.values if isinstance(column, Categorical) else None
    values = {str(value): value for value in declared or known}
    if text in values or not values:
        return values.get(text, text or None)
    parts = text.split(",")
    if all(part in values for part in parts):
        return [values[part] for part in parts]
    if not text:
        return None
    raise ConditionError(f"--given {column.name}={text}: the column has the values {listed(values, 12)}")


def _ends(text: str, *, times: bool) -> tuple[str, str] | None:
    """The two ends of LOW:HIGH; None when the text is a single value."""
    if text.startswith(":") or text.endswith(":"):
        return (text[:-1], "") if text.endswith(":") else ("", text[1:])
    # Times hold colons too: the sign of a range is the middle one, and both ends are spelled alike.
    parts = text.split(":")
    low, high = ":".join(parts[: len(parts) // 2]), ":".join(parts[len(parts) // 2 :])
    alike = re.sub(r"\d+", "0", low) == re.sub(r"\d+", "0", high)
    return (low, high) if len(parts) % 2 == 0 and (alike or not times) else None


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as columns of equal width; the last column wraps at the terminal's edge."""
    table = [list(head), *([" ".join(cell.split()) for cell in row] for row in rows)]
    widths = [min(max(len(row[i]) for row in table), 30) for i in range(len(head) - 1)]
    left = sum(widths) + 2 * len(widths)
    last = max(shutil.get_terminal_size((120, 24)).columns - left, 30)
    lines = []
    for row in table:
        cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, [*widths, last], strict=True)]
        for i in range(max(map(len, cells))):
            parts = [cell[i] if i < len(cell) else "" for cell in cells]
            padded = [part.ljust(width) for part, width in zip(parts, widths, strict=False)]
            lines.append("  ".join([*padded, parts[-1]]).rstrip())
    return "\n".join(lines)


def _facts(column: Column) -> str:
    """What is known of a column beyond its kind, in a few words."""
    plain = column.to_dict()
    words: list[str] = [column.role] if column.role else []
    if isinstance(column, Categorical) and column.values is not None:
        shown = ", ".join(str(value) for value in column.values[:4])
        words.append(shown if len(column.values) <= 4 else f"{len(column.values)} values: {shown}, ...")
    if plain.get("low") is not None or plain.get("high") is not None:
        words.append(f"{plain.get('low', '')} to {plain.get('high', '')}")
    if isinstance(column, Numeric) and column.decimals is not None:
        words.append("whole numbers" if column.decimals == 0 else f"decimals: {column.decimals}")
    words += [str(plain[key]) for key in ("format", "resolution", "pattern", "pii") if plain.get(key)]
    if column.nullable:
        words.append("may be missing")
    return "; ".join(words)


def _plain(text: str) -> Any:
    """An option's value as JSON reads it, else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def ledger(args: Namespace) -> int:
    """Verify a data set's privacy ledger; the exit code is 3 where it does not hold what a model says."""
    from tabsynth.common.model_file import load
    from tabsynth.errors import PrivacyError
    from tabsynth.privacy.accounting.ledger import PrivacyLedger
    from tabsynth.privacy.accounting.ledger_format import check_holds

    ledger = PrivacyLedger.open(args.file)
    faults: list[str] = []
    for path in args.models:
        held = load(path).config.get("ledger")
        try:
            if not held:
                raise PrivacyError(f"the model {path!r} was fitted without privacy")
            check_holds(ledger, PrivacyLedger.from_dict(held), f"the model {path!r}")
        except PrivacyError as error:
            faults.append(str(error))
    tip, records = ledger.tip
    data: dict[str, Any] = {"ledger": args.file, "tip": tip, "records": records, "charges": len(ledger)}
    data |= {"epsilon": ledger.epsilon(), "delta": ledger.delta, "models": list(args.models), "faults": faults}
    show(data, f"{str(ledger).splitlines()[0]}\nrecords: {records}, tip {tip}; models verified: {len(args.models)}")
    return failed(faults)


def mix(args: Namespace) -> int:
    """Suggest, review or apply a plan that makes one table of several."""
    from tabsynth.mixing.command import run_mix

    run_mix(args)
    return DONE
