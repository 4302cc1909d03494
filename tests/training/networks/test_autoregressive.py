"""Autoregressive sampling with shared prefixes gives the same rows as sampling without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tabsynth.training.networks import autoregressive as module
from tabsynth.training.networks.autoregressive import AutoregressiveModel
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import MaskedNet

SIZES = (3, 40, 5)


def chain() -> AutoregressiveModel:
    layout = Layout(SIZES, (0, 38, 0), tuple(np.arange(1, size + 1) for size in SIZES))
    generator = torch.Generator().manual_seed(0)
    net = MaskedNet(layout, width=16, blocks=2, dropout=0.0, skip=True, smooth=0.5, generator=generator).eval()
    with torch.no_grad():  # heads and skip begin at zero, where every row would be alike
        for weight in net.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return AutoregressiveModel(net)


@pytest.mark.parametrize("fixed", [[], [0], [1]])
def test_sharing_a_pass_changes_no_draw(monkeypatch: pytest.MonkeyPatch, fixed: list[int]) -> None:
    begin = torch.full((3000, 3), -1)
    for slot in fixed:
        begin[:, slot] = torch.arange(3000) % 3
    order = [slot for slot in (2, 1, 0) if slot not in fixed]

    def drawn(alike: float) -> tuple[torch.Tensor, list[torch.Tensor]]:
        monkeypatch.setattr(module, "MAX_SHARED", alike)
        noise, seen = torch.Generator().manual_seed(1), []

        def pick(slot: int, rows: torch.Tensor, logits: torch.Tensor, prefixes: torch.Tensor | None) -> torch.Tensor:
            logits = logits if prefixes is None else logits[prefixes]
            seen.append(logits)
            return torch.multinomial(logits.softmax(1), 1, generator=noise).squeeze(1)

        with torch.inference_mode():
            return chain().draw(begin.clone(), order, pick), seen

    (own, logits), (shared, same) = drawn(0.0), drawn(1.0)
    assert torch.equal(own, shared)
    assert (own >= 0).all()
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(logits, same, strict=True))


def test_few_rows_pass_through_the_network_where_tokens_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    made, passed = chain(), []
    trunk = made.net.trunk
    monkeypatch.setattr(made.net, "trunk", lambda hidden, noise=None: (passed.append(len(hidden)), trunk(hidden))[1])
    with torch.inference_mode():
        made.draw(torch.full((3000, 3), -1), [0, 2, 1], lambda slot, rows, *_: rows % SIZES[slot])
    assert passed == [1, 3, 15]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_what_a_chain_implies_of_a_slot_is_bayes_rule(order: list[int]) -> None:
    """The likelihood of each row with each token in its place, one after the other; bfloat16 is off by 1e-3."""
    made, generator = chain(), torch.Generator().manual_seed(2)
    tokens = torch.stack([torch.randint(size, (50,), generator=generator) for size in SIZES], 1)
    before = tokens.clone()
    with torch.inference_mode():
        for slot, size in enumerate(SIZES):
            joint = []
            for token in range(size):
                changed = tokens.clone()
                changed[:, slot] = token
                joint.append(made.log_prob(changed, order))
            bayes = torch.stack(joint, 1).softmax(1)
            conditional_log_prob = made.conditional_log_prob(tokens, slot, order, made.log_probs(tokens, order))
            assert conditional_log_prob.shape == (50,)
            assert torch.allclose(
                conditional_log_prob.exp(), bayes.gather(1, tokens[:, slot : slot + 1]).squeeze(1), atol=5e-3
            )
    assert torch.equal(tokens, before)


def test_tokens_of_no_training_row_are_not_implied() -> None:
    """With one of two tokens left, a row's own is certain; with all three, it is not."""
    made, tokens = chain(), torch.tensor([[0, 5, 1], [0, 30, 4]])
    with torch.inference_mode():
        own = made.log_probs(tokens, [1, 0, 2])
        assert (made.conditional_log_prob(tokens, 0, [1, 0, 2], own).exp() < 0.9).all()
        made.layout = Layout(SIZES, made.layout.lines, (np.array([3, 0, 0]), *made.layout.counts[1:]))
        assert torch.allclose(made.conditional_log_prob(tokens, 0, [1, 0, 2], own), torch.zeros(2), atol=1e-6)
