"""Merge fine-tuned checkpoints into one better model, streaming, exactly, and show whether it is better.

The public API on one screen; everything is imported when it is first used::

    merge.merge("recipe.yaml")                               # a recipe, or a Recipe, into its output path
    merge.merge_state_dicts([a, b], weight=[0.7, 0.3])       # state dicts in memory
    merge.evaluate(["out/"], ["digits"])                     # accuracy with intervals
    merge.load("out.st")                                     # name -> torch tensor
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import MergeError, UsageError
from .version import __version__

if TYPE_CHECKING:
    from .api import load, merge, merge_state_dicts
    from .evaluation import evaluate
    from .plan import Plan
    from .recipe import Recipe

_PLACES = {
    "merge": "api",
    "merge_state_dicts": "api",
    "load": "api",
    "evaluate": "evaluation",
    "Plan": "plan",
    "Recipe": "recipe",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'merge' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


__all__ = [
    "MergeError",
    "Plan",
    "Recipe",
    "UsageError",
    "__version__",
    "evaluate",
    "load",
    "merge",
    "merge_state_dicts",
]
