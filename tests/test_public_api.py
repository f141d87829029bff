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


@pytest.mark.parametrize(
    ("method", "options", "wanted"),
    [
        ("ties", {"density": np.array(0.5)}, {"density": 0.5}),
        ("ties", {"density": torch.tensor(0.5)}, {"density": 0.5}),
        ("ties", {"density": np.array([0.5, 0.25])}, {"density": [0.5, 0.25]}),
        ("ties", {"weight": [np.float32(0.5), torch.tensor(2)]}, {"weight": [0.5, 2.0]}),
        ("ties", {"scale": np.array(0.5)}, {"scale": 0.5}),
        ("ties", {"scale": torch.tensor(2)}, {"scale": 2}),
        ("ties", {"normalize": np.bool_(False)}, {"normalize": False}),
        ("best-k", {"score": (1.0, 2.0), "count": np.int64(1)}, {"score": (1.0, 2.0), "count": 1}),
        ("soup", {"weight": (share for share in (0.25, 0.75))}, {"weight": [0.25, 0.75]}),
    ],
)
def test_numbers_of_numpy_and_torch_are_numbers(method, options, wanted):
    models, base = [random_state(1), random_state(2)], random_state(3)
    found = merge.merge_state_dicts(models, method=method, base=base, **options)
    assert_same(found, merge.merge_state_dicts(models, method=method, base=base, **wanted))


def test_a_seed():
    models, base = [random_state(1), random_state(2)], random_state(3)
    first, again, other = (merge.merge_state_dicts(models, method="dare", base=base, seed=seed) for seed in (3, 3, 4))
    assert_same(first, again)
    assert not torch.equal(first["embed.weight"], other["embed.weight"])
    for seed in (-1, 1.5, True, "3"):
        with pytest.raises(merge.UsageError, match="seed must be"):
            merge.merge_state_dicts(models, method="dare", base=base, seed=seed)
    with pytest.warns(UserWarning, match="soup draws no random numbers"):
        merge.merge_state_dicts(models, seed=3)


ODD = {
    "a key": (lambda: {1: torch.ones(2)}, "the key 1 is no text"),
    "sparse": (lambda: {"x": torch.eye(3).to_sparse()}, "'x' is a sparse tensor"),
    "sparse rows": (lambda: {"x": torch.eye(3).to_sparse_csr()}, "'x' is a sparse tensor"),
    "without values": (lambda: {"x": torch.ones(2, device="meta")}, "'x' is a meta tensor"),
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_what_is_no_tensor_of_numbers_is_refused(case):
    make, message = ODD[case]
    with pytest.raises(merge.UsageError, match=f"state dict 1: {message}"):
        merge.merge_state_dicts([make(), make()])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"fisher needs Fisher information of every model \(give statistics="),
        (3, "statistics= takes a list with one state dict for each model"),
        ([{"x": np.ones(2)}, None], "statistics= takes a list with one state dict for each model"),
        ([{"x": np.ones(2)}], "statistics= has 1 state dicts for 2 models"),
    ],
)
def test_statistics_that_are_none(given, message):
    models = [{"x": np.ones(2)}, {"x": np.zeros(2)}]
    with pytest.raises(merge.UsageError, match=message):
        merge.merge_state_dicts(models, method="fisher", statistics=given)
