"""Tensors into a torch module, such that every single parameter comes from the checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

# Buffers that some library versions save and others do not; they hold no knowledge.
OPTIONAL_BUFFERS = ("num_batches_tracked", "position_ids")
NAMES_SHOWN = 5


@contextmanager
def no_global_randomness() -> Iterator[None]:
    """Let a module draw the initial weights that are about to be replaced without moving torch's generator."""
    import torch

    with torch.random.fork_rng(devices=[]):
        yield


def load_strictly(module: Any, tensors: Mapping[str, Tensor], architecture: str, *, where: str) -> None:
    """Put tensors into a module, under exactly the names that it has, and set it to evaluate.

    Raises:
        MergeError: A parameter is missing, left over, or of another shape; names them.
    """
    own = module.state_dict()
    shared = {own[name].data_ptr() for name in tensors if name in own}
    missing = [name for name in own if name not in tensors and own[name].data_ptr() not in shared]
    shapes = [
        f"{name} {list(tensors[name].shape)} for {list(own[name].shape)}"
        for name in tensors
        if name in own and tensors[name].shape != own[name].shape
    ]
    refuse_misfits(missing, [name for name in tensors if name not in own], shapes, architecture, where=where)
    module.load_state_dict({name: tensor for name, tensor in tensors.items() if name in own}, strict=False)
    module.eval()


def refuse_misfits(
    missing: Collection[str],
    left_over: Collection[str],
    shapes: Collection[str],
    architecture: str,
    *,
    where: str,
) -> None:
    """Raise MergeError when a tensor is missing, left over or of another shape, buffers without knowledge aside."""
    problems = {"missing": _weighty(missing), "left over": _weighty(left_over), "of another shape": shapes}
    texts = [f"{len(names)} {kind}: {_some(names)}" for kind, names in problems.items() if names]
    if texts:
        raise MergeError(f"the weights do not fit {architecture}; " + "; ".join(texts), where=where)


def refuse_without_image_tower(tensors: Collection[str], prefix: str, *, where: str) -> None:
    """Raise MergeError when no tensor of a model of images and texts belongs to its image tower."""
    if not any(name.startswith(prefix) for name in tensors):
        raise MergeError(f"the image tower is missing: no tensor is named {prefix}…", where=where)


def match_names(tensors: Mapping[str, Tensor], module: Any) -> dict[str, str]:
    """Find which parameter a library put each tensor into, where it resolves prefixes by itself.

    Args:
        tensors: Of the checkpoint.
        module: What was built from them.

    Returns:
        The parameter's name by the tensor's; only where one name ends with the other and the values are equal.
    """
    own = dict(module.named_parameters(remove_duplicate=False))
    return {name: here for name, tensor in tensors.items() if (here := _same(name, tensor, own)) is not None}


def _same(name: str, tensor: Tensor, own: Mapping[str, Tensor]) -> str | None:
    import torch

    near = [name, *(here for here in own if here.endswith(f".{name}") or name.endswith(f".{here}"))]
    for here in near:
        parameter = own.get(here)
        if parameter is not None and parameter.shape == tensor.shape:
            held = parameter.detach().cpu()
            if torch.equal(held.nan_to_num(), tensor.to(held.dtype).nan_to_num()):
                return here
    return None


def _weighty(names: Collection[str]) -> list[str]:
    return [name for name in names if not name.endswith(OPTIONAL_BUFFERS)]


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:NAMES_SHOWN]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
