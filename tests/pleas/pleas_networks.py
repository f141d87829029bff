"""Pairs of networks that the tests of PLeaS merge, and the files that go with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoint_files import save
from torch import nn

from merge.evaluation.data import load_digits

CLASS_FILE = '''
import torch
from torch import nn


class Small(nn.Module):
    """A perceptron on images of 8 x 8 pixels."""

    channels, image_size = 1, 8

    def __init__(self, classes=5):
        super().__init__()
        self.first = nn.Linear(64, 24)
        self.second = nn.Linear(24, 20)
        self.head = nn.Linear(20, classes)

    def forward(self, pixels):
        return self.head(torch.relu(self.second(torch.relu(self.first(pixels.flatten(1))))))


class Convolutional(nn.Module):
    """Two convolutions with BatchNorm around a residual stream."""

    channels, image_size = 1, 8

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.inner_norm = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, pixels):
        states = torch.relu(self.norm(self.stem(pixels)))
        states = states + torch.relu(self.inner_norm(self.inner(states)))
        return self.head(states.mean((2, 3)))


class Normed(nn.Module):
    """A hidden layer whose units a norm sees together."""

    channels, image_size = 1, 8

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(64, 12), nn.LayerNorm(12), nn.Linear(12, 3)

    def forward(self, pixels):
        return self.head(torch.relu(self.norm(self.first(pixels.flatten(1)))))
'''
LOW, HIGH = range(5), range(5, 10)
BENCHMARK = "name: {name}\nkind: classification\ndata: {{path: {name}.npz, split: {split}, images: x, labels: y}}\n"


def classes_of(folder: Path) -> dict[str, Any]:
    """Write the file of classes into a folder, and return what it defines."""
    (folder / "net.py").write_text(CLASS_FILE, encoding="utf-8")
    found: dict[str, Any] = {}
    exec(compile(CLASS_FILE, "net.py", "exec"), found)
    return found


def seeded(make: Any, seed: int) -> nn.Module:
    """Return a module with weights and statistics drawn from a seed."""
    module, generator = make(), torch.Generator().manual_seed(seed)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=generator) * 0.4
            tensor.data = drawn if isinstance(tensor, nn.Parameter) else drawn.abs() + 0.5
    return module.eval()


def digits_of(folder: Path, name: str, classes: range, outputs: range | None = None) -> None:
    """Write the digits of some classes, and two benchmarks: held-out ones, and the inputs of the training images."""
    arrays = {}
    for split in ("train", "test"):
        found = load_digits(split)
        chosen = np.isin(found.labels, classes)
        arrays[f"{split}_x"] = found.images[chosen].reshape(-1, 1, 8, 8)
        arrays[f"{split}_y"] = found.labels[chosen] - classes[0]
    np.savez(folder / f"{name}.npz", **arrays)
    scored = f"outputs: [{outputs[0]}, {outputs[-1]}]\n" if outputs else ""
    (folder / f"{name}.yaml").write_text(BENCHMARK.format(name=name, split="test") + scored)
    (folder / f"{name}-data.yaml").write_text(BENCHMARK.format(name=name, split="train"))


def trained(module: nn.Module, folder: Path, name: str, epochs: int = 12) -> nn.Module:
    """Train a module on the digits that `digits_of` has written under a name, and save it under that."""
    arrays, generator = np.load(folder / f"{name}.npz"), torch.Generator().manual_seed(0)
    images, labels = torch.from_numpy(arrays["train_x"]), torch.from_numpy(arrays["train_y"])
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(epochs):
        for items in torch.randperm(len(images), generator=generator).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(images[items]), labels[items]).backward()
            optimizer.step()
    save(folder / f"{name}.st", module.state_dict())
    return module.eval()
