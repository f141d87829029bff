"""Where the outcome differs from mergekit's on purpose: one line for each difference that concerns a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.resolve import local_path
from ..recipe import Output
from .request import Request
from .settings import Choice
from .shelf import Shelf
from .token_differences import token_differences

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


def differences(requests: Sequence[Request], shelf: Shelf, output: Output, *, stacks: bool) -> Iterator[str]:
    """Yield what the run says about a recipe of mergekit.

    Args:
        requests: Its merges: one for each slice, or list of models.
        shelf: Its models, and what was said of them.
        output: What it says of the output.
        stacks: Whether it has slices.
    """
    values = (line for request in requests for line in _of_values(request, casts=output.dtype is not None))
    reading = (line for request in requests for line in _of_reading(request, first=request is requests[0]))
    tokens = token_differences(output, stacks=stacks)
    yield from (f"unlike mergekit: {line}" for line in dict.fromkeys((*values, *reading, *tokens, *shelf.unlike)))
    quirks = (line for request in requests for line in _quirks(request))
    alike = dict.fromkeys((*quirks, *_too_long(requests), *_idle_filters(requests), *shelf.alike))
    yield from (f"as in mergekit: {line}" for line in alike)


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


def _of_reading(request: Request, *, first: bool) -> Iterator[str]:
    if first and request.base is None and len(request.members) > 1:
        location = request.first.location
        yield f"types, config and tokenizer are those of {location}, the first model (mergekit takes any model's)"
    if any(isinstance(choice.value, list) for choice in request.choices()) and _is_file(request.first.location):
        yield "a list of values runs over the layers of single files too (mergekit-pytorch takes its first value)"


def _quirks(request: Request) -> Iterator[str]:
    if request.appended:
        yield f"base_model is one more model of {request.known.name}, the last"
    if request.unused:
        yield f"the base's own parameters ({request.unused}) do nothing"
    unread = {parameter.name for parameter in request.known.parameters if not parameter.option}
    given = [name for settings in request.settings() for name in settings if name in unread]
    for name in dict.fromkeys(given):
        yield f"'{name}' changes nothing in {request.known.name}"


def _idle_filters(requests: Sequence[Request]) -> Iterator[str]:
    """Name the filters that no tensor of any slice or module fits."""
    fits: dict[tuple[str, str], bool] = {}
    for request in requests:
        wanted = {(choice.filter, choice.where) for choice in request.choices() if choice.filter is not None}
        names = {name for tensor in request.tensors for name in (tensor.output, *tensor.inputs)} if wanted else ()
        for text, where in sorted(wanted):
            fits[text, where] = fits.get((text, where), False) or any(text in name for name in names)
    for text, where in (key for key, fitting in fits.items() if not fitting):
        yield f"the filter '{text}' ({where}) fits no tensor, and counts for nothing"


def _too_long(requests: Sequence[Request]) -> Iterator[str]:
    """Name the lists of more values than there are layers in a slice, some of which are never reached."""
    known: set[str] = set()
    for request in requests:
        lists = {choice.where: (name, choice.value) for name, choice in _lists(request)}
        layers = len({tensor.depth for tensor in request.tensors} - {None}) if lists else 0
        for where, (name, values) in lists.items():
            if len(values) > layers and where not in known:
                known.add(where)
                count = f"{layers or 'no'} layer{'s' if layers != 1 else ''}"
                yield f"'{name}' ({where}) has {len(values)} values for {count}: not all of them are reached"


def _lists(request: Request) -> Iterator[tuple[str, Choice]]:
    for settings in request.settings():
        for name, setting in settings.items():
            yield from ((name, choice) for choice in setting if isinstance(choice.value, list))


def _varies(request: Request, name: str, test: Callable[[Any], bool]) -> bool:
    """Tell whether any value of a parameter, wherever it stands, passes a test."""
    given = (choice.value for settings in request.settings() for choice in settings.get(name, ()))
    return any(test(item) for value in given for item in (value if isinstance(value, list) else [value]))


def _is_file(location: str) -> bool:
    path: Path = local_path(location)
    return path.is_file()
