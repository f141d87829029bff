"""torch's fused attention with the outputs of its projections seen and corrected.

``in_proj_weight`` [3 * width, width] holds the projections of queries, keys and values; where these are one tensor, it
is a linear layer with 3 * width outputs. Separate projections, as in cross attention, stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..calibration.watched_attention import items_first, joined_heads, project
from .correction import Correction, corrected
from .layers import Layer

if TYPE_CHECKING:
    from torch import Tensor

Meet = Callable[[Any, Any], Layer | None]
See = Callable[[Layer, "Tensor", int], Correction | None]


def attend(function: Callable[..., Any], given: Mapping[str, Any], meet: Meet, see: See) -> Any:
    """Compute `torch.nn.functional.multi_head_attention_forward`.

    Args:
        function: The function.
        given: Its arguments by name.
        meet: Weight and bias ▸ the layer, if it is one that counts.
        see: Layer, outputs [items, tokens, width] and their axis ▸ what corrects them.

    Returns:
        What the function returns.
    """
    weight, bias = given["out_proj_weight"], given["out_proj_bias"]
    heads, scores = joined_heads(function, dict(given) | _projection(given, meet, see))
    outputs = items_first(project(heads, weight, bias))
    layer = meet(weight, bias)
    correction = None if layer is None else see(layer, outputs, outputs.ndim - 1)
    return items_first(outputs if correction is None else corrected(outputs, correction, -1)), scores


def _projection(given: Mapping[str, Any], meet: Meet, see: See) -> dict[str, Tensor]:
    """Return the joint projection with its correction folded in, if there is one."""
    from torch.nn import functional

    query, weight, bias = given["query"], given["in_proj_weight"], given["in_proj_bias"]
    if given.get("use_separate_proj_weight") or not (query is given["key"] is given["value"]):
        return {}
    layer = meet(weight, bias)
    if layer is None:
        return {}
    outputs = items_first(functional.linear(query, weight, bias))
    correction = see(layer, outputs, outputs.ndim - 1)
    if correction is None:
        return {}
    scale, shift = (part.to(weight.dtype) for part in correction)
    folded = {"in_proj_weight": weight * scale[:, None]}
    return folded if bias is None else folded | {"in_proj_bias": bias * scale + shift}
