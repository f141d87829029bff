"""What is minimized: cross-entropy on labels, the entropy of predictions, or cross-entropy on sure predictions.

Predictions of tokens count alike within a batch, wherever the data says what a position has to predict, else all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..calibration.subject import IGNORED
from ..errors import MergeError, UsageError

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor | None, where: str) -> Tensor:
    """Return the cross-entropy of every counted prediction, in nats.

    Args:
        logits: [items, classes] or [items, tokens, vocabulary].
        labels: [items] or [items, tokens]; `IGNORED` where nothing is predicted.
        where: The data, for messages.

    Raises:
        UsageError: The data has no labels.
        MergeError: A label is no class of the model.
    """
    import torch

    if labels is None:
        hint = "choose the objective entropy or pseudo-labels, which need none"
        raise UsageError("the data has no labels, which the objective supervised needs", where=where, hint=hint)
    wanted, rows = labels.reshape(-1).to(logits.device), logits.reshape(-1, logits.shape[-1])
    counted = wanted != IGNORED
    outside = wanted[counted & ((wanted < 0) | (wanted >= rows.shape[1]))]
    if len(outside):
        what = f"the data has the label {int(outside[0])}, and the model has {rows.shape[1]} classes, from 0"
        raise MergeError(what, where=where)
    return torch.nn.functional.cross_entropy(rows[counted], wanted[counted], reduction="none")


def entropy(logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return the entropy of every prediction, in nats; of tokens, where the labels count."""
    log_p = logits.log_softmax(-1)
    found = -(log_p.exp() * log_p).sum(-1).reshape(-1)
    if labels is None or logits.ndim < 3:
        return found
    return found[(labels.reshape(-1) != IGNORED).to(found.device)]


def pseudo_labels(sure: Tensor, logits: Tensor, threshold: float) -> Tensor:
    """Return the cross-entropy of every prediction on its own pseudo-label, 0 where that is not sure.

    Sohn et al. 2020, "FixMatch", arXiv:2001.07685: the most probable class of the item as it is becomes the label of a
    changed view of it, where its probability reaches the threshold.

    Args:
        sure: Logits of the items as they are, of which no gradient is taken.
        logits: Logits of the changed items.
        threshold: Between 0 and 1.
    """
    import torch

    confidence, labels = sure.detach().softmax(-1).reshape(-1, sure.shape[-1]).max(-1)
    losses = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels, reduction="none")
    return losses * (confidence >= threshold)
