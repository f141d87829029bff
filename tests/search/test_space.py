"""Open options of a recipe: how they are marked, what is refused, and which numbers stand for which positions."""

from __future__ import annotations

from pathlib import Path

import pytest

from merge.errors import UsageError
from merge.grammar import parse_recipe
from merge.search.space import settings_of, space_of
from merge.searched import Searched, at_step, steps

HEAD = "merge: ties\nbase: base.st\nmodels: [a.st, b.st]\n"


def read(text: str, *settings: str):
    return parse_recipe(text, "r.yaml", Path("nowhere"), settings)


def space(text: str, *settings: str):
    return space_of(read(text, *settings).merge)


def only(mark: str, option: str = "scale"):
    (parameter,) = space(f"{HEAD}options: {{{option}: {mark}}}\n").parameters
    return parameter


EVERYWHERE = """
merge: ties
base: base.st
models:
  - {model: a.st, weight: {search: [0, 1]}}
  - {merge: slerp, models: [b.st, c.st], options: {t: {search: [0.1, 0.9]}}}
  - model: {merge: soup, models: [{model: d.st, weight: {search: [0, 2]}}, e.st]}
options: {density: [{search: [0.1, 0.2]}, 0.5, {search: [0.3, 0.4]}]}
layers:
  - {match: "*.mlp.*", options: {density: {search: [0.5, 0.6]}}}
  - {match: "*.attn.*", models: [{weight: {search: [0, 3]}}, {weight: 1}, {weight: 1}]}
then:
  - task-arithmetic: {scale: {search: [0.7, 0.8]}}
"""
NAMES = {
    "models.0.weight": (0, 1),
    "models.1.options.t": (0.1, 0.9),
    "models.2.model.models.0.weight": (0, 2),
    "options.density.0": (0.1, 0.2),
    "options.density.2": (0.3, 0.4),
    "layers.0.options.density": (0.5, 0.6),
    "layers.1.models.0.weight": (0, 3),
    "then.0.task-arithmetic.scale": (0.7, 0.8),
}


def test_marks_wherever_an_option_may_stand():
    found = space(EVERYWHERE)
    assert {one.name: (one.mark.low, one.mark.high) for one in found.parameters} == NAMES


def test_the_names_are_those_of_set():
    """Numbers given by these names leave nothing open, and land in the options that were marked."""
    values = {name: low + (high - low) / 4 for name, (low, high) in NAMES.items()}
    merge = read(EVERYWHERE, *settings_of(values)).merge
    with pytest.raises(UsageError, match="no option of the recipe is marked"):
        space_of(merge)
    assert merge.models[0].options["weight"] == 0.25
    assert merge.models[1].model.options["t"] == values["models.1.options.t"]
    assert merge.models[2].model.models[0].options["weight"] == 0.5
    assert merge.options["density"] == [values["options.density.0"], 0.5, values["options.density.2"]]
    assert merge.layers[1].models[0]["weight"] == 0.75
    assert merge.then[0][1]["scale"] == values["then.0.task-arithmetic.scale"]


def test_numbers_survive_as_overrides():
    values = {"options.scale": 1.5e-07, "options.density": 0.1 + 0.2}
    merge = read(HEAD, *settings_of(values)).merge
    assert dict(merge.options) == {"scale": 1.5e-07, "density": 0.1 + 0.2}


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ("{scale: {search: [1, 0]}}", "4:11", "low below high"),
        ("{scale: {search: [0, 0]}}", "4:11", "low below high"),
        ("{scale: {search: [0, 1, 2]}}", "4:11", "low below high"),
        ("{scale: {search: 1}}", "4:11", "low below high"),
        ("{scale: {search: []}}", "4:11", "empty"),
        ("{scale: {search: [0, .inf]}}", "4:11", "finite"),
        ("{scale: {search: [low, 1]}}", "4:11", "finite number, not 'low'"),
        ("{scale: {search: [0, 1], lgo: true}}", "4:11", "did you mean 'log'?"),
        ("{scale: {search: [0, 1], log: true}}", "4:11", "above 0"),
        ("{scale: {search: [1, 2], log: 3}}", "4:11", "true or false"),
        ("{scale: {search: [0, 1], step: 0}}", "4:11", "step"),
        ("{scale: {search: [0, 1], step: 2}}", "4:11", "step"),
        ("{scale: {search: [1, 2], step: 0.5, log: true}}", "4:11", "without log"),
        ("{density: {search: [-0.1, 0.5]}}", "4:11", "density must be >= 0"),
        ("{density: {search: [0.5, 1.5]}}", "4:11", "density must be"),
        ("{scael: {search: [0, 1]}}", "4:11", "did you mean 'scale'?"),
        ("{trim_scope: {search: [0, 1]}}", "4:11", "'trim_scope' is no number"),
    ],
)
def test_wrong_marks_are_refused_with_their_place(options, place, message):
    with pytest.raises(UsageError) as caught:
        space(f"{HEAD}options: {options}\n")
    assert str(caught.value).startswith(f"r.yaml:{place}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "search: [0, 1]\n", "r.yaml:4:1: 'search' stands in the place of a number"),
        ("merge: soup\nmodels: [{model: a.st, search: [0, 1]}, b.st]\n", "r.yaml:2:24: 'search' stands"),
        ("merge: soup\nmodels: [a.st, {search: [0, 1]}]\n", "not {search: [0, 1]}"),
        (HEAD + "seed: {search: [0, 5]}\n", "seed must be a whole number from 0, not {search: [0, 5]}"),
        (HEAD + "output: {path: x, search: [0, 1]}\n", "unknown key 'search'"),
    ],
)
def test_search_where_no_option_stands(text, message):
    with pytest.raises(UsageError) as caught:
        read(text)
    assert message in str(caught.value)


def test_nothing_is_marked():
    with pytest.raises(UsageError, match=r"r.yaml:1:1: no option .* is marked for search \(for example"):
        space(HEAD)


def test_numbers_between_the_bounds():
    scale = only("{search: [-1, 3]}")
    assert [scale.at(position) for position in (0, 0.25, 1)] == [-1, 0, 3]
    assert only("{search: [0, 1]}").at(1 / 3) == 0.333333
    assert only("{search: [0, 0.123456781]}").at(1) == 0.123456781  # rounding never leaves the bounds


def test_logarithms():
    scale = only("{search: [0.01, 100], log: true}")
    assert [scale.at(position) for position in (0, 0.25, 0.5, 0.75, 1)] == [0.01, 0.1, 1, 10, 100]


def test_steps_are_decimal():
    scale = only("{search: [0, 1], step: 0.1}")
    assert [scale.at(position) for position in scale.positions(3)] == [number / 10 for number in range(11)]
    assert [only("{search: [0, 1], step: 0.3}").at(position) for position in (0, 0.5, 1)] == [0, 0.6, 0.9]
    assert (steps(0, 1, 0.1), at_step(0.1, 0.1, 2)) == (10, 0.3)


def test_whole_numbers():
    (parameter,) = space(
        "merge: best-k\nmodels: [{model: a.st, score: 1}, {model: b.st, score: 2}]\n"
        "options: {count: {search: [1, 4]}}\n"
    ).parameters
    found = [parameter.at(number / 10) for number in range(11)]
    assert set(found) == {1, 2, 3, 4}
    assert all(isinstance(value, int) for value in found)
    assert [parameter.at(position) for position in parameter.positions(30)] == [1, 2, 3, 4]


def test_a_mark_is_shown_as_it_is_written():
    assert repr(Searched(0.1, 2, log=True)) == "{search: [0.1, 2], log: true}"
    assert repr(Searched(0, 1, step=0.5)) == "{search: [0, 1], step: 0.5}"


def test_an_alias_makes_two_options():
    text = HEAD + "options: {scale: &x {search: [0.1, 1]}, density: *x}\n"
    assert space(text).names == ["options.scale", "options.density"]
