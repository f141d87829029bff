"""A user's own class of three layers, as a file of Python code, and state dicts of it."""

from __future__ import annotations

import torch

PERCEPTRON = """
import torch


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.head = torch.nn.Linear(64, 16), torch.nn.Linear(16, 12), torch.nn.Linear(12, 10)

    def example_inputs(self):
        return (torch.zeros(2, 64),)

    def forward(self, pixels):
        return self.head(torch.relu(self.fc2(torch.relu(self.fc1(pixels.flatten(1))))))
"""
SHAPES = {"fc1.weight": (16, 64), "fc1.bias": (16,), "fc2.weight": (12, 16), "fc2.bias": (12,)}
SHAPES |= {"head.weight": (10, 12), "head.bias": (10,)}


def state(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Return weights of the class, drawn with a seed."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in SHAPES.items()}
