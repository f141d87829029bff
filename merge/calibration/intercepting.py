"""Call something else in place of functions of torch, whoever calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

Arguments = Mapping[str, Any]
Handler = Callable[[Callable[..., Any], Sequence[Any], Arguments], Any]


@contextmanager
def without_fast_path() -> Iterator[None]:
    """Keep torch's encoder layers from running as one fused function that cannot be looked into."""
    from torch.backends import mha

    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def intercepting(handlers: Mapping[Callable[..., Any], Handler]) -> Any:
    """Return a context in which handlers are called in place of their functions."""
    from torch.overrides import TorchFunctionMode

    class Intercepting(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Arguments | None = None
        ) -> Any:
            handler = handlers.get(function)
            return function(*args, **(kwargs or {})) if handler is None else handler(function, args, kwargs or {})

    return Intercepting()
