"""The Python API: the same results as the command line, with numpy or torch in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import assert_same, equal_bits, load, random_state

import merge


def test_what_is_promised_is_there():
    for name in merge.__all__:
        assert getattr(merge, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        merge.nothing  # noqa: B018


def test_a_recipe_from_python_equals_the_command(cli, here, pair):
    (here / "recipe.yaml").write_text("merge: soup\nmodels: [a.st, b.st]\noutput: one.st\n")
    merge.merge("recipe.yaml")
    merge.merge("recipe.yaml", out="two.st")
    assert cli("soup", "a.st", "b.st", "-o", "three.st").code == 0
    for name in ("one.st", "two.st"):
        assert_same(merge.load(here / name), load(here / "three.st"))


def test_state_dicts_of_torch():
    one, two = random_state(1), random_state(2)
    found = merge.merge_state_dicts([one, two], weight=[0.25, 0.75])
    assert list(found) == list(one)
    wanted = (one["embed.weight"].float() * 0.25 + two["embed.weight"].float() * 0.75).bfloat16()
    assert equal_bits(found["embed.weight"], wanted)
    assert_same(one, random_state(1))


def test_state_dicts_of_numpy():
    base, one = ({"w": np.full((2, 3), value, "f4"), "n": np.array([1, 2])} for value in (1, 3))
    found = merge.merge_state_dicts([one], method="task-arithmetic", base=base, scale=0.5)
    assert isinstance(found["w"], np.ndarray)
    assert found["w"].tolist() == [[2, 2, 2], [2, 2, 2]]
    assert (one["w"] == 3).all()


@pytest.mark.parametrize(
    "change", [lambda t: t.t(), lambda t: t[::2], lambda t: t.expand(5, *t.shape), lambda t: t.requires_grad_()]
)
def test_tensors_in_any_memory_layout(change):
    one, two = ({"w": change(torch.arange(12.0).reshape(4, 3) + n)} for n in (0, 2))
    found = merge.merge_state_dicts([one, two])["w"]
    assert torch.equal(found, one["w"].detach() + 1)


def test_errors_are_of_one_family():
    with pytest.raises(merge.UsageError, match="at least 2"):
        merge.merge_state_dicts([random_state(1)])
    with pytest.raises(merge.MergeError, match="no option"):
        merge.merge_state_dicts([random_state(1), random_state(2)], wieght=[1, 2])
    with pytest.raises(merge.MergeError, match="one value for each"):
        merge.merge_state_dicts([random_state(1), random_state(2)], weight=[1])
    with pytest.raises(merge.MergeError, match="no tensor"):
        merge.merge_state_dicts([{"w": "text"}, {"w": "text"}])
