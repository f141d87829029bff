"""Data that coefficients are learned from: items of one task, and the network that sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..calibration.subject import Batch
from ..errors import MergeError
from .losses import cross_entropy, entropy, pseudo_labels
from .presets import ENTROPY, SUPERVISED
from .views import can_shift, shifted

if TYPE_CHECKING:
    from torch import Tensor

    from ..calibration.subject import Sample, Subject
    from .presets import Choice


@dataclass(frozen=True)
class Portion:
    """Consecutive items of a sample.

    Attributes:
        sample: The sample.
        first: Number of the first item.
        count: How many items.
    """

    sample: Sample
    first: int
    count: int

    def batches(self, size: int, start: int = 0, count: int | None = None) -> Iterator[Batch]:
        """Yield some of the items in their order, at most ``size`` at a time."""
        left = self.count - start if count is None else min(count, self.count - start)
        for batch in self.sample.batches(max(1, min(size, left)), self.first + start):
            if left <= 0:
                return
            yield batch if len(batch) <= left else _cut(batch, left)
            left -= len(batch)


def _cut(batch: Batch, count: int) -> Batch:
    """Return the first items of a batch."""
    inputs = {name: tensor[:count] for name, tensor in batch.inputs.items()}
    counted = {name: mask[:count] for name, mask in (batch.counted or {}).items()}
    return Batch(inputs, None if batch.labels is None else batch.labels[:count], counted)


@dataclass(frozen=True)
class DataTask:
    """One set of data to learn from or to select by.

    Attributes:
        name: What messages call it.
        subject: The network with the data's head, in evaluation mode; tasks may share one.
        items: Its items, in random order.
        batch_size: How many items run at a time.
        advance: Told of every number of items that ran.
    """

    name: str
    subject: Subject
    items: Portion
    batch_size: int = 32
    advance: Callable[[int], None] = lambda items: None

    def write(self, tensors: Mapping[str, Tensor]) -> None:
        """Write tensors into the network; those that it has no place for are left out."""
        import torch

        places = self.subject.places()
        with torch.no_grad():
            for name, tensor in tensors.items():
                if name in places:
                    places[name].copy_(tensor)

    def gradient(self, names: list[str], choice: Choice, step: int, seed: int) -> tuple[float, dict[str, Tensor]]:
        """Return the mean loss of a step's items, and its gradient by the tensors of these names, on the CPU.

        Raises:
            MergeError: The loss is not finite, or the network does not run.
            UsageError: Labels are needed, and there are none.
        """
        import torch

        start = step % self.steps(choice.batch) * choice.batch
        places = {name: place for name, place in self.subject.places().items() if place.requires_grad}
        wanted = [name for name in names if name in places]
        total = 0.0
        found: dict[str, Tensor] = {}
        for share, batch in self._parts(start, choice.batch):
            loss = share * self._loss(batch, choice, (seed, start)).mean()
            if not loss.isfinite():
                raise MergeError(f"the loss is {loss.item()} during learning", where=self.name)
            slopes = torch.autograd.grad(loss, [places[name] for name in wanted], allow_unused=True)
            add_to(found, {name: slope.cpu() for name, slope in zip(wanted, slopes, strict=True) if slope is not None})
            total += loss.item()
            self.advance(len(batch))
        return total, found

    def steps(self, batch: int) -> int:
        """Return how many steps go once through the items."""
        return -(-self.items.count // batch)

    def _parts(self, start: int, count: int) -> Iterator[tuple[float, Batch]]:
        """Yield what runs at once of a step's items, with its share of them."""
        whole = min(count, self.items.count - start)
        for batch in self.items.batches(self.batch_size, start, count):
            yield len(batch) / whole, batch

    def _loss(self, batch: Batch, choice: Choice, seed: tuple[int, ...]) -> Tensor:
        """Return the loss of every prediction."""
        import torch

        if choice.objective == SUPERVISED:
            return cross_entropy(self.subject.logits(batch.inputs), batch.labels, self.name)
        if choice.objective == ENTROPY:
            return entropy(self.subject.logits(batch.inputs), batch.labels)
        if choice.strong == "none" or not can_shift(batch.inputs):
            logits = self.subject.logits(batch.inputs)
            return pseudo_labels(logits, logits, choice.threshold)
        with torch.no_grad():
            sure = self.subject.logits(batch.inputs)
        return pseudo_labels(sure, self.subject.logits(shifted(batch.inputs, seed)), choice.threshold)


def add_to(sums: dict[str, Tensor], more: Mapping[str, Tensor]) -> None:
    """Add gradients to those of the same names."""
    for name, slope in more.items():
        sums[name] = sums[name] + slope if name in sums else slope
