"""One small vision transformer for handwritten digits, and three fine-tuned versions of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor

BATCH_SIZE = 64
CLASSES = 10


@dataclass(frozen=True)
class Schedule:
    """How one model is trained.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: Peak of AdamW's one-cycle schedule.
        noise: Standard deviation of Gaussian noise on pixels in [0, 1].
        erased: Share of the pixels that are set to 0, at random.
        label_smoothing: Share of the target spread over all the classes.
    """

    epochs: int
    learning_rate: float
    noise: float = 0.0
    erased: float = 0.0
    label_smoothing: float = 0.0

    def describe(self) -> str:
        """Return the settings that are not zero, in words."""
        settings = {name.replace("_", " "): value for name, value in vars(self).items() if value}
        return ", ".join(f"{name} {value:g}" for name, value in settings.items())


# Fixed beforehand, by looking at a part of the training images; the held-out images chose no number here.
BASE = Schedule(epochs=25, learning_rate=3e-3)
TUNED = {
    "tuned-1": Schedule(epochs=15, learning_rate=1e-3, noise=0.1),
    "tuned-2": Schedule(epochs=15, learning_rate=1.5e-3, erased=0.1),
    "tuned-3": Schedule(epochs=15, learning_rate=1e-3, label_smoothing=0.1),
}


def new_model(seed: int) -> Any:
    """Return an untrained ViT for 8 x 8 grey images: 2 layers of width 64."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=8,
        patch_size=2,
        num_channels=1,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
    )
    config.num_labels = CLASSES
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ViTForImageClassification(config)


def train(model: Any, images: Tensor, labels: Tensor, schedule: Schedule, *, seed: int) -> None:
    """Train a model in place.

    Args:
        model: Image classifier of transformers.
        images: float32 [n, 1, 8, 8].
        labels: int64 [n].
        schedule: Epochs, learning rate and augmentation.
        seed: Order of the data and the augmentation.
    """
    import torch
    from torch.nn.functional import cross_entropy

    generator = torch.Generator().manual_seed(seed)
    steps = schedule.epochs * -(-len(labels) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.learning_rate, total_steps=steps)
    model.train()
    for _ in range(schedule.epochs):
        order = torch.randperm(len(labels), generator=generator)
        for first in range(0, len(order), BATCH_SIZE):
            chosen = order[first : first + BATCH_SIZE]
            logits = model(pixel_values=augment(images[chosen], schedule, generator)).logits
            loss = cross_entropy(logits, labels[chosen], label_smoothing=schedule.label_smoothing)
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            rates.step()
    model.eval()


def augment(images: Tensor, schedule: Schedule, generator: Generator) -> Tensor:
    """Return noisy, partly erased copies of images [n, 1, 8, 8]."""
    import torch

    if schedule.noise:
        images = images + schedule.noise * torch.randn(images.shape, generator=generator)
    if schedule.erased:
        images = images * (torch.rand(images.shape, generator=generator) >= schedule.erased)
    return images


def save(model: Any, folder: str) -> None:
    """Save a model as a transformers folder: ``config.json`` and ``model.safetensors``."""
    from ..evaluation.quiet import quiet_transformers

    with quiet_transformers():
        model.save_pretrained(folder)
