"""Where in a network a checkpoint's tensors are, tied ones too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def places_in(module: Any, names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return parameters and buffers by the checkpoint's names, if they hold what the checkpoint does.

    What a library transposed or computed when it loaded a tensor is left out: nothing learned of it would fit. A
    checkpoint may store a tied weight under each of its names, of which the network takes one; the others lead to the
    same parameter, if the network calls it so.

    Args:
        module: The network.
        names: Its own names by the checkpoint's.
        tensors: Of the checkpoint.
    """
    own = dict(module.named_buffers()) | dict(module.named_parameters(remove_duplicate=False))
    found = {name: own[here] for name, here in names.items() if here in own}
    taken = {id(place) for place in found.values()}
    found |= {name: own[name] for name in tensors if name not in found and id(own.get(name)) in taken}
    return {name: place for name, place in found.items() if _holds(place, tensors[name])}


def _holds(place: Tensor, tensor: Tensor) -> bool:
    import torch

    if place.shape != tensor.shape:
        return False
    wanted = tensor.to(place.device, place.dtype)
    return torch.equal(place, wanted) or bool(((place == wanted) | (place.isnan() & wanted.isnan())).all())
