"""``fit --epsilon``: fit a model under differential privacy."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tabsynth.cli.output import print_result, say
from tabsynth.cli.private.options import read_rows

if TYPE_CHECKING:
    from tabsynth.privacy.budget import Privacy


def fit_private(args: Namespace, options: Mapping[str, Any], privacy: Privacy, *, first: bool) -> int:
    """Fit a model to a table under differential privacy and save it.

    Args:
        args: The arguments of ``fit``.
        options: The model's options.
        privacy: The budget.
        first: Whether this is the first of the processes that fit together; it charges the ledger and saves.
    """
    from tabsynth.common.atomic_files import check_outputs, check_writable
    from tabsynth.data.database.folders import holds_linked_tables
    from tabsynth.errors import InputError, PrivacyError
    from tabsynth.schema.schema import Schema
    from tabsynth.synthesizers.registry import create_on_device

    excluded = {"--seed": args.seed, "--checkpoint": args.checkpoint, "--max-rows": args.max_rows}
    excluded |= {"--min-group": args.min_group, "--out-of-core": args.out_of_core or None}
    for name, value in excluded.items():
        if value is not None:
            raise InputError(f"{name} is no option of a private fit (--epsilon); leave it out")
    if holds_linked_tables(args.file):
        raise InputError("--epsilon is for one table; a private fit of linked tables has a pipeline file or Python")
    if not args.schema:
        raise PrivacyError(
            "a private fit needs a declared schema (--schema), because an inferred one discloses facts about the data; "
            "'tabsynth inspect FILE --schema schema.yaml' writes one to edit from public knowledge"
        )
    kind = args.model or "marginal"
    model = create_on_device(kind, dict(options))
    check_outputs([args.output], [args.file, args.schema, args.ledger])
    check_writable(args.output)
    schema = Schema.from_json(args.schema)
    say(f"fitting {kind} to {len(schema)} columns with epsilon {privacy.epsilon:g}")
    model.fit(read_rows(args, schema), schema=schema, privacy=privacy, progress=None if first else False)
    if not first:
        return 0
    model.save(args.output)
    card = model.card()
    data = {"model": args.output, "kind": kind, "privacy": card["privacy"], "meaning": card["privacy_meaning"]}
    return print_result(data | {"ledger": args.ledger}, f"wrote {args.output}: {card['privacy']}")
