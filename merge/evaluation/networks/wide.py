"""Networks that are wider than their architecture says, as merging by PLeaS makes them.

Their files say so in their metadata. Of these alone, the layers of the architecture are given the sizes of the tensors;
every other misfit of shapes stays an error. Tensors in memory carry a mark, since they are renamed and picked on their
way into a module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...checkpoints.checkpoint import WIDE_KEY
from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

_MARK = "_is_of_a_wide_network"


def is_wide(metadata: Mapping[str, str]) -> bool:
    """Tell whether a checkpoint's metadata say that it is wider than its architecture."""
    return WIDE_KEY in metadata


def mark_wide(tensors: Iterable[Tensor]) -> None:
    """Mark tensors as those of a network that is wider than its architecture."""
    for tensor in tensors:
        setattr(tensor, _MARK, True)


def are_wide(tensors: Iterable[Tensor]) -> bool:
    """Tell whether tensors are those of a network that is wider than its architecture."""
    return any(getattr(tensor, _MARK, False) for tensor in tensors)


def resize_for(module: Any, tensors: Mapping[str, Tensor], architecture: str, *, where: str) -> None:
    """Give a module's layers the sizes of the tensors, where these are those of a wider network.

    Args:
        module: The module.
        tensors: By its own names.
        architecture: What it is, for messages.
        where: The model, for messages.

    Raises:
        MergeError: A layer cannot be given another size.
    """
    if are_wide(tensors.values()):
        resize_to(module, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, architecture, where=where)


def resize_to(module: Any, shapes: Mapping[str, tuple[int, ...]], architecture: str, *, where: str) -> None:
    """Give a module's layers the sizes of tensors of these shapes. Raises as `resize_for`."""
    from .resized_layers import resize

    try:
        resize(module, shapes)
    except ValueError as error:
        raise MergeError(f"{architecture} cannot be as wide as the weights: {error}", where=where) from None


def resizing_class(model_class: Any, shapes: Mapping[str, tuple[int, ...]], *, where: str) -> Any:
    """Return a class of transformers whose instances have layers of other sizes from the start.

    Args:
        model_class: The class.
        shapes: Of the parameters that differ, by the names that the module has.
        where: The model, for messages.
    """

    class Wide(model_class):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            resize_to(self, shapes, model_class.__name__, where=where)

    for name in ("__name__", "__qualname__", "__module__"):  # by which transformers finds what belongs to a class
        setattr(Wide, name, getattr(model_class, name))
    return Wide
