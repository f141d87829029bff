"""Give the layers of a torch module the sizes of the tensors that are to go into them.

It needs nothing but torch: a copy of this file goes beside networks that are wider than their architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

Shapes = Mapping[str, tuple[int, ...]]


def resize(module: nn.Module, shapes: Shapes) -> None:
    """Replace parameters and buffers by empty ones of other sizes, and let their layers know.

    Args:
        module: On any device, the meta device too. Tensors that several layers share stay shared.
        shapes: By the names that the module's state dict has; names that it lacks are of no account.

    Raises:
        ValueError: A layer that must change is of a kind that this does not know, or its sizes do not fit each other.
    """
    tensors = {**dict(module.named_buffers(remove_duplicate=False)), **_parameters(module)}
    wanted = {
        id(tensor): tuple(shapes[name])
        for name, tensor in tensors.items()
        if name in shapes and tuple(tensor.shape) != tuple(shapes[name])
    }
    made: dict[int, Any] = {}
    for path, layer in module.named_modules():
        own = {name: tensor for name, tensor in _own(layer).items() if id(tensor) in wanted}
        if own:
            _resize_layer(layer, path, {name: wanted[id(tensor)] for name, tensor in own.items()})
        for name, tensor in own.items():
            renewed = made.setdefault(id(tensor), _empty(tensor, wanted[id(tensor)]))
            (layer._parameters if name in layer._parameters else layer._buffers)[name] = renewed


def _parameters(module: nn.Module) -> dict[str, Any]:
    return dict(module.named_parameters(remove_duplicate=False))


def _own(layer: nn.Module) -> dict[str, Any]:
    """Return a layer's own parameters and buffers."""
    found = {**layer._parameters, **layer._buffers}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _empty(tensor: Any, shape: tuple[int, ...]) -> Any:
    made = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
    return nn.Parameter(made, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


def _resize_layer(layer: nn.Module, path: str, shapes: Shapes) -> None:
    """Set a layer's numbers."""
    kind = next((change for fits, change in _KINDS if fits(layer)), None)
    if kind is None:
        raise ValueError(f"'{path}' is {type(layer).__name__}, which cannot be given another size")
    after = {name: shapes.get(name, tuple(tensor.shape)) for name, tensor in _own(layer).items()}
    if not kind(layer, after):
        told = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"'{path}' ({type(layer).__name__}) cannot have {told}")


def _linear(layer: Any, after: Shapes) -> bool:
    if len(after["weight"]) != 2:
        return False
    layer.out_features, layer.in_features = after["weight"]
    return after.get("bias", (layer.out_features,)) == (layer.out_features,)


def _transposed(layer: Any, after: Shapes) -> bool:
    """Change the Conv1D of transformers, a Linear whose weight is [inputs, outputs]."""
    if len(after["weight"]) != 2:
        return False
    layer.nx, layer.nf = after["weight"]
    return after.get("bias", (layer.nf,)) == (layer.nf,)


def _convolution(layer: Any, after: Shapes) -> bool:
    """Change a convolution without groups, or a depthwise one with a whole number of outputs for each input."""
    weight = after["weight"]
    if weight[2:] != tuple(layer.kernel_size) or after.get("bias", weight[:1]) != weight[:1]:
        return False
    if layer.groups == 1:
        layer.out_channels, layer.in_channels = weight[:2]
        return True
    if layer.groups != layer.in_channels or weight[1] != 1:
        return False
    each = layer.out_channels // layer.in_channels
    layer.out_channels, layer.in_channels = weight[0], weight[0] // each
    layer.groups = layer.in_channels
    return bool(weight[0] % each == 0)


def _by_channel(layer: Any, after: Shapes) -> bool:
    """Change a norm of every channel by itself."""
    sizes = {shape for shape in after.values() if shape}
    if len(sizes) != 1:
        return False
    (layer.num_features,) = next(iter(sizes))
    return True


def _embedding(layer: Any, after: Shapes) -> bool:
    layer.num_embeddings, layer.embedding_dim = after["weight"]
    return layer.padding_idx is None or layer.padding_idx < layer.num_embeddings


def _slopes(layer: Any, after: Shapes) -> bool:
    (layer.num_parameters,) = after["weight"]
    return True


def _is(*kinds: Any) -> Callable[[nn.Module], bool]:
    return lambda layer: isinstance(layer, kinds)


_KINDS: list[tuple[Callable[[nn.Module], bool], Callable[[Any, Shapes], bool]]] = [
    (_is(nn.Linear), _linear),
    (_is(nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    (_is(nn.modules.batchnorm._NormBase), _by_channel),
    (_is(nn.Embedding), _embedding),
    (_is(nn.PReLU), _slopes),
    (lambda layer: type(layer).__name__ == "Conv1D" and hasattr(layer, "nf"), _transposed),
]
