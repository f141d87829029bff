"""Exchanging classes and methods of modules for the time of a context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def patched(
    classes: Mapping[nn.Module, type[nn.Module]], methods: Mapping[tuple[nn.Module, str], Callable[..., Any]]
) -> Iterator[None]:
    """Give modules other classes and other methods inside the context, and what they had afterwards.

    Torch's fused paths for transformer layers are off meanwhile: they hand weights to one kernel and call no layer.
    """
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        for (module, name), method in methods.items():
            stack.callback(_restore, module, name, vars(module).get(name))
            vars(module)[name] = method
        for module, kind in classes.items():
            stack.callback(setattr, module, "__class__", type(module))
            module.__class__ = kind
        yield


@contextmanager
def without_caches(network: nn.Module) -> Iterator[None]:
    """Have transformers' networks keep no keys and values inside the context: a cache cannot hold tensors of vmap."""
    configs = {id(config): config for module in network.modules() if (config := vars(module).get("config")) is not None}
    caching = [config for config in configs.values() if getattr(config, "use_cache", None) is True]
    try:
        for config in caching:
            config.use_cache = False
        yield
    finally:
        for config in caching:
            config.use_cache = True


def _restore(module: nn.Module, name: str, value: Any) -> None:
    if value is None:
        vars(module).pop(name, None)
    else:
        vars(module)[name] = value
