"""A class of the user's own, with whatever it reads: images, rows of features, sequences, tokens, several of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .models import BATCH, SHAPE_HINT, Traceable, example_numbers

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate
    from ..evaluation.model_name import ModelName
    from .derive.trace import Inputs

METHOD = "example_inputs()"
EXAMPLE_HINT = f"{SHAPE_HINT}; {METHOD} in the class may give any tensors"


def of_own_class(candidate: Candidate, architecture: ModelName, input_shape: Sequence[int] | None) -> Traceable:
    """Build a class of the user's file, with the checkpoint's weights, and an example of what it reads.

    Args:
        candidate: The checkpoint.
        architecture: File and class.
        input_shape: Shape of its input with the batch; None: what ``example_inputs()`` gives, a tensor, several in
            order or by the names of arguments, or images as the attributes ``channels`` and ``image_size`` say.

    Raises:
        UsageError: The class cannot be made, nothing says what it reads, or it does not run on that.
        MergeError: The checkpoint does not fit it.
    """
    from ..calibration.feeds.placing import places_in
    from ..evaluation.networks.own_class import make_own
    from ..evaluation.networks.weights import load_strictly

    module = make_own(architecture)
    load_strictly(module, candidate.tensors, architecture.detail, where=candidate.name)
    places = places_in(module, {name: name for name in candidate.tensors}, candidate.tensors)
    inputs = _inputs(module, architecture, input_shape)
    _check_runs(module, inputs, architecture, SHAPE_HINT if input_shape else f"{METHOD} must give what forward() takes")
    return Traceable(module, places, inputs)


def _inputs(module: Any, architecture: ModelName, input_shape: Sequence[int] | None) -> Inputs:
    if input_shape is not None:
        return (example_numbers(input_shape),)
    if hasattr(module, "example_inputs"):
        return _examples(module, architecture)
    size = getattr(module, "image_size", None)
    if isinstance(size, int) or (isinstance(size, list | tuple) and len(size) == 2):
        sides = (size, size) if isinstance(size, int) else size
        return (example_numbers((BATCH, getattr(module, "channels", 3), *sides)),)
    raise UsageError(f"nothing says what {architecture.detail} reads", where=architecture.name, hint=EXAMPLE_HINT)


def _examples(module: Any, architecture: ModelName) -> Inputs:
    """Return what a class says it reads."""
    import torch

    try:
        given = module.example_inputs()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise UsageError(f"{METHOD} fails: {_first_line(error)}", where=architecture.name) from error
    found: Inputs = (
        given if isinstance(given, Mapping) else tuple(given) if isinstance(given, list | tuple) else (given,)
    )
    tensors = list(found.values()) if isinstance(found, Mapping) else list(found)
    if not tensors or not all(isinstance(one, torch.Tensor) for one in tensors):
        what = f"{METHOD} must give a tensor, several in a tuple, or several by the names of forward()'s arguments"
        raise UsageError(what, where=architecture.name)
    return found


def _check_runs(module: Any, inputs: Inputs, architecture: ModelName, hint: str) -> None:
    """Refuse inputs that a module does not take."""
    import torch

    tensors = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
    shapes = " and ".join("x".join(map(str, one.shape)) for one in tensors)
    try:
        with torch.no_grad():
            module(**inputs) if isinstance(inputs, Mapping) else module(*inputs)
    except Exception as error:  # the user's code may raise anything
        what = f"{architecture.detail} does not run on {shapes}: {_first_line(error)}"
        raise UsageError(what, where=architecture.name, hint=hint) from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
