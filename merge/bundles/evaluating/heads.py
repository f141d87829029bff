"""Heads that change with the weights: the text tower of a CLIP-like model, merged with the same coefficient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...evaluation.predictor import ImagePredictor, Predictor
from ..rules.t3 import T3Options

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.candidate import Candidate
    from ...evaluation.zero_shot.task import ZeroShotTask
    from ..bundle import Bundle


@dataclass(frozen=True)
class OwnHeads:
    """Makes heads from the text tower that lies between those of two members."""

    task: ZeroShotTask
    members: tuple[Candidate, Candidate]

    def put_on(self, predictor: Predictor, weight: float) -> Predictor:
        """Return the predictor with the head that belongs to a weight of the pretrained model."""
        assert isinstance(predictor, ImagePredictor)  # noqa: S101 -- zero-shot tasks are of images
        first, second = (member.tensors for member in self.members)
        merged = replace(self.members[0], tensors=interpolated(first, second, weight))
        head = self.task.head_of(merged, keep=False).head(self.task.settings.device)
        return replace(predictor, classifier=replace(predictor.classifier, head=head))


def own_heads(bundle: Bundle, task: Any, members: Sequence[Candidate]) -> OwnHeads | None:
    """Return what makes the heads where the text tower is to be merged too.

    Raises:
        UsageError: It is to be, and the benchmark's head is the same for all weights.
    """
    from ...evaluation.zero_shot.task import ZeroShotTask

    options = bundle.options
    if not isinstance(options, T3Options) or options.towers == "image":
        return None
    if not isinstance(task, ZeroShotTask) or task.head is not None:
        hint = "use a zero-shot benchmark without 'model:', whose heads the models' own text towers make"
        raise UsageError("towers 'both' has nothing to do: the head is the same for all", where=bundle.name, hint=hint)
    first, second = members
    return OwnHeads(task, (first, second))


def interpolated(first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Return weight * first + (1 - weight) * second in float32; what is not floating is the first's."""
    return {
        name: weight * tensor.float() + (1 - weight) * second[name].float() if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }
