"""Pairs of tiny networks, what runs them on samples by number, and the truth: weights put together per sample."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

SAMPLES, LENGTH, VOCABULARY = 5, 7, 60
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


class Case(NamedTuple):
    """A builder of a network and what makes its logits of samples."""

    build: Callable[[], nn.Module]
    logits: Callable[[nn.Module, Any], torch.Tensor]


def images(size: int = 16, samples: int = SAMPLES) -> torch.Tensor:
    return torch.randn(samples, 3, size, size, generator=torch.Generator().manual_seed(7))


def texts(samples: int = SAMPLES) -> tuple[torch.Tensor, torch.Tensor]:
    """Token numbers, the last one 1, and a mask with padding in two of them."""
    generator = torch.Generator().manual_seed(8)
    tokens = torch.randint(5, VOCABULARY, (samples, LENGTH), generator=generator)
    tokens[:, -1] = 1
    mask = torch.ones_like(tokens)
    mask[1, 4:] = 0
    mask[3, 2:] = 0
    return tokens, mask


def of_images(build: Callable[[], nn.Module], size: int = 16) -> Case:
    def logits(network: nn.Module, indices: Any) -> torch.Tensor:
        output = network(images(size)[indices])
        return output if isinstance(output, torch.Tensor) else output[0]

    return Case(build, logits)


def of_texts(build: Callable[[], nn.Module], masked: bool = True) -> Case:
    def logits(network: nn.Module, indices: Any) -> torch.Tensor:
        tokens, mask = texts()
        mask = mask if masked else torch.ones_like(mask)
        tokens = tokens * mask  # padding is 0
        return network(input_ids=tokens[indices], attention_mask=mask[indices]).logits

    return Case(build, logits)


def of_class(build: Callable[[], nn.Module]) -> Case:
    def logits(network: nn.Module, indices: Any) -> torch.Tensor:
        tokens, mask = texts()
        return network(tokens[indices], mask[indices] == 0)

    return Case(build, logits)


def pair(case: Case, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Two networks far apart, running statistics and all."""
    torch.manual_seed(seed)
    first = case.build().eval()
    second = copy.deepcopy(first)
    for number, network in enumerate((first, second), start=1):
        _shake(network, seed + number)
    return first, second


def _shake(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            scale = 0.1 if parameter.ndim < 2 else 0.05
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)
        for name, buffer in network.named_buffers():
            if "running" in name and buffer.is_floating_point():
                buffer.add_(torch.rand(buffer.shape, generator=generator), alpha=0.5)


def between(first: nn.Module, second: nn.Module, weight: float) -> nn.Module:
    """A third network with interpolated weights."""
    states = first.state_dict(), second.state_dict()
    state = {
        name: weight * value + (1 - weight) * states[1][name] if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    third = copy.deepcopy(first)
    third.load_state_dict(state)
    return third


def truth(case: Case, first: nn.Module, second: nn.Module, weights: torch.Tensor) -> torch.Tensor:
    """Row i is what a network with weights of its own, made for sample i, gives for it."""
    rows = []
    with torch.no_grad():
        for index, weight in enumerate(weights.tolist()):
            rows.append(case.logits(between(first, second, weight), np.array([index])))
    return torch.cat(rows)


def runner(case: Case, network: nn.Module) -> Callable[[Any], torch.Tensor]:
    return partial(case.logits, network)


def assert_same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Compare logits to 1e-5, of the largest one where that is above 1."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * max(1.0, float(wanted.abs().max())))
