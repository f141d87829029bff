"""Logits ▸ the log-probabilities whose gradients are squared. Written so that `torch.func.vmap` can run over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import MergeError, UsageError
from ..labels import check_labels
from ..subject import IGNORED
from .draws import pick, uniform_numbers
from .request import EMPIRICAL, SAMPLED

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Batch, Subject
    from .request import Request


@dataclass(frozen=True)
class Items:
    """Items, and what decides about their labels; a classifier has one position an item.

    Attributes:
        inputs: Of the network, each [items, …].
        counted: Mask [items, positions] of what is predicted.
        given: [items, positions]: the data's labels, or the random numbers that labels are drawn by.
    """

    inputs: Mapping[str, Tensor]
    counted: Tensor
    given: Tensor

    def __len__(self) -> int:
        return len(self.counted)

    def row(self, number: int) -> Items:
        """Return one of the items."""
        rows = slice(number, number + 1)
        return Items({name: tensor[rows] for name, tensor in self.inputs.items()}, self.counted[rows], self.given[rows])


def items_of(batch: Batch, first: int, request: Request, subject: Subject) -> Items:
    """Put a batch in the form that scores take.

    Args:
        batch: The items.
        first: Number of the first of them in the sample.
        request: What is asked.
        subject: On whose device the outcome lies, the inputs aside.

    Raises:
        UsageError: Labels are needed, and the data has none.
        MergeError: A label is no class of the model.
    """
    import torch

    counted = torch.ones(len(batch), 1, dtype=torch.bool)
    if request.tokens:
        counted = _labels(batch, subject) != IGNORED
    given = torch.zeros(counted.shape, dtype=torch.float64)
    if request.labels == SAMPLED:
        given = uniform_numbers(counted, request.seed, first)
    elif request.labels == EMPIRICAL:
        given = _labels(batch, subject).reshape(counted.shape).masked_fill(~counted, 0)
        check_labels(given, request.classes, subject, first)
    return Items(batch.inputs, counted.to(subject.device), given.to(subject.device))


def _labels(batch: Batch, subject: Subject) -> Tensor:
    if batch.labels is None:
        what = "the data has no labels, and empirical Fisher information goes by them"
        raise UsageError(what, where=subject.name, hint="--labels exact and sampled need none")
    return batch.labels


def log_probabilities(logits: Tensor) -> Tensor:
    """Return log p as [items, positions, classes], in float32 or wider."""
    import torch

    rows = logits if logits.ndim == 3 else logits[:, None]
    return rows.to(torch.promote_types(rows.dtype, torch.float32)).log_softmax(-1)


def score(log_p: Tensor, items: Items, labels: str) -> Tensor:
    """Return the log-probability of the chosen labels, summed over items and counted positions.

    Args:
        log_p: [items, positions, classes].
        items: The same items.
        labels: ``sampled`` or ``empirical``.
    """
    chosen = pick(log_p.detach().exp(), items.given) if labels == SAMPLED else items.given
    picked = log_p.gather(-1, chosen[..., None])[..., 0]
    return (picked * items.counted).sum()


def refuse_not_finite(finite: Tensor, subject: Subject, first: int) -> None:
    """Refuse logits that are nan or infinite.

    Args:
        finite: Whether all logits of an item are finite, [items].
        subject: The network.
        first: Number of the first of these items in the sample.

    Raises:
        MergeError: Names the item.
    """
    if not finite.all():
        item = first + int((~finite).nonzero()[0])
        what = f"the model gives logits that are not finite (nan or inf), first at item {item} of the data"
        raise MergeError(what, where=subject.name)
