"""Which of a model's tensors have statistics, and why the others have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .declared import GramCalibration
    from .gram_sums import GramSums
    from .watch import Watch

EMBEDDING = "embedding, or tied to one"
SHARED = "one parameter of several names"
CONVOLUTION = "convolution; --convolutions includes it"
GROUPED = "convolution in groups or in three dimensions"
BOTH_WAYS = "multiplied by as it is and transposed"
NO_PLACE = "without a place of its own in the network"  # experts that the network keeps in one tensor
FROZEN = "not trained"  # statistics of BatchNorm and other buffers
NOT_RUN = "never multiplied by as a whole"  # an expert without a token, a class token, an unused head


def why_without_gradient(
    tensors: Mapping[str, Tensor], places: Mapping[str, Tensor], found: Collection[str]
) -> dict[str, str]:
    """Return the reason by the name of every floating tensor without Fisher information.

    Args:
        tensors: The checkpoint's.
        places: The network's parameters and buffers.
        found: Names that have it.
    """
    left = [name for name, tensor in tensors.items() if tensor.is_floating_point() and name not in found]
    return {name: FROZEN if name in places else NO_PLACE for name in left}


def parameters_to_watch(places: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the matrices and filters among parameters, without those that several names share."""
    names = Counter(id(place) for place in places.values())
    return {name: place for name, place in places.items() if _is_matrix(place) and names[id(place)] == 1}


def _is_matrix(place: Tensor) -> bool:
    return place.ndim >= 2 and place.is_floating_point()


def why_left_out(
    tensors: Mapping[str, Tensor],
    places: Mapping[str, Tensor],
    found: Collection[str],
    watch: Watch,
    sums: GramSums,
    options: GramCalibration,
) -> dict[str, str]:
    """Return the reason by the name of every matrix or filter without a Gram matrix.

    Args:
        tensors: The checkpoint's.
        places: The network's parameters and buffers.
        found: Names that have one.
        watch: What was seen.
        sums: What was made of it.
        options: What was asked for.
    """
    watched = parameters_to_watch(places)

    def reason(name: str) -> str:
        if name not in places:
            return NO_PLACE
        if name not in watched:
            return SHARED
        if name in watch.embeddings:
            return EMBEDDING
        if name in sums.mixed:
            return BOTH_WAYS
        if name in watch.filters:
            return GROUPED if options.convolutions else CONVOLUTION
        return NOT_RUN

    everything = dict(tensors) | dict(places)
    return {name: reason(name) for name, tensor in everything.items() if _is_matrix(tensor) and name not in found}
