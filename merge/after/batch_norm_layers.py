"""BatchNorm layers as a checkpoint has them, and as a network calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..calibration.by_batch import named_arguments, normalized
from ..calibration.intercepting import Arguments
from ..calibration.masks import Masks
from ..errors import MergeError, UsageError
from .channel_sums import ChannelSums
from .observer import Handlers, State

if TYPE_CHECKING:
    from torch import Tensor

MEAN, VARIANCE, COUNT = "running_mean", "running_var", "num_batches_tracked"


def layers_in(names: Iterable[str]) -> list[str]:
    """Return what the names of a checkpoint's BatchNorm layers begin with: ``layer1.0.bn1.``, with the dot."""
    found = set(names)
    return [name.removesuffix(MEAN) for name in found if _ends(name, MEAN) and name[: -len(MEAN)] + VARIANCE in found]


def _ends(name: str, last: str) -> bool:
    return name == last or name.endswith(f".{last}")


def check_has_layers(names: Iterable[str], where: str) -> None:
    """Refuse a checkpoint without BatchNorm.

    Raises:
        UsageError: In one line.
    """
    if not layers_in(names):
        hint = "nothing has to be reset: other norms keep no statistics; merge repair corrects layers without BatchNorm"
        raise UsageError("the checkpoint has no BatchNorm statistics", where=where, hint=hint)


class BatchStatistics:
    """Lets BatchNorm layers normalize by their batch, as in training, and measures what comes in.

    The modules stay in evaluation mode, so that dropout and the like stay off, and their buffers are not touched.

    Args:
        places: The network's parameters and buffers by the checkpoint's names.
        where: The model, for messages.

    Attributes:
        sums: Where the inputs of every layer are added up, under the layer's beginning.
        owners: Every layer by its beginning, with the one under which it is added up: another one where the network
            calls one layer by several names.
    """

    def __init__(self, places: Mapping[str, Tensor], where: str) -> None:
        buffers = {layer: places[f"{layer}{MEAN}"].data_ptr() for layer in layers_in(places)}
        self._layers: dict[int, str] = {}
        self.owners = {layer: self._layers.setdefault(buffer, layer) for layer, buffer in buffers.items()}
        self._where, self.sums = where, ChannelSums(where)

    def handlers(self) -> Handlers:
        """Return what stands in for torch's function."""
        from torch.nn import functional

        return {functional.batch_norm: self._normalize}

    def begin_batch(self, masks: Masks) -> None:
        """Do nothing: all values of a batch count."""

    def state(self) -> State:
        """Return the sums."""
        return self.sums.state()

    def restore(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], device: str) -> None:
        """Undo `state`."""
        self.sums.restore(tensors, notes, device)

    def _normalize(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        given = named_arguments(args, kwargs)
        mean = given.get("running_mean")
        layer = None if mean is None else self._layers.get(mean.data_ptr())
        if layer is None:
            return function(*args, **kwargs)
        inputs = given["input"]
        if inputs.numel() == inputs.shape[1]:
            what = f"'{layer}' has to normalize a batch with no more than 1 value per channel"
            raise MergeError(what, where=self._where, hint="give more data, or a larger --batch-size")
        outputs = normalized(function, given)
        self.sums.add(layer, inputs.movedim(1, -1).reshape(-1, inputs.shape[1]))
        return outputs
