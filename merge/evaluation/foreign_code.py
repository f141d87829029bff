"""Code that comes with a checkpoint, or that one names on the hub: it is never run, and nobody is asked whether to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import MergeError

NEVER_RUN = "code that comes with a checkpoint is never run; --model FILE.py:Class runs a class of your own"
_IMPLEMENTATION = "_implementation"  # ends the keys under which a configuration may name kernels of the hub


@contextmanager
def never_asked() -> Iterator[None]:
    """Let transformers refuse code of others at once, where by default it asks on the terminal whether to run it.

    For libraries that call it without ``trust_remote_code=False``; at a time of 0 seconds it does not ask.
    """
    from transformers import dynamic_module_utils as modules

    before = modules.TIME_OUT_REMOTE_CODE
    modules.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    finally:
        modules.TIME_OUT_REMOTE_CODE = before


def refuse_kernels(config: Mapping[str, Any], where: str) -> None:
    """Refuse a configuration that names kernels: transformers would download them from the hub and run them.

    Args:
        config: What ``config.json`` holds.
        where: What stands for it in messages.

    Raises:
        MergeError: It names some.
    """
    for name in _kernels(config):
        what = f"the configuration names the kernels '{name}', which are code from the hub"
        raise MergeError(what, where=where, hint="take that key out; no code that a checkpoint names is run")


def class_named(name: str) -> Any:
    """Return a model of transformers by the name of its class.

    Returns:
        None where there is none, or another thing of that name, such as a class that picks a model.
    """
    import transformers

    found = getattr(transformers, name, None)
    return found if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel) else None


def _kernels(value: Any, *, is_named: bool = False) -> Iterator[str]:
    """Yield the repositories under keys such as ``attn_implementation``, also of the parts of a model."""
    if is_named and isinstance(value, str) and "/" in value:
        yield value
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _kernels(below, is_named=is_named or _IMPLEMENTATION in str(key))
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _kernels(below, is_named=is_named)
