"""``evaluate`` on folders: measure a synthetic database."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence

from tabsynth.cli.output import print_result, report_unmet, save_report
from tabsynth.cli.reading import read_options


def evaluate_folders(
    args: Namespace, require: Mapping[str, float], outputs: Sequence[str], progress: Callable[[str, float], None] | None
) -> int:
    """Compare a folder of synthetic tables with the folder of real ones.

    Args:
        args: The arguments of ``evaluate``.
        require: Limits by score.
        outputs: The reports to write.
        progress: Called with stages.
    """
    from tabsynth.data.database.folders import read_folder
    from tabsynth.errors import DataError, InputError, warn_caller
    from tabsynth.evaluation.gates import unmet_requirements
    from tabsynth.evaluation.relational.encoded_database import relax_database
    from tabsynth.evaluation.relational.evaluate_database import evaluate_database
    from tabsynth.schema.database.database_schema import DatabaseSchema

    for option, value in (("--target", args.target), ("--also", args.also), ("--gates", args.gates)):
        if value:
            raise InputError(f"{option} is for one table, not for folders of tables; leave it out")
    schema = DatabaseSchema.from_json(args.schema) if args.schema else None
    try:
        train, schema = read_folder(args.train, schema, read_options(args))
    except DataError as error:
        if schema is None:
            raise
        train, _ = read_folder(args.train, relax_database(schema), read_options(args))
        warn_caller(f"{error}. The rows are compared as they are (a private fit replaces such values)")
    loose = relax_database(schema)
    synthetic, _ = read_folder(args.synthetic, loose)
    holdout = read_folder(args.holdout, loose, read_options(args))[0] if args.holdout else None
    report = evaluate_database(
        train,
        synthetic,
        holdout,
        schema=schema,
        seed=args.seed,
        quick=args.quick,
        sdmetrics=args.sdmetrics,
        progress=progress,
    )
    unmet = unmet_requirements(report, require)
    written = save_report(report, outputs, unmet)
    files = {"report": written.get(args.output, args.output), "json": written.get(args.json, args.json)}
    short = {"files": files, "verdict": report.verdict}
    short |= {"scores": {name: score.value for name, score in report.scores.items()}, "unmet": list(unmet)}
    print_result(report.to_dict(), str(report), force_json=args.json == "-", summary=short if outputs else None)
    return report_unmet(unmet)
