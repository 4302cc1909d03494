"""``audit`` on folders: attack a synthetic database, of which each person with all rows below is a record."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from tabsynth.cli.output import progress_callback
from tabsynth.cli.reading import read_options

if TYPE_CHECKING:
    from tabsynth.privacy.audit.report import AuditReport
    from tabsynth.privacy.budget import Privacy


def audit_folders(args: Namespace, privacy: Privacy | None) -> AuditReport:
    """Attack a folder of synthetic tables.

    Args:
        args: The arguments of ``audit``.
        privacy: The claimed guarantee.
    """
    from tabsynth.data.database.folders import read_folder
    from tabsynth.evaluation.relational.encoded_database import relax_database
    from tabsynth.privacy.audit.audit import audit
    from tabsynth.schema.database.database_schema import DatabaseSchema

    schema = DatabaseSchema.from_json(args.schema) if args.schema else None
    train, schema = read_folder(args.train, schema and relax_database(schema), read_options(args))
    loose = relax_database(schema)
    synthetic, _ = read_folder(args.synthetic, loose)
    holdout = read_folder(args.holdout, loose, read_options(args))[0] if args.holdout else None
    return audit(train, synthetic, holdout, schema=loose, privacy=privacy, seed=args.seed, progress=progress_callback())
