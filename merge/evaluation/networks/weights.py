"""Tensors into a torch module, such that every single parameter comes from the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, some_of
from .wide import are_wide, mark_wide, resize_for

if TYPE_CHECKING:
    from torch import Tensor

# Buffers that some library versions save and others do not; they hold no knowledge.
OPTIONAL_BUFFERS = ("num_batches_tracked", "position_ids")


@contextmanager
def no_global_randomness() -> Iterator[None]:
    """Let a module draw the initial weights that are about to be replaced without moving torch's generator."""
    import torch

    with torch.random.fork_rng(devices=[]):
        yield


def load_strictly(module: Any, tensors: Mapping[str, Tensor], architecture: str, *, where: str) -> None:
    """Put tensors into a module, under exactly the names that it has, and set it to evaluate.

    Tensors of a network that is wider than its architecture (`merge.evaluation.networks.wide`) widen its layers first.

    Raises:
        MergeError: A parameter is missing, left over, or of another shape; names them.
    """
    resize_for(module, tensors, architecture, where=where)
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
    texts = [f"{len(names)} {kind}: {some_of(sorted(names))}" for kind, names in problems.items() if names]
    if texts:
        raise MergeError(f"the weights do not fit {architecture}; " + "; ".join(texts), where=where)


def refuse_without_image_tower(tensors: Collection[str], prefix: str, *, where: str) -> None:
    """Raise MergeError when no tensor of a model of images and texts belongs to its image tower."""
    if not any(name.startswith(prefix) for name in tensors):
        raise MergeError(f"the image tower is missing: no tensor is named {prefix}…", where=where)


def trace_names(
    rebuild: Callable[[Mapping[str, Tensor]], Any],
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    lenient: bool = False,
) -> dict[str, str]:
    """Find which parameter or buffer of a module each tensor of a checkpoint becomes.

    Libraries rename on the way in, so names do not tell. The module is built once more from tensors that each hold
    their own number everywhere; where a number comes out, that tensor went in.

    Args:
        rebuild: Builds the module from tensors of the checkpoint's names and shapes.
        tensors: Of the checkpoint.
        where: The model, for messages.
        lenient: Leave out parameters that are put together or computed.

    Returns:
        The module's own name by the tensor's; tensors that the module has no use for are left out.

    Raises:
        MergeError: A parameter is put together from several tensors, or computed from one, and that is not ``lenient``.
    """
    import torch

    floating = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
    # One number of memory each, whatever the shape: the checkpoint is in memory already.
    numbered = {name: torch.tensor(number + 1.0).expand(tensors[name].shape) for number, name in enumerate(floating)}
    if are_wide(tensors.values()):
        mark_wide(numbered.values())
    module = rebuild({**tensors, **numbered})
    buffers = {here: (tensor, False) for here, tensor in module.named_buffers()}
    parameters = {here: (tensor, True) for here, tensor in module.named_parameters(remove_duplicate=False)}
    found: dict[str, str] = {}
    for here, (tensor, needed) in {**buffers, **parameters}.items():
        number = _number(tensor, len(floating))
        if number is not None:
            found[floating[number]] = here
        elif needed and tensor.numel() and not lenient:
            what = f"{type(module).__name__} rearranges its tensors when it is loaded ({here})"
            raise MergeError(what, where=where, hint="nothing can be learned on it; --strategy greedy works")
    return found


def _number(tensor: Tensor, count: int) -> int | None:
    """Return the number that a tensor holds everywhere, counted from 0, if it does and there is such a number."""
    if not tensor.is_floating_point() or not tensor.numel():
        return None
    low, high = (float(end) for end in tensor.detach().aminmax())
    return int(low) - 1 if low == high and low.is_integer() and 1 <= low <= count else None


def _weighty(names: Collection[str]) -> list[str]:
    return [name for name in names if not name.endswith(OPTIONAL_BUFFERS)]
