"""The outputs of every layer that multiplies by a weight, before whatever function follows: seen, and corrected."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..calibration.facts import IN_OUT
from ..calibration.intercepting import Arguments, Handler
from ..calibration.masks import Masks
from ..calibration.products import OUT_IN
from .attention import attend
from .channel_sums import ChannelSums
from .correction import Correction, Goal, corrected, correction_to
from .layers import Layer, Layers, is_tensor
from .observer import Handlers, State

if TYPE_CHECKING:
    from torch import Tensor


class _Use(NamedTuple):
    """Which arguments of a function are weight and bias, and how a weight is stored that is used as it is."""

    arguments: tuple[str, ...]
    weight: str
    bias: str
    layout: str


_LINEAR = _Use(("input", "weight", "bias"), "weight", "bias", OUT_IN)
_ADDMM = _Use(("input", "mat1", "mat2"), "mat2", "input", IN_OUT)
_MM = _Use(("input", "mat2"), "mat2", "", IN_OUT)
_MATMUL = _Use(("input", "other"), "other", "", IN_OUT)


class PreActivations:
    """Measures the outputs of layers, and corrects them where there are goals.

    Args:
        places: The network's parameters by the checkpoint's names.
        where: The model, for messages.
        goals: By the name of the weight; layers without one stay as they are.

    Attributes:
        sums: Where outputs are added up, under the name of the weight.
        layers: Those that were met.
    """

    def __init__(self, places: Mapping[str, Tensor], where: str, goals: Mapping[str, Goal] | None = None) -> None:
        self._goals, self._masks = goals or {}, Masks()
        self.sums, self.layers = ChannelSums(where), Layers(places)

    def begin_batch(self, masks: Masks) -> None:
        """Take the masks of a batch, and forget which layers have run in the last one."""
        self._masks = masks
        self.layers.begin_batch()

    def state(self) -> State:
        """Return the sums, and which layers there were."""
        tensors, counts = self.sums.state()
        met = [list(layer) for layer in self.layers.met.values()]
        return tensors, {"counts": counts, "layers": met, "odd": self.layers.odd}

    def restore(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], device: str) -> None:
        """Undo `state`."""
        self.sums.restore(tensors, notes["counts"], device)
        self.layers.met = {layer[0]: Layer(*layer) for layer in notes["layers"]}
        self.layers.odd = dict(notes["odd"])

    def handlers(self) -> Handlers:
        """Return what stands in for torch's functions."""
        import torch
        from torch import Tensor
        from torch.nn import functional

        uses: list[tuple[_Use, tuple[Callable[..., Any], ...]]] = [
            (_LINEAR, (functional.linear, torch.conv1d, torch.conv2d, torch.conv3d)),
            (_ADDMM, (torch.addmm, Tensor.addmm)),
            (_MM, (torch.mm, Tensor.mm)),
            (_MATMUL, (torch.matmul, Tensor.matmul, Tensor.__matmul__)),
        ]
        found = {function: self._product(use) for use, functions in uses for function in functions}
        found |= dict.fromkeys((functional.embedding, functional.embedding_bag), self._embedding)
        return found | {functional.multi_head_attention_forward: self._attention}

    def _product(self, use: _Use) -> Handler:
        def handle(function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
            outputs = function(*args, **kwargs)
            given = dict(zip(use.arguments, args, strict=False)) | dict(kwargs)
            weight = given.get(use.weight)
            if use is not _LINEAR and not _is_plain(weight, given):
                return outputs
            layer = self.layers.meet(weight, given.get(use.bias), use.layout)
            if layer is None or not is_tensor(weight):
                return outputs
            axis = outputs.ndim - max(1, weight.ndim - 1)
            correction = self.see(layer, outputs, axis)
            return outputs if correction is None else corrected(outputs, correction, axis)

        return handle

    def see(self, layer: Layer, outputs: Tensor, axis: int) -> Correction | None:
        """Add outputs up.

        Args:
            layer: Whose.
            outputs: Of one batch.
            axis: That of their channels, from 0.

        Returns:
            What brings this batch of them to the goal, if there is one.

        Raises:
            MergeError: They are not finite.
        """
        moved = outputs.movedim(axis, -1)
        mask = self._masks.rows(moved)
        rows = moved.reshape(-1, moved.shape[-1]) if mask is None else moved[mask]
        found, goal = self.sums.add(layer.weight, rows), self._goals.get(layer.weight)
        if found is None or goal is None:
            return None
        return correction_to(goal, found.mean, found.variance, shifts=layer.bias is not None)

    def _embedding(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        given = dict(zip(("input", "weight"), args, strict=False)) | dict(kwargs)
        self.layers.meet_table(given.get("weight"))
        return function(*args, **kwargs)

    def _attention(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        return attend(function, given, self.layers.meet, self.see)


def _is_plain(weight: Any, given: Mapping[str, Any]) -> bool:
    """Tell whether a product is one with a single matrix, and its sum not weighted."""
    return is_tensor(weight) and weight.ndim == 2 and not {"alpha", "beta"} & given.keys()
