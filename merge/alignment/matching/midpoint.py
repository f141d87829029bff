"""The network halfway between two models, one of them under orders: its loss, and the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..groups import Groups
from .labelled_loss import LabelledLoss
from .moving import moved, on_tensor
from .pair import Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...calibration.subject import Sample, Subject
    from ...evaluation.task import Settings
    from ..permutations import Orders

    Gradient = dict[str, NDArray[np.floating[Any]]]

MIDDLE = 0.5


class Midpoint:
    """A network into which points of the line between two models are written.

    Args:
        pair: The models.
        groups: What orders belong to.
        subject: A network of their architecture; it is written to.
        sample: The data, with labels.
        settings: Most items at a time; told of progress.

    Raises:
        UsageError: The network predicts nothing, or the data has no labels.
        MergeError: An item cannot be read.
    """

    def __init__(self, pair: Pair, groups: Groups, subject: Subject, sample: Sample, settings: Settings) -> None:
        self._pair, self._groups = pair, groups
        shapes = [{name: tuple(shape) for name, shape in one.shapes.items()} for one in (pair.reference, pair.moved)]
        places = subject.places().items()
        self._places = {name: place for name, place in places if name in shapes[0] and _same(name, *shapes)}
        self._loss = LabelledLoss(subject, sample, settings)

    @property
    def names(self) -> frozenset[str]:
        """The tensors that are written: those that the network has a place for."""
        return frozenset(self._places)

    def loss(self, orders: Orders, place: float = MIDDLE) -> float:
        """Return the loss at a place of the line: 0 is the reference, 1 the moved model under these orders.

        Raises:
            MergeError: A tensor cannot be read, the network does not run, or the loss is not finite.
        """
        self._write(orders, place)
        return self._loss.value()

    def slope(self, orders: Orders) -> tuple[float, Gradient]:
        """Return the loss halfway, and its gradient by the names of the checkpoint, tied ones under each.

        Raises:
            MergeError: As `loss`.
        """
        self._write(orders, MIDDLE)
        loss, found = self._loss.slope()
        return loss, {name: found[id(at)].float().numpy() for name, at in self._places.items() if id(at) in found}

    def _write(self, orders: Orders, place: float) -> None:
        import numpy as np
        import torch

        with torch.no_grad():
            for name, at in self._places.items():
                other = moved(self._pair.moved.read(name), name, on_tensor(self._groups, name), orders)
                mixed = (1 - place) * self._pair.reference.read(name) + place * other
                at.copy_(torch.from_numpy(np.asarray(mixed)))


def _same(name: str, one: dict[str, tuple[int, ...]], other: dict[str, tuple[int, ...]]) -> bool:
    return one[name] == other.get(name)
