"""See what the matrices and filters of a network are applied to, filters' inputs as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..calibration.facts import CONVOLUTION, IN_OUT
from ..calibration.intercepting import Arguments
from ..calibration.patches import Convolution, bound, patches
from ..calibration.watch import Watch

if TYPE_CHECKING:
    from torch import Tensor

MOST_AXES = 4  # of filters that can be unfolded: those of images


class Seen(NamedTuple):
    """One use of a parameter.

    Attributes:
        inputs: What it was applied to: [..., inputs], or images.
        layout: How it is stored; see `Watch`.
        convolution: The arguments of a convolution; None of a matrix.
    """

    inputs: Tensor
    layout: str
    convolution: Convolution | None = None

    @property
    def reads(self) -> int | None:
        """The parameter's axis that the inputs belong to; None of a convolution in groups."""
        if self.convolution is not None and self.convolution.groups != 1:
            return None
        return 0 if self.layout == IN_OUT else 1

    @property
    def has_rows(self) -> bool:
        """Whether it is a product of matrices, or can be written as one."""
        return self.convolution is None or (self.reads == 1 and self.convolution.weight.ndim <= MOST_AXES)

    def rows(self, inputs: Tensor) -> Tensor:
        """Return inputs such as these, [..., inputs] as the matrix is multiplied by."""
        return inputs if self.convolution is None else patches(self.convolution._replace(input=inputs))


class See(Protocol):
    """A function that is told of uses."""

    def __call__(self, name: str, seen: Seen) -> None:
        """Be told of a use of a parameter before it is computed."""


class JointWatch(Watch):
    """A context in which a function is told of every use of a matrix or filter.

    Args:
        parameters: Parameters by name; of several names of one, the first counts.
        see: The function.
    """

    def __init__(self, parameters: Mapping[str, Tensor], see: See) -> None:
        super().__init__(parameters, self._product_seen, convolutions=True)
        self._tell = see

    def _product_seen(self, name: str, inputs: Tensor, layout: str) -> None:
        self._tell(name, Seen(inputs, layout))

    def _convolution(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        given = bound(args, kwargs)
        name, _ = self._find(given.weight)
        if name is not None:
            self.filters.add(name)
            self._tell(name, Seen(given.input, CONVOLUTION, given))
        return function(*args, **kwargs)
