"""A text tower: prompts in, features out, and the scale that turns cosines into logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

    from ..candidate import Candidate
    from ..model_name import ModelName

SCALE, BIAS = "logit_scale", "logit_bias"


class NoTextTowerError(MergeError):
    """A checkpoint is an image tower only, so that its head must come from another model.

    Args:
        where: The model.
        prefix: What a tensor of the text tower would be called.
    """

    def __init__(self, where: str, prefix: str) -> None:
        hint = "name a whole model with --model, or under 'model' in the benchmark"
        super().__init__(f"the text tower is missing: no tensor is named {prefix}", where=where, hint=hint)


@dataclass(frozen=True)
class TextTower:
    """A text tower with its weights in place.

    Attributes:
        tokenize: Texts and a number of tokens ▸ the tower's inputs, each [n, tokens] and cut to that length; None:
            to the length that the tower takes.
        embed: The tower's inputs ▸ features [n, size], not normalised.
        tensors: Everything that the features depend on, on the CPU.
        architecture: What else they depend on: the configuration as text.
        scale: Factor of the cosines, exp(logit_scale).
        bias: What is added to the scaled cosines, in models that were trained with a sigmoid.
        module: The torch module.
        names: Finds the name of the parameter or buffer in ``module`` by the tensor's name in the checkpoint; tensors
            without a place of their own are left out.
    """

    tokenize: Callable[[Sequence[str], int | None], dict[str, Tensor]]
    embed: Callable[[dict[str, Tensor]], Tensor]
    tensors: Mapping[str, Tensor]
    architecture: str
    scale: float
    bias: float | None
    module: Any
    names: Callable[[], Mapping[str, str]]


def load_text_tower(candidate: Candidate, model: ModelName, device: str) -> TextTower:
    """Build the text tower of a model of images and texts.

    Args:
        candidate: A whole model's tensors.
        model: Its architecture.
        device: A torch device.

    Raises:
        MergeError: The checkpoint has no text tower, or does not fit its architecture.
        UsageError: There is no such architecture, or none with texts.
    """
    from .open_clip_text import open_clip_text_tower
    from .transformers_text import transformers_text_tower

    builders = {"open_clip": open_clip_text_tower, "folder": transformers_text_tower, "hf": transformers_text_tower}
    if model.kind not in builders:
        hint = "name a CLIP or SigLIP model under 'model'"
        raise MergeError(f"the text tower is missing: '{model.label}' has none", where=candidate.name, hint=hint)
    return builders[model.kind](candidate, model, device)


def scale_and_bias(tensors: Mapping[str, Tensor], where: str) -> tuple[float, float | None]:
    """Return exp(logit_scale), and the bias if there is one. Raises MergeError without a scale."""
    if SCALE not in tensors:
        raise MergeError(f"the checkpoint has no '{SCALE}', so its cosines are no logits", where=where)
    scale = tensors[SCALE].float().exp().reshape(-1)
    return float(scale[0]), float(tensors[BIAS].reshape(-1)[0]) if BIAS in tensors else None
