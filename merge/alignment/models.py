"""A checkpoint ▸ its network and a small example of what it reads, to be traced and to prove groups on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MergeError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.candidate import Candidate
    from ..evaluation.model_name import ModelName
    from .derive.trace import Inputs

BATCH = 2
SHAPE_HINT = "give the shape of its inputs, such as --input-shape 1x64"


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


def traceable(candidate: Candidate, model: str | None, input_shape: Sequence[int] | None = None) -> Traceable:
    """Build the network of a checkpoint, with inputs as its configuration says: a few tokens, two images.

    Args:
        candidate: The checkpoint.
        model: Its architecture by ``--model``; None: the ``config.json`` beside the weights.
        input_shape: Shape of the inputs with the batch, where neither configuration nor class says it.

    Raises:
        UsageError: Nothing says what architecture it has, or what it reads.
        MergeError: The checkpoint does not fit its architecture.
    """
    from ..evaluation.networks import check_model, choose_model

    check_model(model, None)
    architecture = choose_model(candidate, model, None)
    if architecture.kind == "open_clip":
        return _open_clip(candidate, architecture, input_shape)
    if architecture.kind in ("folder", "hf"):
        from .transformers_models import of_transformers

        return of_transformers(candidate, architecture) or _images(candidate, architecture, input_shape)
    return _images(candidate, architecture, input_shape)


def _images(candidate: Candidate, architecture: ModelName, input_shape: Sequence[int] | None) -> Traceable:
    """Return a network that reads images, or whatever a class of the user's own reads."""
    from ..calibration.feeds.placing import places_in
    from ..evaluation.networks import build_network

    network = build_network(candidate, architecture)
    names = network.names(True) if callable(network.names) else network.names
    places = places_in(network.module, names, candidate.tensors)
    if hasattr(network.module, "example_inputs") and input_shape is None:
        return Traceable(network.module, places, _examples(network.module, candidate.name))
    numbers = example_numbers(input_shape or _image_shape(network, candidate.name))
    module = network.module if architecture.kind == "file" else calling(network.module, network.outputs)
    return Traceable(module, places, (numbers,))


def _examples(module: Any, where: str) -> tuple[Tensor, ...]:
    """Return what a class of the user's own says it reads."""
    import torch

    examples = module.example_inputs()
    found = tuple(examples) if isinstance(examples, list | tuple) else (examples,)
    if not found or not all(isinstance(one, torch.Tensor) for one in found):
        raise UsageError("example_inputs() must give a tensor, or several", where=where, hint=SHAPE_HINT)
    return found


def _image_shape(network: Any, where: str) -> tuple[int, ...]:
    expects = network.expects
    if expects.size is None:
        raise UsageError(f"nothing says what {network.architecture} reads", where=where, hint=SHAPE_HINT)
    return (BATCH, expects.channels or 3, *expects.size)


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


def _open_clip(candidate: Candidate, architecture: ModelName, input_shape: Sequence[int] | None) -> Traceable:
    """Return both towers where the checkpoint has both, else the image tower."""
    from ..calibration.feeds.placing import places_in
    from ..evaluation.networks.open_clip_models import IMAGE_TOWER, create_open_clip, text_names
    from ..evaluation.networks.weights import load_strictly

    whole = create_open_clip(architecture, where=candidate.name)
    names = candidate.tensors.keys()
    if not (text_names(whole) & names and any(name.startswith(IMAGE_TOWER) for name in names)):
        return _images(candidate, architecture, input_shape)
    load_strictly(whole, candidate.tensors, architecture.label, where=candidate.name)
    places = places_in(whole, {name: name for name in names}, candidate.tensors)
    size = whole.visual.image_size
    pixels = example_numbers(input_shape or (BATCH, 3, *((size, size) if isinstance(size, int) else size)))
    return Traceable(calling(whole, lambda *inputs: _features(whole(*inputs))), places, (pixels, _texts(whole)))


def _features(outputs: Any) -> tuple[Any, Any]:
    """Return the features of images and of texts; what follows is their scale."""
    if isinstance(outputs, Mapping):
        return outputs["image_features"], outputs["text_features"]
    return outputs[0], outputs[1]


def _texts(whole: Any) -> Tensor:
    """Return tokens of the length that a text tower takes; the largest one is where a text ends."""
    towers: list[Any] = [whole, getattr(whole, "text", None)]
    for tower in towers:
        if hasattr(tower, "context_length") and hasattr(tower, "vocab_size"):
            tokens = numbered_tokens(tower.vocab_size - 1, tower.context_length, [0])
            tokens[:, -1] = tower.vocab_size - 1
            return tokens
    raise MergeError(f"nothing says what texts {type(whole).__name__} reads")
