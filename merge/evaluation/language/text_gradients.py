"""The gradient of a text classifier's loss with respect to its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..gradients import WeightGradients
from ..networks.network import places_of
from ..networks.weights import trace_names

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
    names = trace_names(classifier.rebuild, candidate.tensors, where=candidate.name)
    places = places_of(network, names)
    encoded, _ = classifier.encode(data)

    def logits(items: NDArray[np.int64]) -> Tensor:
        rows = classifier.rows
        parts = [items[first : first + rows] for first in range(0, len(items), rows)]
        return torch.cat([classifier.logits([encoded[item] for item in part]) for part in parts])

    return WeightGradients(classifier.name, places, data.labels, logits)
