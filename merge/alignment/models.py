"""A checkpoint ▸ its network and a small example of what it reads, to be traced and to prove groups on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.candidate import Candidate
    from ..evaluation.model_name import ModelName
    from ..evaluation.networks import ImageNetwork
    from .derive.trace import Inputs

BATCH = 2
SIDE = 224  # of the images that most published models were trained on
SHAPE_HINT = "give its inputs' shape with the batch: --input-shape 2x3x224x224 for images, 2x64 for rows of features"


class Traceable(NamedTuple):
    """A network that can be traced.

    Attributes:
        module: In evaluation mode; its outputs are logits or features.
        places: Its parameters and buffers by the names that their tensors have in the checkpoint.
        inputs: An example: tensors by argument name, or in order.
    """

    module: Any
    places: Mapping[str, Tensor]
    inputs: Inputs


def traceable(
    candidate: Candidate,
    model: str | None,
    input_shape: Sequence[int] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Traceable:
    """Build the network of a checkpoint, with inputs as its configuration says: a few tokens, two images.

    Args:
        candidate: The checkpoint.
        model: Its architecture by ``--model``; None: the ``config.json`` beside the weights.
        input_shape: Shape of the inputs with the batch, where neither configuration nor class says it.
        note: Told what nothing says and what is taken instead.

    Raises:
        UsageError: Nothing says what architecture it has, or what it reads; or it reads no inputs of this shape.
        MergeError: The checkpoint does not fit its architecture.
    """
    from ..evaluation.networks import check_model, choose_model

    check_model(model, None)
    architecture = choose_model(candidate, model, None)
    if architecture.kind == "open_clip":
        from .open_clip_models import of_open_clip

        return of_open_clip(candidate, architecture, input_shape) or _images(candidate, architecture, input_shape)
    if architecture.kind == "file":
        from .own_models import of_own_class

        return of_own_class(candidate, architecture, input_shape)
    if architecture.kind in ("folder", "hf"):
        from .transformers_models import of_transformers

        found = of_transformers(candidate, architecture)
        if found is not None and input_shape is not None:
            raise UsageError(
                "--input-shape is for images and numbers, and this model reads texts", where=candidate.name
            )
        return found or _images(candidate, architecture, input_shape, note)
    return _images(candidate, architecture, input_shape, note)


def _images(
    candidate: Candidate,
    architecture: ModelName,
    input_shape: Sequence[int] | None,
    note: Callable[[str], None] = lambda text: None,
) -> Traceable:
    """Return a network that reads images."""
    from ..calibration.feeds.placing import places_in
    from ..evaluation.networks import build_network

    network = build_network(candidate, architecture)
    names = network.names(True) if callable(network.names) else network.names
    places = places_in(network.module, names, candidate.tensors)
    shape = _image_shape(network, input_shape, candidate.name)
    if shape is None:
        shape = (BATCH, network.expects.channels or 3, SIDE, SIDE)
        note(f"nothing says what size of images {network.architecture} reads: it is run on {_times(shape)}")
    return Traceable(calling(network.module, network.outputs), places, (example_numbers(shape),))


def _image_shape(network: ImageNetwork, given: Sequence[int] | None, where: str) -> Sequence[int] | None:
    """Return the shape of two images, None where nothing says their size. Raises UsageError for a shape of others."""
    channels, size = network.expects.channels, network.expects.size
    if given is None:
        return (BATCH, channels or 3, *size) if size else None
    wanted = (BATCH, channels or 3, *(size or (SIDE, SIDE)))
    if len(given) != len(wanted) or (channels is not None and given[1] != channels):
        what = f"{network.architecture} reads images, [batch, channels, height, width], not {_times(given)}"
        raise UsageError(what, where=where, hint=f"such as --input-shape {_times(wanted)}")
    return given


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def example_numbers(shape: Sequence[int]) -> Tensor:
    """Return numbers drawn from a standard normal distribution, always the same."""
    import numpy as np
    import torch

    return torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(shape), dtype=np.float32))


def numbered_tokens(count: int, length: int, avoid: Sequence[int | None]) -> Tensor:
    """Return tokens [2, length], always the same, without special ones as far as there are others.

    Args:
        count: Size of the vocabulary.
        length: Number of tokens.
        avoid: Tokens that end or fill up texts.
    """
    import numpy as np
    import torch

    plain = [token for token in range(count) if token not in avoid] or list(range(count))
    return torch.from_numpy(np.random.default_rng(0).choice(plain, (BATCH, length)).astype(np.int64))


def calling(module: Any, call: Callable[..., Any]) -> Any:
    """Return a module that holds another one and gives what a function makes of it.

    Args:
        module: What has the parameters.
        call: Inputs ▸ outputs, by way of the module.
    """
    import torch

    class Calling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return call(*args, **kwargs)

    Calling.__name__ = type(module).__name__  # what messages call it
    return Calling().eval()
