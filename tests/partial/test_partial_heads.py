"""The outputs of two models: averaged, or side by side."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from planted import groups_of, member

from merge.alignment.groups import Group, Groups
from merge.errors import MergeError, UsageError
from merge.partial.heads import choose_heads, output_axes

GROUPS = groups_of(Group("a", 4, (member("body", 0, 4), member("head", 1, 4))))
SHAPES = {"body": (4, 6), "head": (3, 4), "bias": (3,)}
MORE = SHAPES | {"head": (5, 4), "bias": (5,)}
APART = {"head": 0, "bias": 0}


def joint(outputs: Any = APART) -> Any:
    return SimpleNamespace(groups=GROUPS, outputs=outputs, reads={"body": 1, "head": 1})


def choose(second: Any = SHAPES, wanted: str = "auto", outputs: Any = APART) -> dict[str, int]:
    return choose_heads(joint(outputs), SHAPES, second, wanted, "b.st")


def test_the_traced_outputs_are_found_unless_something_reads_them() -> None:
    pinned = {"head:0": "the model's outputs", "bias:0": "the model's outputs", "body:1": "the model's inputs"}
    groups = Groups(GROUPS.groups, pinned)
    assert output_axes(groups, {"head": 1}) == APART
    assert output_axes(groups, {"head": 0}) == {}
    assert output_axes(GROUPS, {}) == {}


def test_the_same_outputs_are_averaged_unless_they_are_wanted_apart() -> None:
    assert choose() == choose(wanted="merged") == {}
    assert choose(wanted="apart") == APART


@pytest.mark.parametrize("outputs", [APART, {}])
@pytest.mark.parametrize("wanted", ["auto", "apart"])
def test_other_numbers_of_outputs_lie_side_by_side(outputs: Any, wanted: str) -> None:
    assert choose(MORE, wanted, outputs) == APART


def test_other_numbers_of_outputs_cannot_be_averaged() -> None:
    with pytest.raises(
        UsageError, match=r"b.st: 'head' has 5 outputs, and 3 in the first model.*leave the heads apart"
    ):
        choose(MORE, "merged")


def test_heads_that_nothing_tells_cannot_be_kept_apart() -> None:
    with pytest.raises(UsageError, match="nothing tells which axes hold the models' outputs"):
        choose(wanted="apart", outputs={})


@pytest.mark.parametrize("outputs", [APART, {}])
@pytest.mark.parametrize(
    "second", [{"body": (4, 7)}, {"body": (5, 6)}, {"head": (3, 4, 1)}, {"head": (3, 5)}, {"body": (5, 7)}]
)
def test_models_that_differ_elsewhere_are_refused(outputs: Any, second: Any) -> None:
    with pytest.raises(MergeError, match=r"b.st: .*whose label spaces alone may differ"):
        choose(SHAPES | second, outputs=outputs)


def test_models_with_other_tensors_are_refused() -> None:
    with pytest.raises(MergeError, match=r"b.st: has no tensor 'bias', which the first model has"):
        choose({name: SHAPES[name] for name in ("body", "head")})
    with pytest.raises(MergeError, match=r"b.st: has a tensor 'scale', which the first model lacks"):
        choose(SHAPES | {"scale": (1,)})
