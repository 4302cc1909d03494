"""The command ``audit``: attack a synthetic table, ours or anybody's, and say what it gives away."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tabsynth.common.atomic_files import check_writable
from tabsynth.echo import failed, number, pair, say, show, stages
from tabsynth.errors import InputError, listed
from tabsynth.schema.schema import Schema

if TYPE_CHECKING:
    from tabsynth.privacy.audit.report import AuditReport


def audit(args: Namespace) -> int:
    """Attack a synthetic table; the exit code is 3 on a violation and where a gate is missed."""
    from tabsynth.data.sample_datasets import is_shipped, open_table
    from tabsynth.pipeline.outputs import check_report
    from tabsynth.privacy.audit.audit import audit as attack
    from tabsynth.privacy.budget import Privacy

    limits = dict(pair(text, "--gates") for text in args.gates)
    wanted = limits.pop("verdict", None)
    if wanted not in (None, "consistent"):
        raise InputError(f"--gates verdict={wanted}: the only verdict to ask for is consistent")
    gates = {name: number(value, "--gates") for name, value in limits.items()}
    if args.delta is not None and args.epsilon is None:
        raise InputError("--delta belongs to a claim: give --epsilon too")
    outputs = [path for path in (args.output, args.json) if path and path != "-"]
    for path in outputs:
        check_report(path)
    if args.internal:
        check_writable(args.internal)
        if "internal" not in args.internal.lower():
            raise InputError(f"--internal {args.internal}: the name must hold the word 'internal', it lists records")
    schema = Schema.from_json(args.schema) if args.schema else None
    privacy = None if args.epsilon is None else Privacy(epsilon=args.epsilon, delta=args.delta)
    train, synthetic, holdout = (
        open_table(name) if name and is_shipped(name) else name for name in (args.train, args.synthetic, args.holdout)
    )
    report = attack(train, synthetic, holdout, schema=schema, privacy=privacy, seed=args.seed, progress=stages())
    for path in outputs:
        report.save(path)
        say(f"wrote {path}")
    if args.internal:
        report.save_internal(args.internal)
        say(f"wrote {args.internal}: it names single records, keep it inside")
    show(report.to_dict(), str(report), force_json=args.json == "-")
    amiss = wanted is not None and report.verdict != "CONSISTENT, powered"
    return failed([*([report.headline] if amiss or report.verdict == "VIOLATION" else []), *_over(report, gates)])


def _over(report: AuditReport, gates: Mapping[str, float]) -> list[str]:
    """The scores above their gates, in words."""
    from tabsynth.reporting.number_format import figure

    unknown = [name for name in gates if name not in report.scores]
    if unknown:
        raise InputError(f"--gates: no score {listed(unknown)}; the report has {listed(report.scores, 40)}")
    held = [(report.scores[name], limit) for name, limit in gates.items()]
    return [
        f"{score.name} is {figure(score.value, score.unit)}, at most {figure(limit, score.unit)} is allowed"
        for score, limit in held
        if score.value > limit
    ]
