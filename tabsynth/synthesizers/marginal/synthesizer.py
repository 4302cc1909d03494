"""The default synthesizer under differential privacy: a mixture of products fitted to noisy marginals.

Pairs of columns, and triples with the target, are counted with discrete Gaussian noise at several resolutions: all of
them on coarse groups, the strongest on all tokens. The model is fitted to these counts, so everything after is
post-processing. Pairs of numeric columns that are often equal are measured separately. If there are too few rows for
pairs, the whole budget goes to single columns. Without privacy the same counts are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.common.validation import check_positive_integers
from tabsynth.data.table import Table
from tabsynth.errors import InputError
from tabsynth.privacy.budget import Privacy, gaussian_rho, zcdp_rho
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.enforcement import Relations
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.imputation import impute_rows, slotwise_predictor
from tabsynth.synthesizers.marginal.budget_allocation import (
    DEFAULT_EXPECTED_ROWS,
    MIN_BINS,
    n_bins,
    n_tokens,
    one_way_share,
    products_share,
)
from tabsynth.synthesizers.marginal.count_source import CountSource, ExactCounts, NoisyCounts
from tabsynth.synthesizers.marginal.fit import (
    LearnedSlots,
    Model,
    fit_model,
    from_arrays,
    independent_model,
    to_arrays,
    token_sizes,
)
from tabsynth.synthesizers.marginal.one_way_marginals import measure_one_ways
from tabsynth.synthesizers.marginal.opendp_adapter import ALGORITHMS, check_source, require_opendp
from tabsynth.synthesizers.marginal.private_rows import CellRows, PrivateRows, public_grids
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.public_codec import public_codec, slot_counts
from tabsynth.synthesizers.marginal.public_facts.known_levels import PublicFacts
from tabsynth.synthesizers.marginal.public_facts.public_structure import PublicStructure
from tabsynth.synthesizers.marginal.public_facts.published_marginals import to_plain
from tabsynth.synthesizers.marginal.recurring_differences import measure_recurring_differences
from tabsynth.synthesizers.options import FitOptions, SampleContext
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

METHODS = ("mixture", *ALGORITHMS)


class MarginalSynthesizer(TokenSynthesizer):
    """Mixture of products fitted to noisy marginals: the default under differential privacy.

    Args:
        method: ``mixture``, or ``aim`` or ``mst`` of OpenDP (private fits only, extra ``opendp``).
        components: Components of the mixture; by default chosen from the noisy number of rows and the budget.
        min_group: Minimum persons behind each category and numeric knot in a fit without privacy.
        public_marginals: Published distributions, such as census margins (private fits only). They are fitted without
            being measured or charged. A list of frames, or of mappings from column to cells, each with one or two
            columns of the schema and a last column ``share`` or ``count``.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"sex": ["f", "m"] * 50, "age": range(100)})
        >>> synthetic = MarginalSynthesizer().fit(frame, seed=0).sample(3, seed=1)
        >>> list(synthetic.columns), len(synthetic)
        (['sex', 'age'], 3)
    """

    kind: ClassVar[str] = "marginal"
    supports_privacy: ClassVar[bool] = True
    samples_conditions_exactly: ClassVar[bool] = True
    supports_weights: ClassVar[bool] = False
    epochs: None = None
    model_: Model
    _public: PublicStructure | None = None

    def __init__(
        self,
        *,
        method: str = "mixture",
        components: int | None = None,
        min_group: int = 5,
        public_marginals: Any = None,
    ) -> None:
        self.method = method
        self.components = components
        self.min_group = min_group
        self.public_marginals = to_plain(public_marginals)

    def _fit(self, table: Table, run: FitOptions) -> None:
        source = ExactCounts()
        self._check_options(source)
        if self.public_marginals is not None:
            raise InputError("public_marginals needs privacy=: without it the table's own counts are exact")
        self.codec_ = Codec.measure(table, min_group=self.min_group, tokens=n_bins(len(table), source.rho))
        self.relations_ = Relations.discover(table, self.codec_, without=set(table.schema) - set(self.schema_))
        tokens = self.codec_.encode(table.frame)
        self._prepare([np.bincount(tokens[:, i], minlength=size) for i, size in enumerate(self.codec_.sizes)], [])
        self._fit_marginals(lambda: tokens[:, self.active_], float(len(table)), source, 1.0, run)

    def _fit_private(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
        """Learn from noisy counts only; the ledger is charged before every read of the frame."""
        rules = RuleSet.of(schema)
        grids, noise = public_grids(rules.model_schema()), privacy.noise()
        # OpenDP's algorithms also select by the exponential mechanism, which is charged as zCDP.
        budget = zcdp_rho if self.method in ALGORITHMS else gaussian_rho
        rho = budget(privacy.epsilon, privacy.resolved_delta)
        rows = PrivateRows(frame, rules, grids, privacy, noise.branch(0))
        source = NoisyCounts(rho, privacy.open_ledger, noise, privacy.max_rows_per_unit)
        self._check_options(source)
        self._fit_rows(rows, source, privacy.n_public, run)

    def _fit_rows(self, rows: CellRows, source: NoisyCounts, n_public: int | None, run: FitOptions) -> None:
        """Spend the source's budget on counts of private rows, and fit the model to them."""
        rows.restore_grids()
        unit, grids, schema = source.max_rows_per_unit, rows.grids, rows.schema
        mixture = self.method == "mixture"
        public = PublicStructure.of(rows.rules, schema, grids, self.public_marginals, lookups=mixture)
        expected = (n_public or DEFAULT_EXPECTED_ROWS) / unit
        share = one_way_share(expected, source.rho) * public.counted_share() if len(grids) > 1 else 1.0
        counted = public.counted()
        pairs = len(counted) * (len(counted) - 1) // 2
        target_pairs = len(counted) - 1 if set(schema.with_role("target")) & set(counted) else 0
        single = measure_one_ways(
            counted,
            rows.cells,
            source,
            share,
            expected_rows=expected,
            may_spend_all=mixture,
            target_pairs=target_pairs,
            replace_grid=None if public.zeros or public.determined or public.singles else rows.replace_grid,
        )
        self._public = public.complete(single)
        self.rows_ = max(round(single.rows), 1)
        units = single.rows / unit
        is_short = single.independent or single.spent == 1
        bins = MIN_BINS if is_short else (n_tokens if mixture else n_bins)(units, source.rho)
        self.codec_ = public_codec(schema, grids, self._public.counts, self._public.pooling_sigma, bins, public.cuts)
        self._prepare([slot_counts(self.codec_, position) for position in range(len(self.codec_.slots))], [])
        if is_short:
            self.relations_ = Relations({})
            if self.active_:
                share, number = products_share(units, source.rho, pairs, target_pairs)
                products = (lambda: rows.tokens(self.codec_)[:, self._measured()], share, number == pairs)
                slots = self._slots(single.rows)
                self._set_model(independent_model(slots, source, run.seed, products if number else None))
            return
        undetermined = {name: grid for name, grid in grids.items() if name not in public.determined}
        differences, spent = measure_recurring_differences(
            schema, undetermined, self.codec_, rows.line, single.rows, source
        )
        self.relations_ = Relations(differences)
        left = 1 - single.spent - spent
        self._fit_marginals(lambda: rows.tokens(self.codec_)[:, self._measured()], single.rows, source, left, run)

    def _check_options(self, source: CountSource) -> None:
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if self.method in ALGORITHMS:
            if self.public_marginals is not None:
                raise InputError(f"method={self.method!r} cannot fit public_marginals; use method='mixture'")
            require_opendp()
            check_source(source)
        check_positive_integers(components=self.components, min_group=self.min_group)

    def _fit_marginals(
        self, tokens: Callable[[], Tokens], rows: float, source: CountSource, share: float, run: FitOptions
    ) -> None:
        """Count the pairs and fit the model."""
        if self.active_:
            model = fit_model(
                self._slots(rows),
                tokens,
                source,
                share,
                method=self.method,
                components=self.components,
                seed=run.seed,
                progress=run.progress,
            )
            self._set_model(model)

    def _set_model(self, model: Model) -> None:
        """Set the model, given that of the measured slots."""
        if isinstance(model, Mixture) and self._public is not None:
            model = self._public.extend(model, self.codec_, self.active_)
        self.model_ = model

    def _measured(self) -> list[int]:
        """Return the positions of active slots that no lookup determines."""
        if self._public is None:
            return self.active_
        return [at for at in self.active_ if self.codec_.slots[at].column not in self._public.determined]

    def _slots(self, rows: float) -> LearnedSlots:
        """Return the public facts and one-way counts of the measured slots."""
        measured, known = self._measured(), self._public
        slots = [self.codec_.slots[i] for i in measured]
        targets = self.codec_.schema.with_role("target")
        return LearnedSlots(
            names=[slot.column for slot in slots],
            counts=[self.counts_[i] for i in measured],
            allowed=[self._emittable_tokens(i) for i in measured],
            lines=[self.layout_.lines[self.active_.index(i)] for i in measured],
            target=next((i for i, slot in enumerate(slots) if slot.column in targets), None),
            rows=rows,
            public=PublicFacts() if known is None else known.facts(self.codec_, measured),
            sigma=None if known is None else [known.sigma[slot.column] for slot in slots],
            published=() if known is None else tuple(i for i, slot in enumerate(slots) if slot.column in known.exact),
        )

    def _fit_tokens(self, tokens: Tokens, run: FitOptions) -> None:
        raise NotImplementedError  # both routes count instead

    def _sample_tokens(self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext) -> Tokens:
        return self.model_.draw(fixed, self._allowed_weights(limits), draw.rng, stratify=draw.stratify)

    def _allowed_weights(self, limits: list[Floats | None]) -> list[Floats | None]:
        """Return the limits of a condition multiplied by the allowed tokens."""
        out: list[Floats | None] = []
        for emit, limit in zip(self._allowed_tokens, limits, strict=True):
            weights = emit.astype(np.float64) if limit is None else emit * limit
            out.append(None if limit is None and emit.all() else weights)
        return out

    def log_prob(self, data: pd.DataFrame | Table) -> npt.NDArray[np.float64]:
        """Compute the exact log-probability of rows in nats, shape (n,).

        A number is represented by its token: the result is the probability of a row of tokens, not a density. Columns
        that are missing from the frame are marginalised.

        Raises:
            InputError: A column is unknown, or a value is of the wrong type.
        """
        tokens = self._encode_known(data)
        return self.model_.log_likelihood(tokens) if self.active_ else np.zeros(len(tokens))

    def score(self, data: pd.DataFrame | Table, y: None = None) -> float:
        """Return the mean of ``log_prob`` over rows, in nats, for model selection."""
        return float(self.log_prob(data).mean())

    def impute(self, data: pd.DataFrame | Table, *, seed: int | None = None, draw: bool = False) -> pd.DataFrame:
        """Impute the missing cells of each row given its known cells.

        Args:
            data: Rows with missing cells; columns may be absent altogether.
            seed: Seed of the draw.
            draw: Draw the missing cells of a row together, as multiple imputation needs. By default each gets its most
                probable category or its expected number.

        Returns:
            The rows with the missing cells of all learned columns filled, columns in the training order.

        Raises:
            ConditionError: A column is unknown to the model.
        """
        self._check_fitted()
        return impute_rows(self, self._predict, data, seed, draw)

    def _predict(self, fixed: Tokens, limits: list[Floats | None]) -> tuple[Tokens, dict[str, Floats]]:
        return slotwise_predictor(self, self.model_)(fixed, limits)

    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        return to_arrays(self.model_) if self.active_ else ({}, {})

    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        if self.active_:
            self.model_ = from_arrays(config, arrays)
            if token_sizes(self.model_) != self._model_sizes:
                raise ValueError("the marginal model does not match the tokens of the columns")

    @property
    def _model_sizes(self) -> tuple[int, ...]:
        """Number of tokens of each slot of the model."""
        return self.layout_.sizes
