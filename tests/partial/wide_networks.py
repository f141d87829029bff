"""Small networks of many forms that are merged partially."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Tied(nn.Module):
    """One matrix of two names, used twice, between an entry and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.entry, self.one, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.other = self.one

    def forward(self, pixels: Any) -> Any:
        states = self.entry(pixels).relu()
        return self.head(self.other(self.one(states).relu()).relu())


class Crossed(nn.Module):
    """Matrices stored [inputs, outputs], as in GPT-2, and a parameter that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(torch.empty(6, 9)), nn.Parameter(torch.empty(9, 4))
        self.shift, self.place = nn.Parameter(torch.empty(9)), nn.Parameter(torch.empty(1, 9))

    def forward(self, pixels: Any) -> Any:
        return (functional.gelu(pixels @ self.up + self.shift) + self.place) @ self.down


class Normed(nn.Module):
    """A hidden layer with something over its units that a wider one gives other numbers for."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.first, self.second, self.head = kind, nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        if kind in ("layer", "rms"):
            self.norm: nn.Module = nn.LayerNorm(8) if kind == "layer" else nn.RMSNorm(8)

    def forward(self, pixels: Any) -> Any:
        states = self.second(self.first(pixels).relu())
        if self.kind == "none":
            return self.head(states.relu())
        if self.kind == "softmax":
            return self.head(states.softmax(-1))
        if self.kind == "mean":
            return self.head(states - states.mean(-1, keepdim=True))
        if self.kind == "reshaped":
            return self.head(states.reshape(-1, 8).relu())
        # what functional calls with other tensors see of a norm over eight units is only its gain
        weight = self.norm.weight
        norm = functional.layer_norm if self.kind == "layer" else functional.rms_norm
        return self.head(norm(states, weight.shape, weight))


class Gated(nn.Module):
    """Gates and values in one matrix, between a residual stream under a LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(11, 6), nn.LayerNorm(6)
        self.both, self.down, self.head = nn.Linear(6, 20), nn.Linear(10, 6), nn.Linear(6, 11)

    def forward(self, tokens: Any) -> Any:
        states = self.embed(tokens)
        gates, values = self.both(self.norm(states)).chunk(2, -1)
        return self.head(states + self.down(gates.sigmoid() * values))


class Classifier(nn.Module):
    """A perceptron with as many classes as are wanted."""

    def __init__(self, classes: int, hidden: int = 12) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, hidden), nn.Linear(hidden, 10), nn.Linear(10, classes)

    def forward(self, pixels: Any) -> Any:
        return self.head(self.second(self.first(pixels).relu()).relu())


class Routed(nn.Module):
    """Two experts, of which each row takes the one that its first number says."""

    def __init__(self) -> None:
        super().__init__()
        self.entry, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, pixels: Any) -> Any:
        states = self.entry(pixels).relu()
        chosen = (states[:, 0] > states[:, 1]).long()
        parts = torch.zeros_like(states)
        for number, expert in enumerate(self.experts):
            parts = parts.index_put((chosen == number,), expert(states[chosen == number]))
        return self.head(parts.relu())


class Twofold(nn.Module):
    """A parameter that is both multiplied by and added to the same units."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head, self.place = nn.Linear(6, 8), nn.Linear(8, 3), nn.Parameter(torch.empty(1, 8))

    def forward(self, pixels: Any) -> Any:
        states = self.first(pixels).relu()
        return self.head((states + self.place).relu()) + functional.linear(states, self.place)


class Overwriting(nn.Module):
    """A hidden layer that is changed in place once it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, pixels: Any) -> Any:
        states = self.first(pixels).relu()
        found = self.second(states)
        return found + self.third(states.mul_(2))
