"""``torch.nn.MultiheadAttention``: one bare matrix for three projections, and its child's weights read, not called."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..axes import BatchAxisError
from ..between import between
from ..pairs import own_tensors
from .products import combined
from .site import Site

Project = Callable[[Tensor], Tensor]


def attention(
    site: Site,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,  # only ever says what attn_mask holds
) -> tuple[Tensor, Tensor | None]:
    """Return what attention with interpolated projections gives, with the arguments and results of torch's own.

    Raises:
        BatchAxisError: For what it does not know: keys of another width, biases for keys, inputs without a batch.
    """
    layer: Any = site.first
    if query.ndim != 3 or not layer._qkv_same_embed_dim or layer.bias_k is not None or layer.add_zero_attn:
        raise BatchAxisError(f"{site.name}: an attention of another kind")
    if not layer.batch_first:
        query, key, value = _batch_first(query, key, value)
    projected = _projected(site, query, key, value)
    query, key, value = (
        part.view(*part.shape[:2], layer.num_heads, -1).transpose(1, 2) for part in projected
    )  # [batch, heads, length, width]
    mask = _mask(attn_mask, key_padding_mask, query, key.shape[2])
    mixed, attended = _attend(query, key, value, mask, need_weights)
    output = _product(site, "out_proj", mixed.transpose(1, 2).flatten(2))
    if attended is not None and average_attn_weights:
        attended = attended.mean(1)
    return (output if layer.batch_first else output.transpose(0, 1)), attended


def _batch_first(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return [batch, length, width] of [length, batch, width]; one tensor given thrice stays one tensor."""
    turned = {id(part): part.transpose(0, 1) for part in (query, key, value)}
    return turned[id(query)], turned[id(key)], turned[id(value)]


def _projected(site: Site, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values [batch, length, width]."""
    if query is key is value:
        first, second, third = _product(site, "in_proj", query).chunk(3, dim=-1)
        return first, second, third
    width = query.shape[-1]
    first, second, third = (
        _product(site, "in_proj", part, slice(number * width, (number + 1) * width))
        for number, part in enumerate((query, key, value))
    )
    return first, second, third


def _product(site: Site, name: str, tensor: Tensor, rows: slice = slice(None)) -> Tensor:
    """Return a projection of [batch, length, width] by rows of both networks' matrices, interpolated."""
    run_first, run_second = (_projection(layer, name, rows) for layer in (site.first, site.second))
    second = run_second(tensor)
    if site.moment.one_sample is not None:
        return between(run_first(tensor), second, site.moment.one_sample)
    if len(second) % len(site.moment.batch):
        raise BatchAxisError(f"{site.name}: {len(second)} entries along the batch")
    return combined(site.moment, second, 0, run_first, tensor)


def _projection(layer: Any, name: str, rows: slice) -> Project:
    if name == "in_proj":
        held = own_tensors(layer)
        weight, bias = held["in_proj_weight"], held.get("in_proj_bias")
    else:
        held = own_tensors(layer.out_proj)
        weight, bias = held["weight"], held.get("bias")
    return lambda tensor: functional.linear(tensor, weight[rows], None if bias is None else bias[rows])


def _mask(attn_mask: Tensor | None, padding: Tensor | None, query: Tensor, keys: int) -> Tensor | None:
    """Return what is added to the scores [batch, heads, queries, keys], or None.

    Args:
        attn_mask: [queries, keys] or [batch * heads, queries, keys]; added, or True where nothing is looked at.
        padding: [batch, keys], likewise.
        query: [batch, heads, queries, width].
        keys: Their number.
    """
    parts = []
    if attn_mask is not None:
        shape = (*query.shape[:3], keys) if attn_mask.ndim == 3 else (1, 1, query.shape[2], keys)
        parts.append(_added(attn_mask, query).reshape(shape))
    if padding is not None:
        parts.append(_added(padding, query)[:, None, None, :])
    return sum(parts[1:], parts[0]) if parts else None


def _added(mask: Tensor, query: Tensor) -> Tensor:
    if mask.is_floating_point():
        return mask.to(query.dtype)
    return torch.zeros(mask.shape, dtype=query.dtype, device=mask.device).masked_fill(mask, -math.inf)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the mixed values [batch, heads, queries, width], and how keys were weighed where that is asked for."""
    if not need_weights:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask), None
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    attended = (scores if mask is None else scores + mask).softmax(-1)
    return attended @ value, attended
