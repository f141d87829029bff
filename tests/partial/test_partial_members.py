"""Members of other types, and what is refused of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted import groups_of
from running_models import Perceptron, images, made
from wide_models import Pair, floating, joint_of, laid_out
from wide_networks import Classifier

from merge.errors import MergeError
from merge.partial.widening import Widening
from merge.partial.widths import Layout


def pair_of(make: Any) -> Pair:
    return made(make, 1), made(make, 2)


@pytest.mark.parametrize("types", [("float32", "float64"), ("float64", "float32"), ("float64", "float64")])
def test_members_of_other_types(types: tuple[str, str]) -> None:
    """Nothing is rounded to the narrower one; what is solved for is of float64."""
    pair, sample = pair_of(Perceptron), images(40, 6)
    joint = joint_of(pair, sample)
    states = [
        {name: array.astype(dtype) + (1e-12 if dtype == "float64" else 0) for name, array in floating(module).items()}
        for module, dtype in zip(pair, types, strict=True)
    ]
    widening = Widening(joint, laid_out(joint, (states[0], states[1]), 0.5))
    found = widening.tensor("first.weight", *(state["first.weight"] for state in states))
    split = widening.layout.splits["mlp.0"]
    assert found.dtype == np.float64
    assert (found[len(split.pairs) :][: len(split.first)] == states[0]["first.weight"][split.first]).all()
    assert (found[-len(split.second) :] == states[1]["first.weight"][split.second]).all()
    assert widening.tensor("second.weight", *(state["second.weight"] for state in states)).dtype == np.float64


def test_statistics_of_other_models_are_refused() -> None:
    pair, sample = pair_of(lambda: Classifier(3, 9)), images(40, 6)
    joint = joint_of(pair, sample)
    wider = made(lambda: Classifier(3, 12), 1)
    states = floating(wider), floating(wider)
    with pytest.raises(MergeError, match=r"joint statistics of 'second.weight' are for 18 inputs.*other models"):
        Widening(joint, Layout(groups_of(), {}, {}, {})).tensor("second.weight", *(s["second.weight"] for s in states))
