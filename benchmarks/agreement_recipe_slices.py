"""Recipes of mergekit with slices and with several documents; ``deep`` has six layers, the other models four."""

from __future__ import annotations

_BASE = "base_model: base\n"
_HALVES = ("0, 2", "2, 4")


def _source(model: str, layers: str, parameters: str = "") -> str:
    own = f", parameters: {{{parameters}}}" if parameters else ""
    return f"{{model: {model}, layer_range: [{layers}]{own}}}"


def _slice(*sources: str, parameters: str = "", base: str = "") -> str:
    own = (f"    parameters: {{{parameters}}}\n" if parameters else "") + (f"    base_model: {base}\n" if base else "")
    return f"  - sources: [{', '.join(sources)}]\n{own}"


def _stack(*sources: str) -> str:
    return "merge_method: passthrough\nslices:\n" + "".join(map(_slice, sources))


def _halves(*models: str, parameters: str = "") -> str:
    """Return the lower and the upper halves of models as two slices, which together are all layers."""
    return "slices:\n" + "".join(
        _slice(*(_source(name, half, "" if name == "base" else parameters) for name in models)) for half in _HALVES
    )


_T = """\
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
    - {filter: layers.3., value: 0.9}
    - {filter: mlp, value: [1, 0]}
    - value: 0.5
"""
_CROSSED = "slices:\n" + _slice(_source("base", "0, 2"), _source("a", "2, 4"))
_CROSSED += _slice(_source("base", "2, 4"), _source("a", "0, 2"))
_SILENT = "scale: [{filter: o_proj, value: 0}, {filter: down_proj, value: 0}, {value: 1}]"

SLICES = {
    "two models on top of each other": _stack(_source("a", "0, 3"), _source("b", "1, 4")),
    "a model on top of itself": _stack(_source("a", "0, 3"), _source("a", "1, 4")),
    "single layers of three models": _stack(*(_source(name, "2, 3") for name in "abc")),
    "fewer layers": _stack(_source("a", "0, 1"), _source("a", "3, 4")),
    "models of different depths on top of each other": _stack(_source("deep", "1, 6"), _source("a", "0, 4")),
    "repeated layers that add nothing": _stack(
        _source("a", "0, 2"), _source("a", "1, 2", _SILENT), _source("a", "2, 4")
    ),
    "a base_model of which nothing is taken": _stack(_source("a", "0, 3"), _source("b", "1, 4")) + _BASE,
    "lists over the layers of each slice": _stack(
        _source("a", "0, 3", "scale: [0.5, 1.5]"), _source("b", "3, 4", "scale: [2, 3]"), _source("c", "0, 4")
    )
    + "parameters: {scale: [1, 0.2]}\n",
    "filters with a layer's number in its own model": _stack(
        _source("a", "0, 2"), _source("b", "0, 2", "scale: [{filter: layers.1., value: 0.5}, {value: 1}]")
    ),
    "other layers of two models, linear": "merge_method: linear\nslices:\n"
    + _slice(_source("a", "0, 3", "weight: 0.3"), _source("b", "1, 4", "weight: [1, 2, 0.5]")),
    "other layers of two models, slerp": "merge_method: slerp\n" + _CROSSED + _BASE + _T,
    "layers of models of different depths": "merge_method: linear\nslices:\n"
    + _slice(_source("deep", "2, 6"), _source("a", "0, 4"))
    + "parameters: {weight: 1}\n",
    "other models in each slice": "merge_method: linear\nslices:\n"
    + _slice(_source("a", "0, 2"), _source("b", "0, 2", "weight: 3"))
    + _slice(_source("b", "1, 4", "weight: 2"), _source("c", "1, 4", "weight: 1"))
    + "parameters: {weight: 1}\n",
    "fewer models in the last slice": "merge_method: linear\nslices:\n"
    + _slice(_source("a", "0, 2"), _source("b", "0, 2"), _source("c", "2, 4"))
    + _slice(_source("b", "2, 4", "weight: 0.7"))
    + "parameters: {weight: 1, normalize: false}\n",
    "parameters of slices": "merge_method: linear\nslices:\n"
    + _slice(_source("a", "0, 2", "weight: 3"), _source("b", "0, 2"), parameters="weight: 2, normalize: false")
    + _slice(_source("a", "2, 4"), _source("b", "2, 4"), parameters="weight: [0.2, 1]")
    + "parameters: {weight: 1}\n",
    "ties, a base for each slice": "merge_method: ties\nslices:\n"
    + _slice(*(_source(name, "0, 2") for name in ("base", "a", "b")))
    + _slice(*(_source(name, "2, 4") for name in ("base", "a", "b")), base="a")
    + "parameters: {weight: 0.5, density: 0.6}\n"
    + _BASE,
    "ties, lists and filters": "merge_method: ties\n"
    + _halves("base", "a", "b", parameters="weight: [{filter: mlp, value: 0.5}, {value: [1, 0.2]}]")
    + "parameters: {density: [{filter: self_attn, value: [1, 0.3]}, {value: 0.7}], normalize: true}\n"
    + _BASE,
    "task_arithmetic, other layers than the base's": "merge_method: task_arithmetic\nslices:\n"
    + _slice(_source("base", "0, 2"), _source("a", "2, 4", "weight: 0.6"), _source("b", "1, 3", "weight: [0.1, 0.9]"))
    + _BASE,
    "breadcrumbs": "merge_method: breadcrumbs\n"
    + _halves("base", "a", "b", parameters="weight: 0.5, density: 0.6, gamma: 0.05")
    + _BASE,
    "model_stock": "merge_method: model_stock\n" + _halves("base", "a", "b", "c") + _BASE,
    "nuslerp with a base": "merge_method: nuslerp\n" + _halves("base", "a", "b", parameters="weight: [1, 3]") + _BASE,
    "karcher": "merge_method: karcher\n" + _halves("a", "b", "c"),
    "arcee_fusion": "merge_method: arcee_fusion\n" + _halves("base", "a") + _BASE,
}
