"""See every matrix product of activations with a known parameter, whatever the model is made of.

Module hooks would miss bare parameters (open_clip's projections), functions called beside a module's forward (timm) and
`torch.nn.MultiheadAttention`, whose own output projection never fires one. All of them call torch's functions, though,
and those can be intercepted (`torch.overrides`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from .facts import CONVOLUTION, IN_OUT
from .intercepting import Arguments, Handler, intercepting, without_fast_path
from .products import OUT_IN, Product, products

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OUT_IN", "Observer", "Watch"]

_Key = tuple[int, tuple[int, ...], tuple[int, ...]]


class Observer(Protocol):
    """A function such as `GramSums.observe`."""

    def __call__(self, name: str, inputs: Tensor, layout: str) -> None:
        """Be told of a product before it is computed.

        Args:
            name: The parameter.
            inputs: [..., inputs]; of an attention [items, tokens, inputs] whichever way round it computes.
            layout: How the parameter is stored: `OUT_IN`, `IN_OUT` or `CONVOLUTION`, whose inputs are patches
                [items, positions, channels * height * width].
        """


class Watch:
    """A context in which an observer is told of products; what the network computes stays the same.

    Args:
        parameters: Parameters by name. Views of one, such as its transpose, are known too. Where two names share a
            parameter, the first one counts.
        observe: The observer.
        convolutions: Tell of convolutions in one and two dimensions with a single group.

    Attributes:
        embeddings: Names of the parameters that were used as tables of embeddings so far.
        filters: Names of those that were used in convolutions, told of or not.
    """

    def __init__(self, parameters: Mapping[str, Tensor], observe: Observer, *, convolutions: bool = False) -> None:
        self._parameters, self._observe, self._convolutions = parameters, observe, convolutions
        self._known: dict[_Key, tuple[str, bool]] = {}
        self._stack = ExitStack()
        self.embeddings: set[str] = set()
        self.filters: set[str] = set()

    def __enter__(self) -> Watch:
        """Begin to watch."""
        self._known = known_weights(self._parameters)
        self._stack.enter_context(without_fast_path())
        self._stack.enter_context(intercepting(self._handlers()))
        return self

    def __exit__(self, *error: object) -> None:
        """Stop watching."""
        self._stack.close()

    def _handlers(self) -> dict[Callable[..., Any], Handler]:
        import torch
        from torch.nn import functional

        found: dict[Callable[..., Any], Handler] = {
            function: self._product(product) for function, product in products().items()
        }
        found[functional.multi_head_attention_forward] = self._attention
        found |= dict.fromkeys((functional.embedding, functional.embedding_bag), self._embedding)
        return found | dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), self._convolution)

    def see(self, inputs: Any, weight: Any) -> None:
        """Tell the observer, if the weight, stored [outputs, inputs], is a parameter or the transpose of one."""
        self._see(inputs, weight, OUT_IN)

    def _see(self, inputs: Any, weight: Any, layout: str) -> None:
        name, transposed = self._find(weight)
        if name is not None:
            self._observe(name, inputs, (IN_OUT if layout == OUT_IN else OUT_IN) if transposed else layout)

    def _find(self, weight: Any) -> tuple[str | None, bool]:
        import torch

        known = isinstance(weight, torch.Tensor) and weight.layout == torch.strided
        return self._known.get(weight_key(weight), (None, False)) if known else (None, False)

    def _product(self, product: Product) -> Handler:
        def handle(function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
            given = dict(zip(product.arguments, args, strict=False)) | dict(kwargs)
            self._see(given.get(product.inputs), given.get(product.weight), product.layout)
            return function(*args, **kwargs)

        return handle

    def _attention(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        from .watched_attention import attend

        return attend(self.see, function, args, kwargs)

    def _embedding(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        given = dict(zip(("input", "weight"), args, strict=False)) | dict(kwargs)
        name, _ = self._find(given.get("weight"))
        self.embeddings |= {name} if name is not None else set()
        return function(*args, **kwargs)

    def _convolution(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Arguments) -> Any:
        from .patches import bound, patches

        given = bound(args, kwargs)
        name, _ = self._find(given.weight)
        self.filters |= {name} if name is not None else set()
        if self._convolutions and name is not None and given.groups == 1 and given.weight.ndim < 5:
            self._observe(name, patches(given), CONVOLUTION)
        return function(*args, **kwargs)


def known_weights(parameters: Mapping[str, Tensor]) -> dict[_Key, tuple[str, bool]]:
    """Return name, and whether it is transposed, by where a parameter or its transpose lies."""
    found: dict[_Key, tuple[str, bool]] = {}
    for name, parameter in parameters.items():
        found.setdefault(weight_key(parameter), (name, False))
        if parameter.ndim == 2:
            found.setdefault(weight_key(parameter.T), (name, True))
    return found


def weight_key(tensor: Tensor) -> _Key:
    """Return where a tensor lies, and how: what tells a weight, or a view of it, from others."""
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()
