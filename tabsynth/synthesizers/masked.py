"""The flagship: an any-order masked autoregressive model of tokens.

Half of each batch learns to fill in any subset of masked slots (Uria, Murray and Larochelle, "A deep and tractable
density estimator", arXiv 1310.1757), half follows one Chow-Liu order, which an unconditional sample follows too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tabsynth.coders import Tokens
from tabsynth.synthesizers.base import Arrays, Given, Run, checked_seed
from tabsynth.synthesizers.tokens import TokenSynthesizer
from tabsynth.training.chain import Chain
from tabsynth.training.draw import calibrated, inverse, stratified_uniforms
from tabsynth.training.layout import Layout
from tabsynth.training.loop import Recipe, chosen_device, train
from tabsynth.training.network import MaskedNet, slot_losses
from tabsynth.training.order import chain_order, mutual_information
from tabsynth.training.progress import bar

CALIBRATE_FROM = 1000
"""Fewest rows whose mean prediction is pulled to the training marginal; fewer rows may rightly differ from it."""

CHUNK = 1 << 16
"""Rows that are drawn together."""

PARENTS = 4
"""Slots by which rows are sorted before stratified uniforms are dealt to them."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Size of the network and length of the fit, by one rule from the table's size; no search.

    Attributes:
        width, blocks, dropout, skip: The network's.
        batch, rate, decay, epochs: The fit's.
    """

    width: int
    blocks: int
    dropout: float
    skip: bool
    batch: int
    rate: float
    decay: float
    epochs: int

    @classmethod
    def of(cls, rows: int, layout: Layout) -> Shape:
        """The rule.

        Args:
            rows: Training rows.
            layout: The learned slots.
        """
        small = rows < 2500
        batch = int(np.clip(rows // 16, 16, 512)) if rows < 60_000 else 1024
        return cls(
            width=96 if small else 256 if layout.total > 2000 else 192,
            blocks=1 if small else 2,
            dropout=0.2 if small else 0.0,
            skip=not small,
            batch=batch,
            rate=3e-3 if batch > 512 else 2e-3,
            decay=0.1 if small else 0.01,
            epochs=60 if small else int(np.clip(20 * (32_000 / rows) ** 0.35, 12, 30)),
        )


class MaskedSynthesizer(TokenSynthesizer):
    """Any-order masked autoregressive model: the default, for tables of any size and mix of types.

    Args:
        epochs: Passes over the training rows; by default from the number of rows.
        min_group: No category and no numeric knot rests on fewer persons than this; 1 switches the floor off.
        device: ``auto``, ``cpu``, ``cuda`` or any torch device.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"sex": ["f", "m"] * 50, "age": range(100)})
        >>> synthetic = MaskedSynthesizer(epochs=2).fit(frame, seed=0).sample(3, seed=1)
        >>> list(synthetic.columns), len(synthetic)
        (['sex', 'age'], 3)
    """

    kind: ClassVar[str] = "masked"

    def __init__(self, *, epochs: int | None = None, min_group: int = 5, device: str = "auto") -> None:
        self.epochs = epochs
        self.min_group = min_group
        self.device = device

    def sample(
        self,
        n: int | None = None,
        *,
        given: Given | None = None,
        seed: int | None = None,
        progress: bool | None = None,
        calibrate: bool = True,
        stratify: bool = True,
    ) -> pd.DataFrame:
        """Draw synthetic rows; see ``Synthesizer.sample``.

        Args:
            n: Number of rows.
            given: What the rows must meet.
            seed: Seed of the draw.
            progress: Whether to show a progress bar.
            calibrate: From 1,000 rows on, pull each column's mean prediction to its training marginal.
            stratify: Deal random numbers evenly to similar rows. With both off, rows are independent draws.
        """
        self._check_fitted()
        rng = np.random.default_rng(None if seed is None else checked_seed(seed))
        return self._rows_of(self._rows(n, given), given, rng, progress, calibrate=calibrate, stratify=stratify)

    def _learn(self, tokens: Tokens, run: Run) -> None:
        device = chosen_device(self.device)
        information = mutual_information(tokens, self.layout_)
        self.order_ = chain_order(information)
        self.parents_ = _parents(information, self.order_)
        if not self.active_:
            return
        self.shape_ = Shape.of(len(tokens), self.layout_)
        rng = np.random.default_rng([run.seed, 0])
        shuffled = rng.permutation(len(tokens))
        held = int(np.clip(len(tokens) // 20, 1, 2048))
        data = torch.from_numpy(tokens.astype(np.int64))
        training, judged = data[shuffled[held:]].to(device), data[shuffled[:held]].to(device)
        self.net_ = self._network(torch.Generator().manual_seed(run.seed)).to(device)
        rank = torch.empty(len(self.order_), dtype=torch.long, device=device)
        rank[self.order_] = torch.arange(len(self.order_), device=device)
        per_pass = max(len(training) // self.shape_.batch, 1)
        epochs = self.shape_.epochs if self.epochs is None else self.epochs
        recipe = Recipe(
            steps=epochs * per_pass,
            leg=min(per_pass, 500) if per_pass >= 20 else per_pass * -(-20 // per_pass),
            batch=self.shape_.batch,
            rate=self.shape_.rate,
            decay=self.shape_.decay,
        )
        self.score_ = train(
            self.net_,
            lambda batch, noise: self._loss(batch, rank, noise),
            lambda: self._judge(judged),
            training,
            recipe,
            seed=run.seed,
            checkpoint=run.checkpoint,
            fingerprint=self._fingerprint(tokens, run.seed) if run.checkpoint else "",
            callbacks=run.callbacks,
            progress=run.progress,
        )

    def _network(self, generator: torch.Generator) -> MaskedNet:
        shape = self.shape_
        return MaskedNet(
            self.layout_,
            width=shape.width,
            blocks=shape.blocks,
            dropout=shape.dropout,
            skip=shape.skip,
            generator=generator,
        )

    def _loss(self, batch: Tensor, rank: Tensor, noise: torch.Generator) -> Tensor:
        """Half of the rows any-order, half along the chain; mean cross-entropy a masked slot."""
        rows, slots = batch.shape
        half = rows // 2
        device = batch.device
        dice = torch.rand(rows, slots, generator=noise, device=device)
        places = torch.cat([dice[:half].argsort(1).argsort(1), rank.expand(rows - half, slots)])
        known = torch.randint(0, slots, (rows, 1), generator=noise, device=device)
        masked = places >= known
        weight = masked / (slots - known)
        follow = torch.zeros_like(weight)
        follow[half:] = 1.0
        weight = torch.where(follow > 0, 0.5 * weight + 0.5 * (places == known), weight)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = self.net_(batch.masked_fill(masked, -1))
        return (slot_losses(logits.float(), batch, self.layout_) * weight).sum() / rows

    @torch.inference_mode()
    def _judge(self, tokens: Tensor) -> float:
        """Mean negative log-likelihood of held-out rows along the chain, in nats a row."""
        return -float(Chain(self.net_).log_prob(tokens, self.order_).mean())

    @torch.inference_mode()
    def _draw(
        self, fixed: Tokens, rng: np.random.Generator, progress: bool | None, *, calibrate: bool, stratify: bool
    ) -> Tokens:
        chain = Chain(self.net_)
        noise = torch.Generator(chain.device).manual_seed(int(rng.integers(2**63)))
        out = np.empty_like(fixed)
        with bar(len(fixed), "sample", "row", progress) as shown:
            for begin in range(0, len(fixed), CHUNK):
                part = torch.from_numpy(fixed[begin : begin + CHUNK].astype(np.int64)).to(chain.device)
                drawn = self._draw_chunk(chain, part, noise, calibrate and len(part) >= CALIBRATE_FROM, stratify)
                out[begin : begin + CHUNK] = drawn.cpu().numpy()
                shown.update(len(part))
        return out

    def _draw_chunk(
        self, chain: Chain, tokens: Tensor, noise: torch.Generator, calibrate: bool, stratify: bool
    ) -> Tensor:
        """Draw one chunk of rows along the chain."""
        hidden = chain.start(len(tokens))
        for i, slot in enumerate(self.order_):
            emit = torch.from_numpy(self._emit[slot]).to(chain.device)
            logits = chain.logits(hidden, tokens, slot, self.order_[:i])
            chances = logits.masked_fill_(~emit, -torch.inf).softmax(1)
            if calibrate:
                counts = torch.from_numpy(self.layout_.counts[slot]).to(chain.device) * emit
                chances = calibrated(chances, (counts / counts.sum()).float())
            if stratify:
                uniforms = stratified_uniforms(_sorted(tokens, self.parents_[slot], noise), noise)
            else:
                uniforms = torch.rand(len(tokens), generator=noise, device=chain.device)
            tokens[:, slot] = inverse(chances, uniforms)
            chain.add(hidden, slot, tokens[:, slot])
        return tokens

    def card(self) -> dict[str, Any]:
        """The model card: what a reader of the synthetic table should know of its model."""
        sampling = "calibrated to the training marginals (from 1,000 rows on) and stratified unless switched off"
        return {**super().card(), "sampling": sampling, "held_out_nats_a_row": getattr(self, "score_", None)}

    def _fingerprint(self, tokens: Tokens, seed: int) -> str:
        """Names this fit: its data, options and seed."""
        facts = [self.get_params(), seed, list(tokens.shape), list(self.layout_.sizes)]
        digest = hashlib.sha256(json.dumps(facts).encode())
        digest.update(np.ascontiguousarray(tokens).tobytes())
        return digest.hexdigest()

    def _learned(self) -> tuple[dict[str, Any], Arrays]:
        config: dict[str, Any] = {"order": self.order_, "parents": self.parents_}
        if not self.active_:
            return config, {}
        weights = {name: value.cpu().numpy() for name, value in self.net_.state_dict().items()}
        return config | {"shape": vars(self.shape_), "score": self.score_}, weights

    def _relearn(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.order_ = [int(slot) for slot in config["order"]]
        self.parents_ = [[int(slot) for slot in parents] for parents in config["parents"]]
        if self.active_:
            self.shape_, self.score_ = Shape(**config["shape"]), config["score"]
            self.net_ = self._network(torch.Generator().manual_seed(0))
            self.net_.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
            self.net_ = self.net_.to(chosen_device(self.device)).eval()


def _parents(information: np.ndarray[Any, Any], order: list[int]) -> list[list[int]]:
    """For each slot, those before it in the order that tell most of it, the strongest first."""
    out: list[list[int]] = [[] for _ in order]
    for i, slot in enumerate(order):
        before = sorted(order[:i], key=lambda other: -information[slot, other])
        out[slot] = before[:PARENTS]
    return out


def _sorted(tokens: Tensor, parents: list[int], noise: torch.Generator) -> Tensor:
    """Rows sorted by the tokens of their parents, ties in random order, shape (rows,)."""
    order = torch.rand(len(tokens), generator=noise, device=tokens.device).argsort()
    for slot in reversed(parents):
        order = order[tokens[order, slot].argsort(stable=True)]
    return order
