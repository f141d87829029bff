"""The first item, run once before all others: what the network gives, and so what can be asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import MergeError
from .request import resolve

if TYPE_CHECKING:
    from torch import Tensor

    from ..declared import FisherCalibration
    from ..subject import Batch, Subject
    from .request import Request


def request_for(options: FisherCalibration, subject: Subject, first: Batch, seed: int) -> Request:
    """Resolve the options by the shape of the logits of one item.

    Args:
        options: As given.
        subject: The network.
        first: The first item alone.
        seed: Of sampled labels.

    Raises:
        UsageError: The options ask for what the model has not.
        MergeError: It does not run, or its logits have another shape than its kind of prediction.
    """
    import torch

    with torch.no_grad():
        logits = subject.logits(first.inputs)
    _check_shape(logits, first, subject)
    return resolve(options, subject, logits.shape[-1], seed)


def _check_shape(logits: Tensor, first: Batch, subject: Subject) -> None:
    expected, shape = "[1, classes]", list(logits.shape)
    fits = len(shape) == 2 and shape[0] == 1
    if subject.predicts == "tokens":
        positions = None if first.labels is None else first.labels.shape[1]
        expected = f"[1, {positions}, vocabulary]"
        fits = len(shape) == 3 and shape[:2] == [1, positions]
    if not fits:
        raise MergeError(
            f"the network gives logits {shape} for one item, where {expected} is expected", where=subject.name
        )
