"""What is compared with mergekit: its twenty methods, and what they are called here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Values = Mapping[str, Any]

EQUAL_MAGNITUDES = "of equal magnitudes mergekit keeps any"
EQUAL_VARIANCES = "of equal variances mergekit keeps any"


@dataclass(frozen=True)
class Case:
    """One method with its options, there and here.

    Attributes:
        theirs: mergekit's name of the method.
        ours: Our name.
        models: How many models are merged, the base not counted.
        base: What the base is: nothing, an input of its own, or for mergekit's slerp the first of the two models.
        shared: Options that are called alike.
        parameters: Options that only mergekit has, or calls otherwise.
        options: Options that only we have, or call otherwise.
        why: Why outcomes may differ by more than rounding even where mergekit computes in float64.
    """

    theirs: str
    ours: str
    models: int
    base: str = "none"
    shared: Values = field(default_factory=dict)
    parameters: Values = field(default_factory=dict)
    options: Values = field(default_factory=dict)
    why: str = "not known"


def _tasks(theirs: str, ours: str, models: int = 3, **more: Any) -> Case:
    """Return a case whose method adds to a base."""
    return Case(theirs, ours, models, "given", **more)


_WEIGHTS = {"weight": [0.5, 0.3, 0.4]}
_TWO = {"weight": [1.0, 3.0]}
_VOTES = {"weight": [0.5, 0.25, 0.375]}  # exact in binary, so that rounding decides no vote of bfloat16 numbers
_TRIMMED = {**_VOTES, "density": [0.4, 0.4, 0.4]}
_BAND = {**_VOTES, "density": [0.6, 0.6, 0.6], "gamma": [0.05, 0.05, 0.05]}
_ALL = {**_VOTES, "density": [1.0, 1.0, 1.0]}

DETERMINISTIC = [
    Case("linear", "soup", 3, shared={**_WEIGHTS, "normalize": True}),
    Case("linear", "soup", 3, shared={**_WEIGHTS, "normalize": False}),
    Case("slerp", "slerp", 2, "first", shared={"t": 0.3}),
    Case("nuslerp", "nuslerp", 2, shared=_TWO),
    Case("nuslerp", "nuslerp", 2, shared=_TWO, parameters={"nuslerp_flatten": False}, options={"flatten": False}),
    Case(
        "nuslerp",
        "nuslerp",
        2,
        shared=_TWO,
        parameters={"nuslerp_flatten": False, "nuslerp_row_wise": True},
        options={"flatten": False, "row_wise": True},
    ),
    _tasks("nuslerp", "nuslerp", 2, shared=_TWO),
    Case("multislerp", "multislerp", 3, shared=_WEIGHTS),
    _tasks("multislerp", "multislerp", shared=_WEIGHTS),
    Case("karcher", "karcher", 3),
    _tasks("task_arithmetic", "task-arithmetic", shared=_WEIGHTS, parameters={"lambda": 0.7}, options={"scale": 0.7}),
    _tasks("ties", "ties", shared=_TRIMMED, why=EQUAL_MAGNITUDES),
    _tasks("ties", "ties", shared={**_TRIMMED, "normalize": False}, why=EQUAL_MAGNITUDES),
    _tasks("dare_linear", "dare", shared=_ALL, options={"rescale": "l1"}),
    _tasks("dare_ties", "dare", shared=_ALL, options={"rescale": "l1", "ties": True}),
    _tasks("della", "della", shared=_ALL, options={"rescale": "l1"}),
    _tasks("della_linear", "della", shared={**_ALL, "normalize": False}, options={"rescale": "l1", "ties": False}),
    _tasks("breadcrumbs", "breadcrumbs", shared=_BAND, why=EQUAL_MAGNITUDES),
    _tasks("breadcrumbs_ties", "breadcrumbs", shared=_BAND, options={"ties": True}, why=EQUAL_MAGNITUDES),
    _tasks("sce", "sce", shared={"select_topk": 1.0}),
    _tasks("sce", "sce", shared={"select_topk": 0.3}, why=EQUAL_VARIANCES),
    _tasks("model_stock", "model-stock"),
    _tasks("model_stock", "model-stock", shared={"filter_wise": True}),
    _tasks("nearswap", "nearswap", 1, shared={"t": 0.02}),
    _tasks("arcee_fusion", "arcee-fusion", 1),
    Case("passthrough", "passthrough", 1, shared={"scale": [0.7]}),
    _tasks("ram", "ram", shared={"epsilon": 0.03}),
    _tasks("ramplus_tl", "ram", shared={"epsilon": 0.03, "r": 0.1, "alpha": 0.2}),
]

_ONE = {"weight": [1.0], "density": [0.4]}
RANDOM_CASES = [
    _tasks("dare_linear", "dare", 1, shared=_ONE, options={"rescale": "l1"}),
    _tasks("dare_ties", "dare", 1, shared=_ONE, options={"rescale": "l1", "ties": True}),
    _tasks("della", "della", 1, shared={**_ONE, "epsilon": [0.1]}, options={"rescale": "l1"}),
    _tasks("della_linear", "della", 1, shared={**_ONE, "epsilon": [0.1]}, options={"rescale": "l1", "ties": False}),
]
