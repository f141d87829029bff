"""The networks of ``alignment.py``, and how they are trained on the bundled digits.

Pixels are divided by 16 and standardized with mean and deviation of the 1257 training images, those of each pixel for
perceptrons and those of all pixels for convolutions, which treat all alike; batches of 128; a learning rate that falls
along a cosine; float32 on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from merge.evaluation.data import load_digits

BATCH_SIZE = 128
SIDE, CLASSES = 8, 10


class Images(NamedTuple):
    """Images [n, 1, 8, 8], float32, and class numbers [n]."""

    pixels: Tensor
    labels: Tensor


class Digits(NamedTuple):
    """The training images and the held-out ones."""

    train: Images
    test: Images


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes:
        optimizer: ``adam`` or ``sgd``, the latter with a momentum of 0.9.
        learning_rate: At the start.
        epochs: Passes over the training images.
        weight_decay: Of the optimizer.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 60
    weight_decay: float = 0.0

    @property
    def name(self) -> str:
        """In a few words."""
        decay = f", weight decay {self.weight_decay:g}" if self.weight_decay else ""
        return f"{self.optimizer} {self.learning_rate:g}{decay}, {self.epochs} epochs"


def digits(most: int | None = None, *, by_pixel: bool = True) -> Digits:
    """Return the digits, standardized.

    Args:
        most: Only so many training images, the first ones.
        by_pixel: Every pixel by its own mean and deviation, or all by the same.
    """
    train, test = load_digits("train"), load_digits("test")
    pixels = torch.from_numpy(train.images)
    mean, deviation = (pixels.mean(0), pixels.std(0)) if by_pixel else (pixels.mean(), pixels.std())
    scale = torch.where(deviation > 0, deviation, torch.ones(()))  # some pixels are always black

    def prepared(images: object, labels: object) -> Images:
        return Images((torch.as_tensor(images) - mean) / scale, torch.as_tensor(labels))

    return Digits(prepared(train.images[:most], train.labels[:most]), prepared(test.images, test.labels))


class Perceptron(nn.Module):
    """Hidden layers of one width."""

    def __init__(self, width: int = 512, hidden: int = 3, classes: int = CLASSES) -> None:
        super().__init__()
        sizes = [SIDE * SIDE, *[width] * hidden]
        self.hidden = nn.ModuleList(nn.Linear(one, two) for one, two in pairwise(sizes))
        self.head = nn.Linear(width, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits."""
        states = pixels.flatten(1)
        for layer in self.hidden:
            states = torch.relu(layer(states))
        return self.head(states)


class Block(nn.Module):
    """A basic block of a ResNet: two convolutions with BatchNorm, and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if stride == 1 else _projection(inputs, outputs, stride)

    def forward(self, states: Tensor) -> Tensor:
        """Return the next states."""
        inner = functional.relu(self.bn1(self.conv1(states)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(states))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class SmallResNet(nn.Module):
    """A stem and two basic blocks, the second one with half the resolution and another width."""

    def __init__(self, width: int, second: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.block1, self.block2 = Block(width, width, 1), Block(width, second, 2)
        self.head = nn.Linear(second, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits."""
        states = functional.relu(self.norm(self.stem(pixels)))
        return self.head(self.block2(self.block1(states)).mean((2, 3)))


def train(network: nn.Module, images: Images, training: Training, seed: int) -> nn.Module:
    """Train a network in place, and set it to evaluate; the seed decides about the order of the images."""
    steps = training.epochs * -(-len(images.labels) // BATCH_SIZE)
    optimizer = _optimizer(network, training)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(training.epochs):
        order = torch.randperm(len(images.labels), generator=generator)
        for first in range(0, len(order), BATCH_SIZE):
            chosen = order[first : first + BATCH_SIZE]
            loss = functional.cross_entropy(network(images.pixels[chosen]), images.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
    return network.eval()


def _optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    given = {"lr": training.learning_rate, "weight_decay": training.weight_decay}
    if training.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), **given)
    return torch.optim.SGD(network.parameters(), momentum=0.9, **given)
