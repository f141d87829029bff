"""What of a diffusion model nothing looks at, so that programs save it or not."""

from __future__ import annotations

from collections.abc import Callable

from .table import UNUSED


def unused(family: str) -> Callable[[str], bool]:
    """Return the test for tensors that nothing looks at, by their names in diffusers' layout.

    Args:
        family: The family's name, or nothing.
    """
    names, fronts = UNUSED[""], UNUSED.get(family, ())
    return lambda name: name in names or any(name.startswith(front) for front in fronts)
