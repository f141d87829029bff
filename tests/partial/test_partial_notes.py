"""What a user is told of a wide network: what becomes of its tensors, and what no budget splits, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from planted import groups_of, member
from running_models import Attention, Perceptron, attention_groups, images, made, texts
from wide_models import computed, floating, joint_of, laid_out, matching_of, shapes_of

from merge.alignment.groups import Group
from merge.errors import MergeError
from merge.partial.computing import compute_joint
from merge.partial.proving import HEADS
from merge.partial.wide_notes import AVERAGED, BESIDE, SOLVED, always_merged, treatments_of
from merge.partial.widening import Widening
from merge.partial.widths import wide_shapes


def treatments(budget: float, heads: str = "auto") -> dict[str, str]:
    pair, sample = (made(Perceptron, 1), made(Perceptron, 2)), images(40, 6)
    joint, states = joint_of(pair, sample), (floating(pair[0]), floating(pair[1]))
    layout = laid_out(joint, states, budget, heads=heads)
    both = shapes_of(states[0]), shapes_of(states[1])
    shapes = wide_shapes(*both, layout)
    found = treatments_of(both, shapes, joint, Widening(joint, layout))
    return {name: treatment for name, (treatment, _) in found.items()}


def test_nothing_counts_as_averaged_where_nothing_is_merged() -> None:
    found = treatments(1, heads="apart")
    assert set(found.values()) == {BESIDE}


def test_the_outputs_alone_are_averaged_where_all_units_stay_apart() -> None:
    found = treatments(1)
    assert {name for name, treatment in found.items() if treatment == AVERAGED} == {"third.weight", "third.bias"}
    assert {treatment for name, treatment in found.items() if not name.startswith("third")} == {BESIDE}


def test_matrices_that_read_merged_units_are_solved_and_biases_averaged() -> None:
    found = treatments(0)
    assert {name for name, treatment in found.items() if treatment == SOLVED} == {"second.weight", "third.weight"}
    assert BESIDE not in found.values()


def test_groups_that_no_budget_splits_are_told_by_kind() -> None:
    """One line however many there are, without those that lie within others."""
    joint = joint_of((made(Attention, 1), made(Attention, 2)), texts(20, 5), groups=attention_groups())
    assert always_merged(joint) == f"heads ({HEADS})"


def test_what_cannot_be_as_wide_is_told_in_its_own_words() -> None:
    """Without the model's name and the kind of the error before it."""
    pair, sample = (made(Perceptron, 1), made(Perceptron, 2)), images(20, 6)
    units = Group("units", 8, (member("first.weight", 0, 8), member("first.bias", 0, 8), member("second.weight", 1, 8)))
    plain = computed(pair, sample).facts
    assert "mlp.0" in plain.about["widens"]

    def run(state: Mapping[str, Any]) -> Sequence[torch.Tensor]:
        if len(state["first.bias"]) != len(pair[0].first.bias):
            raise MergeError("'norm' is LayerNorm, which cannot be given another size", where="a")
        with torch.no_grad():
            return [pair[0](**sample.inputs)]

    found = compute_joint(matching_of(pair, sample, groups_of(units)), run, ("one", "other")).facts.about
    assert found["always_merged"] == {"units": "'norm' is LayerNorm, which cannot be given another size"}
