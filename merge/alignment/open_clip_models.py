"""Models of open_clip that read images and texts, with some of both to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .models import BATCH, Traceable, calling, example_numbers, numbered_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.candidate import Candidate
    from ..evaluation.model_name import ModelName


def of_open_clip(candidate: Candidate, architecture: ModelName, input_shape: Sequence[int] | None) -> Traceable | None:
    """Return both towers where the checkpoint has both, else None: its image tower is one like others.

    Args:
        candidate: The checkpoint.
        architecture: Name or folder.
        input_shape: Shape of the images with the batch; None: as the architecture says.

    Raises:
        UsageError: open_clip has no such architecture.
        MergeError: The checkpoint does not fit it.
    """
    from ..calibration.feeds.placing import places_in
    from ..evaluation.networks.open_clip_models import IMAGE_TOWER, create_open_clip, text_names
    from ..evaluation.networks.weights import load_strictly

    whole = create_open_clip(architecture, where=candidate.name)
    names = candidate.tensors.keys()
    if not (text_names(whole) & names and any(name.startswith(IMAGE_TOWER) for name in names)):
        return None
    load_strictly(whole, candidate.tensors, architecture.label, where=candidate.name)
    places = places_in(whole, {name: name for name in names}, candidate.tensors)
    size = whole.visual.image_size
    pixels = example_numbers(input_shape or (BATCH, 3, *((size, size) if isinstance(size, int) else size)))
    return Traceable(calling(whole, lambda *inputs: _features(whole(*inputs))), places, (pixels, _texts(whole)))


def _features(outputs: Any) -> tuple[Any, Any]:
    """Return the features of images and of texts; what follows is their scale."""
    if isinstance(outputs, Mapping):
        return outputs["image_features"], outputs["text_features"]
    return outputs[0], outputs[1]


def _texts(whole: Any) -> Tensor:
    """Return tokens of the length that a text tower takes; the largest one is where a text ends."""
    towers: list[Any] = [whole, getattr(whole, "text", None)]
    for tower in towers:
        if hasattr(tower, "context_length") and hasattr(tower, "vocab_size"):
            tokens = numbered_tokens(tower.vocab_size - 1, tower.context_length, [0])
            tokens[:, -1] = tower.vocab_size - 1
            return tokens
    raise MergeError(f"nothing says what texts {type(whole).__name__} reads")
