"""Two small networks that were trained from different seeds, so that their hidden units are in different orders."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

MODEL_FILE, CLASS = "model.py", "DigitsNetwork"
NAMES = ("a.st", "b.st")
EPOCHS = 60
BATCH_SIZE = 128
LEARNING_RATE = 1e-3


def write_model_file(directory: Path) -> type[Any]:
    """Put the network's class beside the checkpoints, where any command finds it, and return the class."""
    path = directory / MODEL_FILE
    shutil.copyfile(Path(__file__).with_name("digits_network.py"), path)
    specification = importlib.util.spec_from_file_location("merge_demo_model", path)
    assert specification is not None  # noqa: S101 - a path that ends in .py always has one
    assert specification.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    found: type[Any] = getattr(module, CLASS)
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: small products gain nothing by more, and sums come out the same on any machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def new_network(network: type[Any], seed: int) -> Any:
    """Return an untrained network; torch's own random numbers are left where they were."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network()


def train_stranger(network: type[Any], images: Tensor, labels: Tensor, seed: int, epochs: int = EPOCHS) -> Any:
    """Train a network of its own.

    Args:
        network: The class.
        images: float32 [n, 1, 8, 8].
        labels: int64 [n].
        seed: First weights, and the order of the images.
        epochs: Passes over them, by Adam with a learning rate that falls along a cosine.
    """
    import torch

    model = new_network(network, seed)
    steps = epochs * -(-len(labels) // BATCH_SIZE)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for first in range(0, len(order), BATCH_SIZE):
            chosen = order[first : first + BATCH_SIZE]
            loss = torch.nn.functional.cross_entropy(model(images[chosen].flatten(1)), labels[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            rates.step()
    return model.eval()


def save_stranger(model: Any, path: Path) -> None:
    """Save a network's tensors as a bare safetensors file."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


def accuracy(model: Any, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that a network puts into the right class."""
    import torch

    with torch.no_grad():
        return float((model(images.flatten(1)).argmax(1) == labels).float().mean())


def average(models: Sequence[Any], network: type[Any]) -> Any:
    """Return a network whose weights are the means of others', unit by unit as they come."""
    import torch

    states = [model.state_dict() for model in models]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    model = new_network(network, 0)
    model.load_state_dict(mean)
    return model.eval()
