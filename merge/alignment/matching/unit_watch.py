"""See the units of a network while it runs: what its matrices and filters are applied to, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ...calibration.facts import IN_OUT
from ...calibration.intercepting import Arguments
from ...calibration.patches import Convolution, bound
from ...calibration.watch import Watch

if TYPE_CHECKING:
    from torch import Tensor

Side = Literal["input", "output"]
Spot = tuple[str, int, Side]  # a parameter, which of its axes, and whether what it reads or what it writes


class Seer(Protocol):
    """A function that is told of units."""

    def __call__(self, spot: Spot, values: Tensor, source: Any) -> None:
        """Be told.

        Args:
            spot: The axis of a parameter that belongs to the units.
            values: [..., units].
            source: The tensor that a parameter was applied to; the same object where several read the same.
        """


class UnitWatch(Watch):
    """A context in which a function is told of units; what the network computes stays the same.

    Outputs of matrices are given before a bias is added.

    Args:
        parameters: Parameters by name.
        see: Told of every input, and of the outputs that are asked for.
        outputs: Spots whose outputs are wanted; inputs are told of always.
    """

    def __init__(self, parameters: Mapping[str, Tensor], see: Seer, outputs: Collection[Spot] = ()) -> None:
        super().__init__(parameters, self._product_seen, convolutions=True)
        self._see_units, self._outputs = see, frozenset(outputs)

    def _product_seen(self, name: str, inputs: Tensor, layout: str) -> None:
        axis = 0 if layout == IN_OUT else 1
        self._see_units((name, axis, "input"), inputs, inputs)
        spot: Spot = (name, 1 - axis, "output")
        if spot in self._outputs:
            weight = self._parameters[name].detach()
            self._see_units(spot, inputs @ (weight if layout == IN_OUT else weight.T), None)

    def _convolution(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        given = bound(args, kwargs)
        name, _ = self._find(given.weight)
        outputs = function(*args, **kwargs)
        if name is not None:
            self._filtered(name, given, outputs)
        return outputs

    def _filtered(self, name: str, given: Convolution, outputs: Tensor) -> None:
        axis = _input_axis(given)
        dimensions = given.weight.ndim - 2
        if axis is not None:
            self._see_units((name, axis, "input"), _last(given.input, dimensions), given.input)
        if (name, 0, "output") in self._outputs:
            self._see_units((name, 0, "output"), _last(outputs, dimensions), None)


def _input_axis(given: Convolution) -> int | None:
    """Return the axis of the filters that the input's channels belong to; None of a convolution in groups."""
    if given.groups == 1:
        return 1
    return 0 if given.groups == given.weight.shape[0] == given.input.shape[1 - given.weight.ndim] else None


def _last(images: Tensor, dimensions: int) -> Tensor:
    """Move channels, which lie in front of the dimensions of space, to the end."""
    return images.movedim(-1 - dimensions, -1)
