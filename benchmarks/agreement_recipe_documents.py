"""Recipes of mergekit in several documents: a name stands for the outcome of another document."""

from __future__ import annotations

from collections.abc import Sequence


def _linear(*models: str, name: str = "", weight: str = "1") -> str:
    listed = "".join(f"  - {{model: {model}}}\n" for model in models)
    named = f"name: {name}\n" if name else ""
    return f"{named}merge_method: linear\nparameters: {{weight: {weight}}}\nmodels:\n{listed}"


def _with_base(method: str, base: str, *models: str, parameters: str, name: str = "") -> str:
    return _linear(*models, name=name).replace("linear", method).replace("weight: 1", parameters) + (
        f"base_model: {base}\n"
    )


def _stack(*sources: tuple[str, str], name: str = "") -> str:
    listed = "".join(f"  - sources: [{{model: {model}, layer_range: [{layers}]}}]\n" for model, layers in sources)
    return (f"name: {name}\n" if name else "") + f"merge_method: passthrough\nslices:\n{listed}"


_FIRST = _linear("a", "b", name="first")
_SECOND = _with_base("slerp", "first", "c", parameters="t: [0.2, 0.8]", name="second")
_TIES = _with_base("ties", "base", "a", "b", parameters="weight: 1, density: 0.5", name="first")

DOCUMENTS: dict[str, Sequence[str]] = {
    "two stages": (_FIRST, _with_base("slerp", "first", "c", parameters="t: [0.2, 0.8]")),
    "two stages, the last one first": (_linear("first", "c", weight="[0.1, 1]"), _FIRST),
    "three stages, the first used twice": (_FIRST, _SECOND, _linear("first", "second", "c", weight="[0.5, 1]")),
    "the base is an outcome": (
        _FIRST,
        _with_base("ties", "first", "c", "base", parameters="weight: 1, density: 0.6"),
    ),
    "ties, then slerp with the base": (_TIES, _with_base("slerp", "base", "first", parameters="t: 0.4")),
    "layers of an outcome, twice": (_FIRST, _stack(("first", "0, 3"), ("c", "1, 3"), ("first", "2, 4"))),
    "stacks, then slerp over their layers": (
        _stack(("a", "0, 3"), ("b", "1, 4"), name="first"),
        _stack(("b", "0, 4"), ("c", "2, 4"), name="second"),
        _with_base("slerp", "first", "second", parameters="t: [0, 0.5, 1]"),
    ),
    "a document that nothing uses": (_FIRST, _SECOND, _linear("a", "c")),
}
