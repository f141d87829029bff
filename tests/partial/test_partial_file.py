"""Joint statistics in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_models import Perceptron, images, made
from wide_models import computed, wide

from merge.calibration.facts import Facts
from merge.calibration.storing import Store
from merge.checkpoints.resolve import open_checkpoint
from merge.errors import MergeError
from merge.partial.computing import Computed
from merge.partial.joint_file import Joint, joint_of, read_joint


@pytest.fixture(scope="module")
def pair() -> Any:
    return made(Perceptron, 1), made(Perceptron, 2)


@pytest.fixture(scope="module")
def known(pair: Any) -> Computed:
    return computed(pair, images(40, 6))


def stored(known: Computed, path: Path) -> Joint:
    with Store(path) as store:
        store.begin({"models": ["one", "other"]})
        store.finish(known.tensors, known.facts)
    return read_joint(open_checkpoint(str(path)))


def test_what_is_written_is_read(pair: Any, known: Computed, tmp_path: Path) -> None:
    found, before = stored(known, tmp_path / "joint.safetensors"), known.joint()
    assert found.groups.groups == before.groups.groups
    assert (found.widens, found.reads, found.outputs) == (before.widens, before.reads, before.outputs)
    assert all((found.orders[name] == order).all() for name, order in before.orders.items())
    assert found.facts.about["data"] == {}
    assert found.facts.about["models"] == ["one", "other"]
    again, first = wide(pair, found, 0.5), wide(pair, before, 0.5)
    for name, array in first.items():
        assert again[name] == pytest.approx(array, rel=1e-4, abs=1e-5)


def test_the_same_statistics_are_the_same_bytes(known: Computed, tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    stored(known, one), stored(known, other)
    assert one.read_bytes() == other.read_bytes()


def test_data_that_was_drawn_is_called_so(pair: Any) -> None:
    assert computed(pair, images(10, 6), stand_in=True).facts.about["data"] == "stand-in"


def read_from(known: Computed, facts: Facts | None = None, **tensors: Any) -> Joint:
    arrays = {name: tensor.numpy() for name, tensor in known.tensors.items()} | tensors
    return joint_of(facts or known.facts, lambda name: arrays[name], "joint.safetensors")


def test_statistics_of_another_kind_are_refused(known: Computed) -> None:
    with pytest.raises(MergeError, match=r"joint.safetensors: it holds no joint statistics of two models"):
        read_from(known, replace(known.facts, kind="gram"))


@pytest.mark.parametrize("missing", ["groups", "orders", "reads", "widens"])
def test_broken_metadata_is_refused(known: Computed, missing: str) -> None:
    about = {name: value for name, value in known.facts.about.items() if name != missing}
    with pytest.raises(MergeError, match="its metadata is broken"):
        read_from(known, replace(known.facts, about=about))


def test_orders_and_similarities_that_are_none_are_refused(known: Computed) -> None:
    with pytest.raises(MergeError, match=r"the order of group 'mlp.0' does not hold every unit once"):
        read_from(known, **{"order.mlp.0": np.zeros(14, np.int64)})
    with pytest.raises(MergeError, match=r"the similarities of group 'mlp.1' are not those of its units"):
        read_from(known, **{"similarity.mlp.1": np.full(10, np.nan)})


@pytest.mark.parametrize("broken", [np.full((20, 20), np.nan), np.triu(np.ones((20, 20))), -np.eye(20)])
def test_gram_matrices_that_are_none_are_refused(known: Computed, broken: Any) -> None:
    joint = read_from(known, **{"gram.third.weight": broken})
    with pytest.raises(MergeError, match=r"the joint statistics of 'third.weight'"):
        joint.gram("third.weight")
    assert joint.gram("first.weight") is None
