"""Any-order masked autoregressive model of tokens, the default synthesizer.

Half of each batch masks any subset of slots (Uria, Murray and Larochelle, "A deep and tractable density estimator",
arXiv 1310.1757), the other half follows one fixed order, which unconditional samples use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.data.table import Table
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.imputation import impute_rows, predict_in_chunks
from tabsynth.synthesizers.network_synthesizer import NetworkSynthesizer, split_fit
from tabsynth.synthesizers.options import FitOptions, fit_facts
from tabsynth.synthesizers.private.masked import fit_masked
from tabsynth.synthesizers.sampling.autoregressive import AutoregressiveSampler
from tabsynth.synthesizers.sampling.discriminator_selection import CHUNK_ROWS
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions
from tabsynth.synthesizers.sampling.tree_refinement import TreeConditionals, fit_tree_conditionals, refine_rows
from tabsynth.synthesizers.warm_start.fit import fit_warm
from tabsynth.training.loop import Objective, chosen_device
from tabsynth.training.masked_loss import any_order_loss
from tabsynth.training.model_size import MAX_SMALL_ROWS, Sizing
from tabsynth.training.networks.autoregressive import AutoregressiveModel
from tabsynth.training.networks.feature_cross import FeatureCross
from tabsynth.training.networks.gaussian_copula import GaussianCopula
from tabsynth.training.networks.masked import MaskedNet
from tabsynth.training.networks.masked_dp import PlainNet
from tabsynth.training.validation_split import TrainValidation
from tabsynth.training.variable_order import explained_entropy_share

LR_MULTIPLIERS = {"cross.": 20.0, "embed.": 3.0, "skip": 0.3}
"""Learning rate multipliers by parameter name; each row updates few embeddings, but many skip-connection weights."""

N_VALIDATION_ROWS = 1024
"""Validation rows of each evaluation during training."""

MIN_COPULA_ROWS = 20
"""Minimum training rows for a copula."""

N_CALIBRATION_ROWS = 8192
"""Rows sampled to estimate the calibration weights of samples of any size."""


class MaskedSynthesizer(NetworkSynthesizer):
    """Any-order masked autoregressive model: the default, for tables of any size and mix of types.

    For fewer than 3,000 training rows, a Gaussian copula is combined with the network, weighted by held-out likelihood.
    Low-cardinality columns that boosted trees predict better than the network are resampled from the trees.

    Args:
        epochs: Number of epochs; by default from the number of rows.
        min_group: Minimum number of persons (or rows) that share a category or number of the model; 1: no minimum.
        device: ``auto``, ``cpu``, ``cuda`` or any torch device.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"sex": ["f", "m"] * 50, "age": range(100)})
        >>> synthetic = MaskedSynthesizer(epochs=2).fit(frame, seed=0).sample(3, seed=1)
        >>> list(synthetic.columns), len(synthetic)
        (['sex', 'age'], 3)
    """

    kind: ClassVar[str] = "masked"
    supports_privacy: ClassVar[bool] = True
    fits_shards: ClassVar[bool] = True

    row_visits_: int | None = None
    earlier_rows_: int | None = None
    epochs_: int
    net_: MaskedNet | PlainNet
    tree_conditionals_: TreeConditionals
    cross_: FeatureCross | None
    copula_: GaussianCopula | None = None

    def __init__(self, *, epochs: int | None = None, min_group: int = 5, device: str = "auto") -> None:
        self.epochs = epochs
        self.min_group = min_group
        self.device = device

    def impute(self, data: pd.DataFrame | Table, *, seed: int | None = None, draw: bool = False) -> pd.DataFrame:
        """Impute the missing cells of rows given the known cells.

        Args:
            data: Rows with missing cells; columns may be absent altogether.
            seed: Seed of the draw.
            draw: Sample the missing cells of a row jointly, as for multiple imputation. By default each cell gets its
                most probable category or its expected number.

        Returns:
            The rows with the missing cells of all learned columns filled, columns in the training order.

        Raises:
            ConditionError: A column is unknown to the model.
        """
        self._check_fitted()
        return impute_rows(self, self._predict, data, seed, draw)

    def log_prob(self, data: pd.DataFrame | Table) -> npt.NDArray[np.float64]:
        """Return the log-probability of rows in nats, shape (n,).

        This is the probability of the row's tokens, not a density of its numbers. Columns that are not in the frame are
        marginalised.

        Raises:
            InputError: A column is unknown, or a value is of the wrong type.
        """
        tokens = self._encode_known(data)
        if not self.active_:
            return np.zeros(len(tokens))
        return self._map_chunks(tokens, lambda chain, part: chain.log_prob(part, self.order_)).astype(np.float64)

    def score(self, data: pd.DataFrame | Table, y: None = None) -> float:
        """Return the mean of ``log_prob`` over rows, in nats, for model selection among equally large fits."""
        return float(self.log_prob(data).mean())

    def embed(self, data: pd.DataFrame | Table) -> npt.NDArray[np.float32]:
        """Return the features of rows for other models, shape (n, width): the network's last layer with nothing masked.

        Columns that are not in the frame are masked.

        Raises:
            InputError: A column is unknown, or a value is of the wrong type.
        """
        tokens = self._encode_known(data)
        if not self.active_:
            return np.zeros((len(tokens), 0), np.float32)
        return self._map_chunks(tokens, lambda chain, part: chain.embed(part)).astype(np.float32)

    @torch.inference_mode()
    def _map_chunks(self, tokens: Tokens, work: Callable[[AutoregressiveModel, Tensor], Tensor]) -> npt.NDArray[Any]:
        """Apply a function to all rows in chunks."""
        chain = self._chain()
        parts = [tokens[begin : begin + CHUNK_ROWS] for begin in range(0, max(len(tokens), 1), CHUNK_ROWS)]
        on_device = (torch.from_numpy(part.astype(np.int64)).to(chain.device) for part in parts)
        return np.concatenate([work(chain, part).cpu().numpy() for part in on_device])

    def _fit(self, table: Table, run: FitOptions) -> None:
        self.earlier_rows_ = run.warm_start.rows_ if isinstance(run.warm_start, MaskedSynthesizer) else None
        if isinstance(run.warm_start, MaskedSynthesizer):
            fit_warm(self, run.warm_start, table, run)
        else:
            super()._fit(table, run)

    def _fit_tokens(self, tokens: Tokens, run: FitOptions) -> None:
        device = chosen_device(self.device)
        self.tree_conditionals_, self.cross_, self.copula_ = TreeConditionals(), None, None
        information = self._choose_order(tokens)
        if not self.active_:
            return
        self.cross_ = FeatureCross.select(tokens, self.layout_, information)
        if self.cross_ is not None:
            # What the cross explains is learned best next to it, not after columns that only have a low entropy.
            self._order_slots(information, nearest_first=True)
        explained, self.plain_ = explained_entropy_share(information), False
        parts = split_fit(tokens, run, device)
        rows = parts.rows + len(parts.validation)
        self.sizing_ = Sizing.of(rows, self.layout_, explained, crossed=bool(self.cross_))
        self.net_ = self._network(torch.Generator().manual_seed(run.seed)).to(device)
        self._train(parts, run)

    def _train(self, parts: TrainValidation, run: FitOptions) -> None:
        rank = torch.empty(len(self.order_), dtype=torch.long, device=self._device())
        rank[self.order_] = torch.arange(len(self.order_), device=self._device())
        self.epochs_ = self.sizing_.epochs if self.epochs is None else self.epochs
        in_files, net = parts.shards is not None, self.net_
        assert isinstance(net, MaskedNet)
        config = self.sizing_.training_config(parts.rows, self.epochs, LR_MULTIPLIERS, in_files=in_files)
        done = [config.steps]
        if in_files:
            run = replace(run, callbacks=(*run.callbacks, lambda progress: done.append(progress.step)))
        objective = Objective(
            lambda batch, noise: any_order_loss(net, batch, rank, noise),
            lambda: self._validation_loss(parts.validation[:N_VALIDATION_ROWS]),
        )
        score = self._train_network(objective, parts, config, run, lambda: self._fit_conditionals(parts, run))
        self.score_ = score if self.copula_ is None else self._validation_loss(parts.validation)
        self.row_visits_ = done[-1] * config.batch if in_files else None

    @torch.inference_mode()
    def _fit_conditionals(self, parts: TrainValidation, run: FitOptions) -> None:
        """Fit a copula on small tables, then boosted trees for columns that they predict better than the network."""
        if MIN_COPULA_ROWS <= len(parts.training) < MAX_SMALL_ROWS:
            self.copula_ = self._chain().fit_copula(parts, self.order_)
        sampling_seed, tree_seed = (int(part) for part in np.random.SeedSequence([run.seed, 5]).generate_state(2))
        chain = self._chain()
        noise = torch.Generator(chain.device).manual_seed(sampling_seed)
        sampler = self._slot_sampler(RowOptions([None] * len(self.order_), noise, calibrate=True, stratify=True))
        refinement = replace(sampler, fitted_weights={})
        tokens = torch.full((N_CALIBRATION_ROWS, len(self.order_)), -1, device=chain.device)
        AutoregressiveSampler(chain, self.order_, sampler).draw(tokens)
        trees = fit_tree_conditionals(chain, self.order_, self._allowed_tokens, parts, tree_seed, run.progress)
        refine_rows(tokens, torch.ones_like(tokens, dtype=torch.bool), trees, refinement)
        self.tree_conditionals_ = TreeConditionals(trees, sampler.fitted_weights, refinement.fitted_weights)

    def _fit_private(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
        self.row_visits_, self.earlier_rows_ = None, None
        fit_masked(self, frame, schema, privacy, run)

    def _network(self, generator: torch.Generator) -> MaskedNet | PlainNet:
        sizing = self.sizing_
        if self.plain_:
            return PlainNet(self.layout_, width=sizing.width, blocks=sizing.blocks, generator=generator)
        return MaskedNet(
            self.layout_,
            width=sizing.width,
            blocks=sizing.blocks,
            dropout=sizing.dropout,
            skip=sizing.skip,
            smooth=sizing.smooth,
            generator=generator,
            cross=self.cross_,
        )

    def _chain(self) -> AutoregressiveModel:
        return AutoregressiveModel(self.net_, self.copula_)

    @torch.inference_mode()
    def _validation_loss(self, tokens: Tensor) -> float:
        """Return the mean negative log-likelihood of validation rows in the fixed order, in nats per row."""
        return -float(self._chain().log_prob(tokens, self.order_).mean())

    def _fill(self, tokens: Tensor, options: RowOptions) -> Tensor:
        """Sample the tokens that are -1, in place."""
        weights = self.tree_conditionals_.calibration_weights if options.plain(tokens < 0) else None
        return AutoregressiveSampler(self._chain(), self.order_, self._slot_sampler(options, weights)).draw(tokens)

    def _candidates(self, rows: int, branches: int, options: RowOptions) -> Tensor:
        # Weights of the fit are near enough: the selection itself meets the marginals of the training rows.
        weights = self.tree_conditionals_.calibration_weights
        slot_sampler = self._slot_sampler(replace(options, calibrate=options.calibrate and not weights), weights)
        return AutoregressiveSampler(self._chain(), self.order_, slot_sampler).draw_branches(rows, branches)

    def _refine(self, tokens: Tensor, free: Tensor, options: RowOptions) -> Tensor:
        """Resample the columns with tree conditionals."""
        weights = self.tree_conditionals_.refined_weights if options.plain(free) else None
        return refine_rows(tokens, free, self.tree_conditionals_.trees, self._slot_sampler(options, weights))

    @torch.inference_mode()
    def _predict(self, fixed: Tokens, limits: list[Floats | None]) -> tuple[Tokens, dict[str, Floats]]:
        options = RowOptions(limits, torch.Generator(self._device()))
        sampler = AutoregressiveSampler(self._chain(), self.order_, self._slot_sampler(options))
        return predict_in_chunks(sampler, fixed, self.codec_, self.active_)

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        few = ", fewer on average" if self.tree_conditionals_.calibration_weights else ""
        names = [self.codec_.slots[position].column for position in self.active_]
        return super().card() | {
            "sampling": f"calibrated to the training marginals (from 1,000 rows on{few}) and stratified by default",
            "sizing": vars(self.sizing_) | {"epochs": self.epochs_} if self.active_ else None,
            "held_out_nats_a_row": getattr(self, "score_", None),
            **fit_facts(self.rows_, self.row_visits_, self.earlier_rows_),
            "crossed": [names[slot] for slot in self.cross_.slots] if self.cross_ is not None else [],
            "drawn_by_trees": [names[trees.slot] for trees in self.tree_conditionals_.trees],
        }

    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        config, arrays = super()._model_state()
        if not self.active_:
            return config, {}
        return config | {
            "sizing": vars(self.sizing_),
            "epochs": self.epochs_,
            "score": self.score_,
            "plain": self.plain_,
            "row_visits": self.row_visits_,
            "earlier_rows": self.earlier_rows_,
            "cross": list(self.cross_.slots) if self.cross_ is not None else [],
        }, arrays | self.tree_conditionals_.arrays() | (self.copula_.arrays() if self.copula_ else {})

    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        super()._restore_model(config, arrays)
        self.tree_conditionals_, self.cross_, self.copula_ = TreeConditionals(), None, None
        if self.active_:
            self.sizing_, self.score_ = Sizing(**config["sizing"]), config["score"]
            self.plain_, self.epochs_ = bool(config.get("plain")), int(config.get("epochs", self.sizing_.epochs))
            self.row_visits_, self.earlier_rows_ = config.get("row_visits"), config.get("earlier_rows")
            if config.get("cross"):
                self.cross_ = FeatureCross(tuple(int(slot) for slot in config["cross"]), arrays["cross.codes"])
            self.net_ = self._network(torch.Generator().manual_seed(0))
            if "copula.exponents" in arrays:
                self.copula_ = GaussianCopula.from_arrays(arrays, self.layout_)
                arrays = {name: a for name, a in arrays.items() if not name.startswith("copula.")}
            self.tree_conditionals_, weights = TreeConditionals.from_arrays(arrays, self.layout_, self.order_)
            self.net_.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in weights.items()})
            self.net_ = self.net_.to(chosen_device(self.device)).eval()
