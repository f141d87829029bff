"""Heads that change with the weights: the text tower of a CLIP-like model, merged with the same coefficient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...evaluation.predictor import ImagePredictor, Predictor
from ..rules.t3 import T3Options

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.candidate import Candidate
    from ...evaluation.heads import FixedHead
    from ...evaluation.zero_shot.task import ZeroShotTask
    from ..bundle import Bundle


KEPT = 4  # heads at a time: constant weights and DaWin's come again with every batch


@dataclass(frozen=True)
class OwnHeads:
    """Makes heads from the text tower that lies between those of two members."""

    task: ZeroShotTask
    bundle: Bundle
    _kept: dict[float, FixedHead] = field(default_factory=dict)

    @cached_property
    def members(self) -> list[Candidate]:
        """Both members, read when the first head is made."""
        return [replace(member.load(), model=self.bundle.model) for member in self.bundle.members]

    def put_on(self, predictor: Predictor, weight: float) -> Predictor:
        """Return the predictor with the head that belongs to a weight of the pretrained model."""
        assert isinstance(predictor, ImagePredictor)  # noqa: S101 -- zero-shot tasks are of images
        if weight not in self._kept:
            if len(self._kept) == KEPT:
                self._kept.clear()
            self._kept[weight] = self._made(weight)
        return replace(predictor, classifier=replace(predictor.classifier, head=self._kept[weight]))

    def _made(self, weight: float) -> FixedHead:
        first, second = self.members
        merged = replace(first, tensors=interpolated(first.tensors, second.tensors, weight))
        return self.task.head_of(merged, keep=False).head(self.task.settings.device)


def own_heads(bundle: Bundle, task: Any) -> OwnHeads | None:
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
    return OwnHeads(task, bundle)


def interpolated(first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Return weight * first + (1 - weight) * second in float32; what is not floating is the first's."""
    return {
        name: weight * tensor.float() + (1 - weight) * second[name].float() if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }
