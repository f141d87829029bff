"""The gradient of a text classifier's loss with respect to its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..gradients import WeightGradients
from ..networks.weights import match_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..candidate import Candidate
    from .labelled_texts import LabelledTexts
    from .text_classifier import TextClassifier


def text_gradients(classifier: TextClassifier, candidate: Candidate, data: LabelledTexts) -> WeightGradients:
    """Return the gradients of a text classifier over labelled texts, which are encoded once.

    Raises:
        MergeError: A text cannot be encoded.
    """
    import torch

    network = classifier.network
    names = match_names(candidate.tensors, network)
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone()  # transformers takes the checkpoint's float32 tensors as they are
    own = dict(network.named_parameters(remove_duplicate=False))
    encoded, _ = classifier.encode(data)

    def logits(items: NDArray[np.int64]) -> Tensor:
        rows = classifier.rows
        parts = [items[first : first + rows] for first in range(0, len(items), rows)]
        return torch.cat([classifier.logits([encoded[item] for item in part]) for part in parts])

    parameters = {name: own[here] for name, here in names.items()}
    return WeightGradients(classifier.name, parameters, dict(network.named_buffers()), data.labels, logits)
