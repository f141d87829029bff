"""Which layer of a checkpoint a product of a network is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from ..calibration.facts import IN_OUT
from ..calibration.left_out import parameters_to_watch
from ..calibration.products import OUT_IN
from ..calibration.watch import known_weights, weight_key

if TYPE_CHECKING:
    from torch import Tensor


class Layer(NamedTuple):
    """A layer by the names of its tensors in the checkpoint; ``layout`` is how its weight is stored."""

    weight: str
    bias: str | None
    layout: str


class Layers:
    """Layers as they are met.

    Args:
        places: The network's parameters by the checkpoint's names.

    Attributes:
        met: Those that were met so far, by the name of the weight.
        odd: Why one of them cannot be corrected, by the name of the weight.
    """

    def __init__(self, places: Mapping[str, Tensor]) -> None:
        uses = Counter(place.data_ptr() for place in places.values())
        vectors = {name: place for name, place in places.items() if place.ndim == 1 and uses[place.data_ptr()] == 1}
        self._weights = known_weights(parameters_to_watch(places))
        self._biases = {place.data_ptr(): name for name, place in vectors.items()}
        self._batch: Counter[str] = Counter()
        self.met: dict[str, Layer] = {}
        self.odd: dict[str, str] = {}

    def begin_batch(self) -> None:
        """Forget which layers have run in the last batch."""
        self._batch.clear()

    def meet(self, weight: Any, bias: Any, layout: str = OUT_IN) -> Layer | None:
        """Return the layer with this weight, if that is a parameter, or the transpose of one, and runs once a batch."""
        name, transposed = self._weights.get(weight_key(weight), ("", False)) if is_tensor(weight) else ("", False)
        if not name:
            return None
        if transposed:
            layout = IN_OUT if layout == OUT_IN else OUT_IN
        named = self._biases.get(bias.data_ptr()) if is_tensor(bias) else None
        self._batch[name] += 1
        if self._batch[name] > 1:
            self.odd[name] = "it runs several times on the way"
        elif bias is not None and named is None:
            self.odd[name] = "its bias is no tensor of its own"
        self.met.setdefault(name, Layer(name, named, layout))
        return None if name in self.odd else self.met[name]

    def meet_table(self, weight: Any) -> None:
        """Note that a parameter is used as a table of embeddings, which must not be scaled."""
        name, _ = self._weights.get(weight_key(weight), ("", False)) if is_tensor(weight) else ("", False)
        if name:
            self.odd[name] = "embedding, or tied to one"


def is_tensor(value: Any) -> TypeGuard[Tensor]:
    """Tell whether something is a tensor whose entries lie in memory."""
    import torch

    return isinstance(value, torch.Tensor) and value.layout == torch.strided
