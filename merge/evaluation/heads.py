"""Fixed classification heads for image towers that have none: linear, or cosine with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MergeError, UsageError, suggest

if TYPE_CHECKING:
    from torch import Tensor

    from .specification import Benchmark, Head


@dataclass(frozen=True)
class FixedHead:
    """``features [n, f]`` ▸ ``logits [n, classes]`` by ``weight [classes, f]``.

    With a scale: scale * normalised features . normalised rows of the weight (+ bias); without: a linear layer.
    """

    weight: Tensor
    bias: Tensor | None
    scale: float | None
    label: str
    where: str

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits. Raises MergeError when the features have another size than the head."""
        from torch.nn.functional import linear, normalize

        if features.shape[1] != self.weight.shape[1]:
            what = f"the head takes {self.weight.shape[1]} features, the model gives {features.shape[1]}"
            raise MergeError(what, where=self.where)
        if self.scale is None:
            return linear(features, self.weight, self.bias)
        cosines = linear(normalize(features, dim=1), normalize(self.weight, dim=1))
        logits = self.scale * cosines
        return logits if self.bias is None else logits + self.bias


def read_head(benchmark: Benchmark, device: str) -> FixedHead | None:
    """Read the head that a benchmark names, if it names one, as float32.

    Raises:
        UsageError: The file holds no such tensor, or not one of a head's shape.
    """
    from .weights import read_tensors

    head = benchmark.head
    if head is None:
        return None
    tensors = read_tensors([head.path])
    if head.name not in tensors:
        hint = suggest(head.name, tensors) or f"there are: {', '.join(sorted(tensors))}"
        raise UsageError(f"no tensor '{head.name}' in {head.path.name}", where=head.where, hint=hint)
    weight, bias = tensors[head.name], tensors.get(f"{head.name}.bias")
    _check_shapes(weight, bias, head)
    return FixedHead(
        weight=weight.to(device).float(),
        bias=None if bias is None else bias.to(device).float(),
        scale=benchmark.logit_scale,
        label=head.label,
        where=head.where,
    )


def _check_shapes(weight: Tensor, bias: Tensor | None, head: Head) -> None:
    if weight.ndim != 2:
        what = f"the head '{head.name}' has shape {list(weight.shape)}; [classes, features] is expected"
        raise UsageError(what, where=head.where)
    if bias is not None and list(bias.shape) != [weight.shape[0]]:
        what = f"the bias '{head.name}.bias' has shape {list(bias.shape)}; [{weight.shape[0]}] is expected"
        raise UsageError(what, where=head.where)
