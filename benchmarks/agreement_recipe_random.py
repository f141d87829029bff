"""Random recipes of mergekit: slices of any models and layers, with lists and filters wherever a number may stand."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEPTHS = {"base": 4, "a": 4, "b": 4, "c": 4, "deep": 6}
FILTERS = ("self_attn", "mlp", "q_proj", "layers.1.", "layers.3.", "norm", "lm_head", "embed", "model.layers.2", "*")
Range = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """What a method takes.

    Attributes:
        models: The fewest and the most models besides the base.
        own: Parameters of single models, with their ranges.
        shared: Parameters of the merge.
        base: Whether there is a base.
    """

    models: tuple[int, int]
    own: Mapping[str, Range] = field(default_factory=dict)
    shared: Mapping[str, Range] = field(default_factory=dict)
    base: bool = True


_WEIGHT = {"weight": (0.1, 1.0)}
_TRIMMED = {"weight": (0.1, 1.0), "density": (0.5, 0.8)}
_SCALE = {"lambda": (0.3, 1.2)}
SHAPES = {
    "linear": Shape((2, 3), _WEIGHT, base=False),
    "passthrough": Shape((1, 1), {"scale": (0.5, 1.5)}, base=False),
    "slerp": Shape((1, 1), shared={"t": (0, 1)}),
    "ties": Shape((1, 3), _TRIMMED, _SCALE),
    "task_arithmetic": Shape((1, 3), {"weight": (-0.5, 1)}, _SCALE),
    "breadcrumbs": Shape((1, 2), {**_TRIMMED, "gamma": (0.01, 0.1)}, _SCALE),
    "breadcrumbs_ties": Shape((1, 2), {**_TRIMMED, "gamma": (0.01, 0.1)}),
    "nuslerp": Shape((2, 2), _WEIGHT),
    "multislerp": Shape((2, 3), _WEIGHT, base=False),
    "karcher": Shape((2, 3), base=False),
    "model_stock": Shape((2, 3)),
    "nearswap": Shape((1, 1), shared={"t": (0.01, 0.03)}),
    "sce": Shape((2, 3), shared={"select_topk": (0.2, 1)}),
    "ram": Shape((2, 3)),
    "dare_linear": Shape((1, 3), _WEIGHT, _SCALE),
}


def random_recipes(count: int, seed: int) -> dict[str, str]:
    """Return so many recipes by name."""
    draw = random.Random(seed)
    return {f"random recipe {number}": _as_yaml(_recipe(draw)) for number in range(count)}


def _as_yaml(recipe: Mapping[str, Any]) -> str:
    """Return a line for each key; JSON is YAML too."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in recipe.items())


def _recipe(draw: random.Random) -> dict[str, Any]:
    method = draw.choice(sorted(SHAPES))
    shape = SHAPES[method]
    base = draw.choice(("base", "deep")) if shape.base else None
    most = shape.models[1]
    slices = []
    for _ in range(draw.choice((1, 2, 2, 3))):
        count = draw.randint(shape.models[0], most)
        most = count  # mergekit forgets models of the last slice where the first has fewer
        slices.append(_slice(draw, shape, base, count))
    plain = {name: _number(draw, limits) for name, limits in {**shape.own, **shape.shared}.items()}
    found: dict[str, Any] = {"merge_method": method, "slices": slices, "parameters": plain}
    return found | ({"base_model": base} if base else {})


def _slice(draw: random.Random, shape: Shape, base: str | None, count: int) -> dict[str, Any]:
    names = draw.sample([name for name in DEPTHS if name != base], count)
    length = draw.randint(1, 4)
    sources = [_source(draw, name, length, shape.own) for name in names]
    if base:
        sources.insert(0, _source(draw, base, length, {}))
    return {"sources": sources, "parameters": _parameters(draw, {**shape.own, **shape.shared}, 0.4)}


def _source(draw: random.Random, name: str, length: int, own: Mapping[str, Range]) -> dict[str, Any]:
    first = draw.randint(0, DEPTHS[name] - length)
    return {"model": name, "layer_range": [first, first + length], "parameters": _parameters(draw, own, 0.6)}


def _parameters(draw: random.Random, limits: Mapping[str, Range], share: float) -> dict[str, Any]:
    return {name: _value(draw, range_) for name, range_ in limits.items() if draw.random() < share}


def _value(draw: random.Random, limits: Range) -> Any:
    """Return a number, a list over the layers, or either of them behind filters."""
    if draw.random() < 0.6:
        return _plain(draw, limits)
    rules: list[dict[str, Any]] = [
        {"filter": draw.choice(FILTERS), "value": _plain(draw, limits)} for _ in range(draw.randint(1, 3))
    ]
    return rules + ([{"value": _number(draw, limits)}] if draw.random() < 0.7 else [])


def _plain(draw: random.Random, limits: Range) -> Any:
    if draw.random() < 0.5:
        return _number(draw, limits)
    return [_number(draw, limits) for _ in range(draw.randint(2, 5))]


def _number(draw: random.Random, limits: Range) -> float:
    return round(draw.uniform(*limits), 2)
