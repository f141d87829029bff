"""The layers of a plain network, told from the names and shapes of its tensors, in the order in which they are run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise, permutations

from ..expanding import Shapes

STATISTICS = ("running_mean", "running_var")
_NORM = {"weight", "bias", *STATISTICS, "num_batches_tracked"}
_NUMBER = re.compile(r"\d+")
_MOST_STEMS = 5


@dataclass
class Layer:
    """A linear layer or a convolution, with what acts on each of its channels alone.

    Attributes:
        module: Name of the module that holds the weight.
        made: Channels that it makes.
        used: Channels that it reads; places count, where it reads a flattened image.
        dimensions: Of its weight: 2 for a linear layer.
        bias: Whether it has one.
        norms: Modules that follow, with the names of their tensors.
    """

    module: str
    made: int
    used: int
    dimensions: int
    bias: bool
    norms: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """The module's name without its numbers."""
        return _NUMBER.sub("#", self.module)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers in the module's name."""
        return numbers(self.module)


def numbers(name: str) -> tuple[int, ...]:
    """Return the numbers in a name."""
    return tuple(int(number) for number in _NUMBER.findall(name))


def plain_chain(shapes: Shapes) -> list[Layer] | None:
    """Return the layers, the first to be run first, or None when the tensors are not those of a plain chain.

    The layers of a sequence go by their numbers. Where there are several sequences, such as ``features`` and
    ``classifier``, just one order of them must fit by the shapes.
    """
    modules = _modules(shapes)
    layers = [_layer(name, parameters) for name, parameters in modules.items() if _is_layer(parameters)]
    if len(layers) < 2 or None in layers:
        return None
    ordered = _ordered([layer for layer in layers if layer is not None])
    if ordered is None:
        return None
    norms = {name: parameters for name, parameters in modules.items() if not _is_layer(parameters)}
    return ordered if all(_attach(name, parameters, ordered) for name, parameters in norms.items()) else None


def links(before: Layer, after: Layer) -> bool:
    """Tell whether a layer can read what another makes, flattened where an image becomes a list of numbers."""
    if after.dimensions > 2:
        return before.dimensions == after.dimensions and before.made == after.used
    flattened = before.dimensions > 2 and after.used % before.made == 0
    return before.made == after.used or flattened


def _modules(shapes: Shapes) -> dict[str, dict[str, tuple[int, ...]]]:
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        module, _, parameter = name.rpartition(".")
        found.setdefault(module, {})[parameter] = shape
    return found


def _is_layer(parameters: dict[str, tuple[int, ...]]) -> bool:
    return len(parameters.get("weight", ())) > 1


def _layer(module: str, parameters: dict[str, tuple[int, ...]]) -> Layer | None:
    """Return the layer of a module, or None when it has other tensors than weight and bias."""
    made, used, *_ = weight = parameters["weight"]
    if not parameters.keys() <= {"weight", "bias"} or parameters.get("bias", (made,)) != (made,) or 0 in weight:
        return None
    return Layer(module, made, used, len(weight), "bias" in parameters)


def _ordered(layers: list[Layer]) -> list[Layer] | None:
    """Return the layers in the only order that fits, or None."""
    layers = sorted(layers, key=lambda layer: (layer.stem, layer.numbers))
    sequences = [list(sequence) for _, sequence in groupby(layers, key=lambda layer: layer.stem)]
    nested = any(len(layer.numbers) > 1 for layer in layers)
    if len(sequences) > _MOST_STEMS or (nested and len(sequences) > 1):
        return None  # blocks of several layers may be joined in any way, with sums between them
    joined = [[layer for sequence in order for layer in sequence] for order in permutations(sequences)]
    fitting = [order for order in joined if all(links(one, other) for one, other in pairwise(order))]
    return fitting[0] if len(fitting) == 1 else None


def _attach(module: str, parameters: dict[str, tuple[int, ...]], layers: list[Layer]) -> bool:
    """Give a norm to the layer whose channels it acts on; tell whether just one can be meant."""
    sizes = {shape for name, shape in parameters.items() if name != "num_batches_tracked"}
    if not parameters.keys() <= _NORM or len(sizes) != 1 or len(next(iter(sizes))) != 1:
        return False
    ((size,),) = sizes
    meant = list(_before(module, size, layers))
    if len(meant) == 1 and meant[0].made == size:
        meant[0].norms.append((module, list(parameters)))
        return True
    return not meant and size == layers[0].used and _is_first(module, layers)


def _before(module: str, size: int, layers: list[Layer]) -> Iterator[Layer]:
    """Yield the layers that a norm may follow: the last before it in its sequence, or those of its number and size."""
    stem, own = _NUMBER.sub("#", module), numbers(module)
    sequence = [layer for layer in layers if layer.stem == stem]
    if sequence:
        yield from [layer for layer in sequence if layer.numbers < own][-1:]
    else:
        yield from (layer for layer in layers if own and layer.numbers == own and layer.made == size)


def _is_first(module: str, layers: list[Layer]) -> bool:
    """Tell whether a norm stands before the first layer, in its sequence."""
    return _NUMBER.sub("#", module) == layers[0].stem and numbers(module) < layers[0].numbers
