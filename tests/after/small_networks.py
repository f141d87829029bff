"""Small networks with and without BatchNorm, their checkpoints, and images for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

MODEL_FILE = """
import torch
from torch import nn


class Normed(nn.Module):
    channels, image_size = 1, 8

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(6, 10)

    def forward(self, pixels):
        states = torch.relu(self.bn1(self.conv1(pixels)))
        states = torch.relu(self.bn2(self.conv2(states)))
        return self.head(self.dropout(states.mean((2, 3))))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(64, 12), nn.Linear(12, 9, bias=False), nn.Linear(9, 10)

    def forward(self, pixels):
        return self.head(torch.relu(self.second(torch.relu(self.first(pixels)))))

    def example_inputs(self):
        return torch.zeros(1, 64)


class Instance(Normed):
    def __init__(self):
        super().__init__()
        self.instance = nn.InstanceNorm2d(1, track_running_stats=True)

    def forward(self, pixels):
        return super().forward(self.instance(pixels))


class Flat(Plain):
    def __init__(self):
        super().__init__()
        self.norm, self.token = nn.BatchNorm1d(64), nn.Parameter(torch.zeros(1, 64))

    def forward(self, pixels):
        return super().forward(self.norm(pixels) + self.token)


class Unused(Normed):
    def __init__(self):
        super().__init__()
        self.spare = nn.BatchNorm2d(4)
"""
_space: dict[str, Any] = {}
exec(compile(MODEL_FILE, "networks", "exec"), _space)
Normed, Plain, Unused, Instance, Flat = (_space[name] for name in ("Normed", "Plain", "Unused", "Instance", "Flat"))


def made(kind: type[nn.Module], seed: int) -> Any:
    """Return a network in evaluation mode, its statistics random as well."""
    torch.manual_seed(seed)
    network = kind()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_()
            elif name.endswith("running_var") or (".bn" in f".{name}" and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
    return network.eval()


def write(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Save a network's tensors, the floating ones in a type."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file({name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}, path)
    return path


def pixels(count: int = 50, seed: int = 0) -> torch.Tensor:
    """Return images [count, 1, 8, 8]."""
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
