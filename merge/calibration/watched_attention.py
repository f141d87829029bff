"""torch's fused attention, taken apart just enough to see the inputs of its four projections."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

See = Callable[[Any, Any], None]


def attend(see: See, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute `torch.nn.functional.multi_head_attention_forward`, and tell what its projections are applied to.

    ``in_proj_weight`` [3 * width, width] holds the projections of queries, keys and values. It has one Gram matrix
    only where these three are the same tensor: with each output row a regression of its own, that is three Linears of
    one input. In cross attention it has none.

    Args:
        see: Told of inputs [items, tokens, width] and of the weight that they are multiplied by.
        function: The function.
        args: Its positional arguments.
        kwargs: Its arguments by name.

    Returns:
        What the function returns.
    """
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    _see_inputs(see, given)
    heads, scores = joined_heads(function, given)
    see(items_first(heads), given["out_proj_weight"])
    return project(heads, given["out_proj_weight"], given["out_proj_bias"]), scores


def _see_inputs(see: See, given: Mapping[str, Any]) -> None:
    query, key, value = given["query"], given["key"], given["value"]
    if given.get("use_separate_proj_weight"):
        for name, inputs in (("q_proj_weight", query), ("k_proj_weight", key), ("v_proj_weight", value)):
            see(items_first(inputs), given[name])
    elif query is key and key is value:
        see(items_first(query), given["in_proj_weight"])


def joined_heads(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Return the joined heads [tokens, items, width], got with an identity as their projection, and the scores."""
    import torch

    weight = given["out_proj_weight"]
    identity = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
    return function(**(dict(given) | {"out_proj_weight": identity, "out_proj_bias": None}))


def project(heads: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply as the function itself does, by one product of matrices, so that rounding is the same."""
    from torch.nn import functional

    flat = functional.linear(heads.reshape(-1, heads.shape[-1]), weight, bias)
    return flat.view(*heads.shape[:-1], flat.shape[-1])


def items_first(inputs: Tensor) -> Tensor:
    """Turn [tokens, items, width], in which the function computes, round; [tokens, width] has no items."""
    return inputs.transpose(0, 1) if inputs.ndim == 3 else inputs
