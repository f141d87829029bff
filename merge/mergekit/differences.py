"""Where the outcome differs from mergekit's on purpose: one line for each difference that concerns a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..checkpoints.resolve import local_path
from .request import Request
from .settings import Settings

FLOAT32_THERE = {"linear", "slerp"}
RANKED = {"ties", "breadcrumbs", "breadcrumbs_ties"}
RANDOM = {"dare_linear", "dare_ties", "della", "della_linear"}
ARCS = {"slerp", "nuslerp"}
WIDER_THERE = {"arcee_fusion", "ramplus_tl"}
CONSTANTS = {
    "sce": "a mean square below 1e-6",
    "model_stock": "a product of lengths below 1e-6",
    "nearswap": "a distance below 1e-6",
    "karcher": "a length up to tol",
}


def differences(request: Request, *, casts: bool) -> Iterator[str]:
    """Yield what the run says about a recipe of mergekit.

    Args:
        request: The recipe.
        casts: Whether it has a ``dtype`` or ``out_dtype``.
    """
    lines = (*_of_values(request, casts=casts), *_of_reading(request))
    yield from (f"unlike mergekit: {line}" for line in lines)
    yield from (f"as in mergekit: {line}" for line in _quirks(request))


def _of_values(request: Request, *, casts: bool) -> Iterator[str]:
    name = request.known.name
    if name != "passthrough":
        there = "float32" if name in FLOAT32_THERE else "the type of the inputs"
        yield f"sums are in float32, for inputs wider than 16 bits in float64, and rounded once (mergekit: {there})"
    yield "a result that is not finite is refused, unless --allow-nonfinite is given (mergekit writes it)"
    if name in RANKED and _varies(request, "density", lambda density: density < 1):
        yield "of equal magnitudes the lowest index is kept (mergekit: any)"
    if name == "sce" and _varies(request, "select_topk", lambda share: share < 1):
        yield "of equal variances the lowest index is kept (mergekit: any)"
    if name in RANDOM and _varies(request, "density", lambda density: density < 1):
        yield "random masks depend on --seed, tensor name and position alone (mergekit: on the order of all draws)"
    if name in ARCS:
        yield "a tensor of zeros has no angle to another: the straight line is taken (mergekit: a right angle)"
    if name in CONSTANTS:
        yield f"{CONSTANTS[name]} is no special case"
    if name == "arcee_fusion":
        yield "divergences are in float64 (mergekit: the type of the inputs), which moves entries over the threshold"
        yield "quartiles are exact (mergekit estimates those of more than a million entries from a random sample)"
    if casts:
        yield "dtype and out_dtype are the type of the output; inputs are not rounded to dtype first"
    elif name in WIDER_THERE:
        yield "the output has the type of the base (mergekit writes float32 for 16-bit models)"


def _of_reading(request: Request) -> Iterator[str]:
    if request.base is None and len(request.members) > 1:
        first = request.first.location
        yield f"types, config and tokenizer are those of {first}, the first model (mergekit takes any model's)"
    if any(isinstance(choice.value, list) for choice in request.choices()) and _is_file(request.first.location):
        yield "a list of values runs over the layers of single files too (mergekit-pytorch takes its first value)"


def _quirks(request: Request) -> Iterator[str]:
    if request.appended:
        yield f"base_model is one more model of {request.known.name}, the last"
    if request.unused:
        yield f"the base's own parameters ({request.unused}) do nothing"
    unread = {parameter.name for parameter in request.known.parameters if not parameter.option}
    unread -= {parameter.name for parameter in request.known.parameters if parameter.only is not None}
    given = [name for settings in _all_settings(request) for name in settings if name in unread]
    for name in dict.fromkeys(given):
        yield f"'{name}' changes nothing in {request.known.name}"


def _all_settings(request: Request) -> tuple[Settings, ...]:
    return (*(member.settings for member in request.members), request.everywhere)


def _varies(request: Request, name: str, test: Callable[[Any], bool]) -> bool:
    """Tell whether any value of a parameter, wherever it stands, passes a test."""
    given = (choice.value for settings in _all_settings(request) for choice in settings.get(name, ()))
    return any(test(item) for value in given for item in (value if isinstance(value, list) else [value]))


def _is_file(location: str) -> bool:
    path: Path = local_path(location)
    return path.is_file()
