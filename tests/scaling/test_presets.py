"""What presets stand for, and options that do not go together."""

from __future__ import annotations

import pytest

from merge.calibration.declared import ScalingCalibration
from merge.errors import UsageError
from merge.scaling.presets import Choice, choice_of


def test_atlas_is_the_default():
    assert choice_of(ScalingCalibration()) == Choice()


@pytest.mark.parametrize(("name", "per"), [("task-wise-adamerging", "model"), ("layer-wise-adamerging", "tensor")])
def test_adamerging(name, per):
    found = choice_of(ScalingCalibration(preset=name))
    assert found == Choice("entropy", per, 1, 0.3, True, None, 1000, 16, 1e-3, False, 0.0, None)


def test_what_is_given_counts():
    options = ScalingCalibration(
        preset="layer-wise-adamerging",
        epochs=3,
        batch=5,
        learning_rate=0.5,
        start="zero",
        weight_decay=0.2,
        memory="1MB",
    )
    found = choice_of(options)
    assert (found.epochs, found.steps, found.batch) == (3, None, 5)
    assert (found.learning_rate, found.start, found.weight_decay, found.memory) == (0.5, 0.0, 0.2, 10**6)
    assert choice_of(ScalingCalibration(steps=7)).epochs is None


def test_without_labels_the_rate_is_lower():
    assert choice_of(ScalingCalibration(objective="entropy")).learning_rate == 1e-3
    assert choice_of(ScalingCalibration(preset="task-wise-adamerging", objective="supervised")).learning_rate == 1e-3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": 1, "steps": 1}, "epochs and steps"),
        ({"threshold": 0.5}, "threshold is for pseudo-labels"),
        ({"strong": "none", "objective": "entropy"}, "strong is for pseudo-labels"),
        ({"held_out": 0.5, "validation": "x.yaml"}, "held_out has no meaning"),
        ({"held_out": 0.5, "objective": "entropy"}, "held_out has no meaning"),
        ({"memory": "much"}, "no size"),
    ],
)
def test_what_does_not_go_together(given, words):
    with pytest.raises(UsageError, match=words):
        choice_of(ScalingCalibration(**given))
