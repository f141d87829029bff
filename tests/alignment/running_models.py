"""Small networks and the data that they run on, as calibration gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from planted import groups_of, member
from torch import nn

from merge.alignment.groups import Group, Groups
from merge.calibration.subject import Batch


@dataclass
class RunningSubject:
    """A network as `merge.calibration.subject.Subject` describes it."""

    name: str
    module: nn.Module
    device: str = "cpu"
    predicts: str = "classes"

    def places(self) -> Mapping[str, Any]:
        return {**dict(self.module.named_buffers()), **dict(self.module.named_parameters(remove_duplicate=False))}

    def run(self, inputs: Mapping[str, Any]) -> None:
        self.module(**inputs)


@dataclass
class RunningSample:
    """Items in batches; tells how often it was gone through."""

    inputs: Mapping[str, torch.Tensor]
    counted: torch.Tensor | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    passes: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        self.passes += 1
        for start in range(first, len(self), size):
            inputs = {name: tensor[start : start + size] for name, tensor in self.inputs.items()}
            counted = {"tokens": self.counted[start : start + size]} if self.counted is not None else None
            yield Batch(inputs, counted=counted)


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 14), nn.Linear(14, 10), nn.Linear(10, 3)

    def forward(self, pixels: Any) -> Any:
        return self.third(self.second(self.first(pixels).relu()).relu())


class Filters(nn.Module):
    """A convolution, one by channel, one in two groups, and a linear head over two by two positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.second = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.third, self.third_norm = nn.Conv2d(12, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, pixels: Any) -> Any:
        found = self.second(self.first_norm(self.first(pixels)).relu()).relu()
        return self.head(self.third_norm(self.third(found)).relu().flatten(1))


class Attention(nn.Module):
    """An embedding, one attention layer with heads, and an output tied to nothing."""

    def __init__(self, heads: int = 3, size: int = 4, width: int = 10) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(17, width)
        self.q, self.k, self.v = (nn.Linear(width, heads * size) for _ in range(3))
        self.o, self.out = nn.Linear(heads * size, width), nn.Linear(width, 17)

    def forward(self, tokens: Any) -> Any:
        states = self.embed(tokens)
        q, k, v = (layer(states).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        found = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(states + self.o(found.transpose(1, 2).flatten(2)))


def perceptron_groups() -> Groups:
    return groups_of(
        Group("a", 14, (member("first.weight", 0, 14), member("first.bias", 0, 14), member("second.weight", 1, 14))),
        Group("b", 10, (member("second.weight", 0, 10), member("second.bias", 0, 10), member("third.weight", 1, 10))),
    )


def _norm(name: str, size: int) -> tuple[Any, ...]:
    return tuple(member(f"{name}.{part}", 0, size) for part in ("weight", "bias", "running_mean", "running_var"))


def filters_groups() -> Groups:
    first, third = _norm("first_norm", 12), _norm("third_norm", 8)
    by_channel = (member("second.weight", 0, 12), member("second.bias", 0, 12), member("third.weight", 1, 12))
    last = (member("third.weight", 0, 8), member("third.bias", 0, 8), *third, member("head.weight", 1, 8, 4))
    return groups_of(
        Group("a", 12, (member("first.weight", 0, 12), *first, *by_channel), "other", None, frozenset(first[2:])),
        Group("b", 8, last, "other", None, frozenset(third[2:])),
    )


def attention_groups(heads: int = 3, size: int = 4, width: int = 10) -> Groups:
    names = [(name, part) for name in "qkv" for part in ("weight", "bias")]
    whole = [member(f"{name}.{part}", 0, heads, size) for name, part in names] + [member("o.weight", 1, heads, size)]
    within = {
        name: [member(f"{name}.{part}", 0, heads, size, factor=1) for part in ("weight", "bias")] for name in "qkv"
    }
    stream = [member("embed.weight", 1, width), *(member(f"{name}.weight", 1, width) for name in "qkv")]
    stream += [member("o.weight", 0, width), member("o.bias", 0, width), member("out.weight", 1, width)]
    return groups_of(
        Group("residual", width, tuple(stream), "residual"),
        Group("heads", heads, tuple(whole), "heads"),
        Group("qk", size, (*within["q"], *within["k"]), "within-heads", "heads"),
        Group("vo", size, (*within["v"], member("o.weight", 1, heads, size, factor=1)), "within-heads", "heads"),
    )


def made(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a network with random weights, and random statistics where it has BatchNorm."""
    generator = torch.Generator().manual_seed(seed)
    module = make().eval()
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
            tensor.copy_(tensor.abs() + 0.5) if "var" in name else None
    return module


def with_state(make: Callable[[], nn.Module], state: Mapping[str, Any]) -> nn.Module:
    module = make().eval()
    module.load_state_dict({name: torch.as_tensor(array) for name, array in state.items()})
    return module


def state_of(module: nn.Module) -> dict[str, Any]:
    return {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}


def images(count: int = 50, *shape: int) -> RunningSample:
    return RunningSample({"pixels": torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))})


def texts(count: int = 40, length: int = 6, words: int = 17) -> RunningSample:
    tokens = torch.randint(words, (count, length), generator=torch.Generator().manual_seed(1))
    return RunningSample({"tokens": tokens})
