"""A head made from prompts, by the model that a benchmark names or by the evaluated model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import MergeError
from ..architecture import PROJECTION
from ..heads import FixedHead
from .cut_prompts import cut_prompts
from .embeddings import head_weight, prompt_embeddings
from .text_tower import load_text_tower

if TYPE_CHECKING:
    from torch import Tensor

    from ..candidate import Candidate
    from ..model_name import ModelName
    from .prompts import Prompts


@dataclass(frozen=True)
class PromptHead:
    """Embeddings of all prompts, and what turns cosines with them into logits.

    Attributes:
        embeddings: [classes, templates, size], normalised, on the CPU.
        scale: Factor of the cosines.
        bias: What is added to the scaled cosines, in models that were trained with a sigmoid.
        projection: The image projection of the model that made it, if it has one of its own.
        label: What rows of results call it.
        where: The benchmark, for messages.
        notes: On how it was made.
    """

    embeddings: Tensor
    scale: float
    bias: float | None
    projection: Tensor | None
    label: str
    where: str
    notes: tuple[str, ...] = ()

    def head(self, device: str, weights: Tensor | None = None, scale: float | None = None) -> FixedHead:
        """Return the head: scale · cosine + bias.

        Args:
            device: A torch device.
            weights: Of the templates, [templates]; None: all alike.
            scale: Instead of the model's own.
        """
        import torch

        bias = None if self.bias is None else torch.tensor([self.bias], device=device)
        weight = head_weight(self.embeddings, weights).to(device)
        return FixedHead(weight, bias, scale or self.scale, self.label, self.where, self.projection, self.notes)


def make_prompt_head(
    candidate: Candidate,
    model: ModelName,
    prompts: Prompts,
    names: tuple[str, ...],
    label: str,
    device: str,
    *,
    keep: bool = True,
) -> PromptHead:
    """Embed all prompts, or take them from the cache unless that is not wanted. The text tower is not kept in memory.

    Raises:
        MergeError: The checkpoint has no text tower, or does not fit its architecture.
        UsageError: All classes have the same prompts, once they are cut to what the tower takes.
    """
    tower = load_text_tower(candidate, model, device)
    notes = tuple(cut_prompts(tower, prompts, names))
    embeddings = prompt_embeddings(tower, prompts, names, device, keep=keep)
    if not embeddings.isfinite().all():
        raise MergeError("the text tower gives features that are not finite (nan or inf)", where=candidate.name)
    projection = candidate.tensors.get(PROJECTION)
    return PromptHead(embeddings, tower.scale, tower.bias, projection, label, prompts.where, notes)
