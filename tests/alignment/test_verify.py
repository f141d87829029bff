"""The proof: right groups pass, wrong ones are refused by name, and the weights are as they were."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from merge.alignment.derive import derive_groups
from merge.alignment.groups import Group, Groups, Member
from merge.alignment.trials import random_order
from merge.alignment.verify import verify_groups, verify_orders
from merge.errors import MergeError, UsageError
from tests.alignment.architectures import MAKERS, llama, perceptron, places


def derived(made):
    module, inputs = made
    here = places(module)
    return module, here, derive_groups(module, here, inputs), inputs


def with_group(groups, group):
    return replace(groups, groups={**groups.groups, group.name: group})


def group_of(name, *members, parent=None):
    return Group(name, members[0].size, members, "other", parent)


def refused(module, here, groups, inputs):
    with pytest.raises(MergeError) as error:
        verify_groups(module, here, groups, inputs)
    return str(error.value)


def test_orders_within_the_query_and_key_heads_of_a_llama_are_refused():
    module, here, groups, inputs = derived(llama())
    layer = "model.layers.0.self_attn"
    queries, keys = Member(f"{layer}.q_proj.weight", 0, (2, 2, 4), 2), Member(f"{layer}.k_proj.weight", 0, (2, 4), 1)
    wrong = with_group(groups, group_of("rotated", queries, keys, parent="heads.0"))
    message = refused(module, here, wrong, inputs)
    assert "group 'rotated' changes what the model computes" in message
    assert "heads.0'" not in message


def test_heads_of_queries_and_keys_without_values_and_outputs_are_refused():
    module, here, groups, inputs = derived(MAKERS["bert"][0]())
    heads = groups.groups["heads.1"]
    part = tuple(member for member in heads.members if ".query." in member.tensor or ".key." in member.tensor)
    wrong = replace(groups, groups={"heads.1": replace(heads, members=part)})
    assert "group 'heads.1' changes" in refused(module, here, wrong, inputs)


def test_the_classes_of_a_classifier_are_refused():
    module, here, groups, inputs = derived(perceptron())
    wrong = with_group(groups, group_of("classes", Member("4.weight", 0, (3,)), Member("4.bias", 0, (3,))))
    assert "group 'classes' changes" in refused(module, here, wrong, inputs)


@pytest.mark.parametrize("forgotten", ["bn1.running_mean", "bn1.running_var", "bn1.weight", "bn1.bias"])
def test_a_forgotten_part_of_a_fresh_batch_norm_is_refused(forgotten):
    module, here, groups, inputs = derived(normalised())
    group = groups.groups["channels.0"]
    part = tuple(member for member in group.members if member.tensor != forgotten)
    wrong = Groups({group.name: replace(group, members=part, only_follows=frozenset())})
    assert "group 'channels.0' changes" in refused(module, here, wrong, inputs)


def normalised():
    """A fresh network with batch normalisation, whose statistics and gains are zeros and ones."""
    torch.manual_seed(0)
    layers = {"conv": nn.Conv2d(3, 8, 3), "bn1": nn.BatchNorm2d(8), "relu": nn.ReLU(), "flat": nn.Flatten()}
    return nn.Sequential(OrderedDict(layers, fc=nn.Linear(8 * 16, 5))).eval(), (torch.randn(2, 3, 6, 6),)


# Nothing depends on it: it adds the same to the scores of all keys.
WITHOUT_EFFECT = ".key.bias"


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "qwen3", "open_clip vit"])
def test_every_single_member_matters(name):
    module, here, groups, inputs = derived(MAKERS[name][0]())
    for group in groups.groups.values():
        for member in group.members:
            rest = tuple(other for other in group.members if other.tensor != member.tensor)
            parent = {group.parent: groups.groups[group.parent]} if group.parent else {}
            wrong = Groups({**parent, group.name: replace(group, members=rest, only_follows=frozenset())})
            if rest and not member.tensor.endswith(WITHOUT_EFFECT):
                assert f"'{group.name}'" in refused(module, here, wrong, inputs), member


def test_a_tied_tensor_that_moves_under_one_name_only_is_refused():
    module, here, groups, inputs = derived(llama(tie_word_embeddings=True))
    residual = groups.groups["residual"]
    part = tuple(member for member in residual.members if member.tensor != "lm_head.weight")
    wrong = with_group(groups, replace(residual, members=part, only_follows=frozenset()))
    message = refused(module, here, wrong, inputs)
    assert "moves 'model.embed_tokens.weight' but not 'lm_head.weight', which is the same tensor" in message


def test_one_wrong_group_among_many_is_found():
    module, here, groups, inputs = derived(MAKERS["resnext50"][0]())
    assert len(groups.groups) > 32
    group = groups.groups["residual.2"]
    wrong = with_group(groups, replace(group, members=group.members[:1], only_follows=frozenset()))
    assert "group 'residual.2' changes" in refused(module, here, wrong, inputs)


def test_weights_and_mode_are_as_they_were_even_after_a_refusal():
    module, here, groups, inputs = derived(normalised())
    before = {name: (id(tensor), tensor.data_ptr(), tensor.clone()) for name, tensor in here.items()}
    verify_groups(module, here, groups, inputs)
    verify_groups(module, here, groups, inputs, precision="float64")
    wrong = with_group(groups, group_of("classes", Member("fc.weight", 0, (5,)), Member("fc.bias", 0, (5,))))
    refused(module, here, wrong, inputs)
    for name, tensor in places(module).items():
        identity, address, values = before[name]
        assert (id(tensor), tensor.data_ptr(), tensor.dtype) == (identity, address, torch.float32)
        assert torch.equal(tensor, values)


def test_the_same_seed_gives_the_same_proof():
    module, here, groups, inputs = derived(perceptron())
    first, second = (verify_groups(module, here, groups, inputs, seed=3) for _ in range(2))
    assert first == second
    assert first.seed == 3
    assert set(first.differences) == {("mlp.0",), ("mlp.1",), ("mlp.0", "mlp.1")}
    assert 0 <= first.largest <= 1e-5


def test_double_precision_proves_more():
    module, here, groups, inputs = derived(MAKERS["open_clip resnet"][0]())
    assert verify_groups(module, here, groups, inputs, precision="float64").largest <= 1e-10


class Rounding(nn.Module):
    """Takes a small difference of large numbers, which rounds differently in another order."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 40), nn.Linear(40, 3)

    def forward(self, x):
        return self.last(self.first(x) + 1e3) - 1e3 * self.last.weight.sum(1)


def test_rounding_is_told_from_change_in_double_precision():
    torch.manual_seed(0)
    module, here, groups, inputs = derived((Rounding(), (torch.randn(2, 6),)))
    with pytest.raises(MergeError, match="changes what the model computes"):
        verify_groups(module, here, groups, inputs, precision="float32")
    assert verify_groups(module, here, groups, inputs).precision == "float64"


class Remembering(nn.Module):
    """Keeps what it computed from its weights until it is trained, as attention of timm keeps its biases."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.gain = nn.Linear(6, 8), nn.Linear(8, 3), nn.Parameter(torch.randn(8))
        self.kept = None

    def train(self, mode=True):
        self.kept = None if mode else self.kept
        return super().train(mode)

    def forward(self, x):
        self.kept = self.gain.exp() if self.kept is None else self.kept
        return self.last(self.first(x) * self.kept)


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")
def test_what_a_module_remembers_of_its_weights_is_forgotten():
    module, here, groups, inputs = derived((Remembering().eval(), (torch.randn(2, 6),)))
    expected = module(*inputs)
    assert {str(member) for member in groups.groups["mlp.0"].members} >= {"gain:0", "first.weight:0"}
    assert verify_groups(module, here, groups, inputs).largest <= 1e-5
    assert torch.equal(module(*inputs), expected)


def test_what_runs_the_model_may_be_given():
    module, here, groups, inputs = derived(perceptron())
    assert verify_groups(module, here, groups, lambda: module(*inputs)).largest <= 1e-5


def test_no_group_is_proven_without_a_trial():
    module, inputs = perceptron()
    assert verify_groups(module, places(module), Groups({}), inputs).differences == {}


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Member("9.weight", 0, (12,)), "moves '9.weight', which the model lacks"),
        (Member("0.weight", 2, (12,)), "has the shape"),
        (Member("0.weight", 0, (13,)), "13"),
        (Member("0.weight", 0, (4,), 0, 10), "10"),
    ],
)
def test_members_that_do_not_fit_are_refused_before_anything_runs(member, message):
    module, inputs = perceptron()
    with pytest.raises(MergeError, match=message):
        verify_groups(module, places(module), Groups({"one": group_of("one", member)}), inputs)


def test_groups_that_move_one_axis_twice_are_refused():
    module, here, groups, inputs = derived(perceptron())
    wrong = with_group(groups, group_of("again", Member("0.bias", 0, (12,))))
    with pytest.raises(UsageError):
        verify_groups(module, here, wrong, inputs)


class Gives(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.layer, self.outputs = nn.Linear(4, 4), outputs

    def forward(self, x):
        return self.outputs(self.layer(x))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda x: x / 0, "not finite"),
        (lambda x: x * 0, "are zero"),
        (lambda x: x + torch.rand(4), "other outputs each time"),
    ],
)
def test_outputs_that_prove_nothing_are_refused(outputs, message):
    groups = Groups({"one": group_of("one", Member("layer.weight", 0, (4,)), Member("layer.bias", 0, (4,)))})
    module = Gives(outputs)
    with pytest.raises(MergeError, match=message):
        verify_groups(module, places(module), groups, (torch.randn(2, 4),))


def test_random_orders_move_something_and_are_drawn_for_each_unit_of_the_parent():
    outer, inner = Group("outer", 2, ()), Group("inner", 5, (), parent="outer")
    groups = Groups({"outer": outer, "inner": inner})
    for seed in range(20):
        assert random_order(outer, groups, seed).tolist() == [1, 0]
    orders = random_order(inner, groups, 0)
    assert orders.shape == (2, 5)
    assert np.array_equal(np.sort(orders), np.tile(np.arange(5), (2, 1)))
    assert not np.array_equal(orders[0], orders[1])


def test_orders_that_keep_the_function_are_proven_and_others_are_refused_by_name():
    module, here, groups, inputs = derived(perceptron())
    before = {name: tensor.clone() for name, tensor in here.items()}
    orders = {name: random_order(group, groups, 1) for name, group in groups.groups.items()}
    proof = verify_orders(module, here, groups, orders, inputs)
    assert list(proof.differences) == [tuple(groups.groups)]
    assert 0 < proof.largest <= 1e-5
    wrong = with_group(groups, group_of("classes", Member("4.weight", 0, (3,)), Member("4.bias", 0, (3,))))
    with pytest.raises(MergeError, match="group 'classes' changes what the model computes"):
        verify_orders(module, here, wrong, {**orders, "classes": np.array([1, 2, 0])}, inputs)
    assert verify_orders(module, here, wrong, orders, inputs).largest <= 1e-5  # without an order, classes stay
    assert all(torch.equal(here[name], tensor) for name, tensor in before.items())
