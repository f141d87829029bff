"""REPAIR against the original's way: BatchNorm modules as trackers around the layers, then folded."""

from __future__ import annotations

import pytest
import torch
from small_networks import Normed, Plain, made, pixels
from torch import nn

from merge.after.correction import EPSILON, correction_to, goal_of
from merge.after.passes import Passes
from merge.after.pre_activations import PreActivations
from merge.after.repair import look_at, repair
from merge.calibration.feeds.in_memory import sample_from_tensors, subject_from_module
from merge.errors import MergeError
from merge.evaluation.task import Settings

SIZE = 1000


def looked_at(network, sample, size=SIZE, forward=None):
    subject = subject_from_module("an endpoint", network, forward)
    outputs = PreActivations(subject.places(), subject.name)
    Passes(Settings(batch_size=size)).run("pass", subject, sample, outputs)
    return outputs


def repaired(average, ends, sample, size=SIZE, forward=None):
    endpoints = look_at([looked_at(end, sample, size, forward) for end in ends])
    subject = subject_from_module("the average", average, forward)
    return repair(subject, sample, average.state_dict(), endpoints, Passes(Settings(batch_size=size)))


def folded(network, found):
    """Return the network with the corrections in its tensors."""
    state = network.state_dict()
    for name, value in found.tensors.items():
        if name.rpartition(".")[2].startswith(("running", "num")):
            state[name] = value.to(state[name].dtype)
        elif value.ndim == 2:
            state[name] = (state[name].double() * value[0] + value[1]).float()
        else:
            axis = -1 if found.layouts.get(name) == "in_out" else 0
            shape = [1] * state[name].ndim
            shape[axis] = -1
            state[name] = (state[name].double() * value.reshape(shape)).float()
    network.load_state_dict(state)
    return network


def average_of(kind, *networks):
    states = [network.state_dict() for network in networks]
    mean = {name: torch.stack([state[name] for state in states]).double().mean(0) for name in states[0]}
    network = made(kind, 0)
    network.load_state_dict({name: tensor.to(states[0][name].dtype) for name, tensor in mean.items()})
    return network.eval()


class Tracked(nn.Module):
    """A layer as the original code wraps it."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.rescale = layer, False
        self.norm = nn.BatchNorm1d(layer.out_features, momentum=None)

    def forward(self, inputs):
        outputs = self.layer(inputs)
        normed = self.norm(outputs)
        return normed if self.rescale else outputs


def by_trackers(average, ends, rows):
    """The original's recipe for linear layers with biases, before folding; one batch."""

    def tracked(network):
        found = nn.Sequential(*(Tracked(layer) if isinstance(layer, nn.Linear) else layer for layer in network))
        return found.train()

    wrapped = [tracked(network) for network in (*ends, average)]
    with torch.no_grad():
        for network in wrapped[:-1]:
            network(rows)
        for number, layer in enumerate(wrapped[-1]):
            if isinstance(layer, Tracked):
                one, two = (network[number].norm for network in wrapped[:-1])
                layer.norm.bias.copy_((one.running_mean + two.running_mean) / 2)
                deviation = (one.running_var.sqrt() + two.running_var.sqrt()) / 2
                layer.norm.weight.copy_((deviation.square() + EPSILON).sqrt())
                layer.rescale = True
        wrapped[-1](rows)
        wrapped[-1].eval()
        return wrapped[-1](rows)


def perceptron(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 5)).eval()


def averaged(one, two):
    network = perceptron(0)
    pairs = zip(one.state_dict().items(), two.state_dict().values(), strict=True)
    network.load_state_dict({name: (a + b) / 2 for (name, a), b in pairs})
    return network


def test_a_perceptron_comes_out_as_by_the_originals_trackers():
    ends, rows = (perceptron(1), perceptron(2)), torch.randn(9000, 16, generator=torch.Generator().manual_seed(0))
    found = repaired(averaged(*ends), ends, sample_from_tensors({"rows": rows}), size=9000)
    outputs = folded(averaged(*ends), found)(rows)
    wanted = by_trackers(averaged(*ends), ends, rows)
    assert torch.allclose(outputs, wanted, atol=1e-3)  # they normalize a batch by its biased variance
    assert found.left_out == {}
    assert found.without_bias == []
    assert found.largest == pytest.approx(max(float(found.tensors[f"{n}.weight"].max()) for n in (0, 2, 4)))


def test_every_layer_has_the_averages_mean_and_deviation_afterwards():
    ends, rows = (perceptron(1), perceptron(2)), torch.randn(300, 16, generator=torch.Generator().manual_seed(0))
    sample = sample_from_tensors({"rows": rows})
    network = folded(averaged(*ends), repaired(averaged(*ends), ends, sample))
    measured = looked_at(network, sample).sums.moments
    wanted = look_at([looked_at(end, sample) for end in ends]).goals
    assert set(measured) == set(wanted) == {"0.weight", "2.weight", "4.weight"}
    for name, goal in wanted.items():
        assert torch.allclose(measured[name].mean, goal.mean, atol=1e-5)
        assert torch.allclose(measured[name].variance, goal.variance, rtol=0.01)  # epsilon counts here


def test_a_model_that_is_brought_to_itself_stays():
    network, rows = perceptron(1), torch.randn(100, 16, generator=torch.Generator().manual_seed(0))
    found = repaired(network, (network, network), sample_from_tensors({"rows": rows}), size=50)
    for name, value in found.tensors.items():
        factor, shift = (value, None) if value.ndim == 1 else value
        assert torch.allclose(factor, torch.ones_like(factor), atol=0.1), name
        assert shift is None or shift.abs().max() < 0.1
    whole = repaired(network, (network, network), sample_from_tensors({"rows": rows}))
    assert all(torch.allclose(whole.tensors[f"{n}.weight"], torch.ones(1).double(), atol=1e-6) for n in (0, 2, 4))


def test_deviations_are_averaged_not_variances():
    from merge.after.channel_sums import moments_of

    one, two = (moments_of(torch.tensor([[-spread], [spread]])) for spread in (1.0, 3.0))
    goal = goal_of([one, two])
    assert goal.variance.sqrt().item() == pytest.approx(2 * 2**0.5)  # (sqrt 2 + 3 sqrt 2) / 2
    scaled = correction_to(goal, torch.zeros(1).double(), torch.ones(1).double() * 2, shifts=True)
    assert scaled.scale.item() == pytest.approx(2, rel=1e-4)


def test_a_layer_without_bias_is_scaled_and_not_shifted():
    ends, images = (made(Plain, 1), made(Plain, 2)), pixels().flatten(1)
    found = repaired(average_of(Plain, *ends), ends, sample_from_tensors({"rows": images}))
    assert found.without_bias == ["second.weight"]
    assert set(found.tensors) == {"first.weight", "first.bias", "second.weight", "head.weight", "head.bias"}


def test_batch_norm_is_reset_in_the_same_pass_with_what_the_corrected_layers_give():
    ends, images = (made(Normed, 1), made(Normed, 2)), pixels(200)
    sample = sample_from_tensors({"pixels": images})
    network = folded(average_of(Normed, *ends), repaired(average_of(Normed, *ends), ends, sample))
    with torch.no_grad():
        inputs = network.conv1(images)
    assert torch.allclose(network.bn1.running_mean, inputs.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(network.bn1.running_var, inputs.var((0, 2, 3)), rtol=1e-4)
    assert network.bn2.num_batches_tracked.item() == 1


def test_a_matrix_stored_the_other_way_round_and_a_tied_table():
    from transformers import GPT2Config, GPT2LMHeadModel

    def language_model(seed):
        torch.manual_seed(seed)
        sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 20, "n_positions": 16}
        return GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.3)).eval()

    ends = (language_model(1), language_model(2))
    tokens = torch.randint(0, 20, (12, 6), generator=torch.Generator().manual_seed(0))
    counted = torch.ones(12, 6, dtype=torch.bool)
    counted[:, 4:] = False
    sample = sample_from_tensors({"input_ids": tokens}, counted={"input_ids": counted})

    def run(network):
        return lambda inputs: network(input_ids=inputs["input_ids"]).logits

    found = look_at([looked_at(end, sample, forward=run(end)) for end in ends])
    average = language_model(0)
    subject = subject_from_module("the average", average, run(average))
    result = repair(subject, sample, average.state_dict(), found, Passes(Settings(batch_size=SIZE)))
    prefix = "transformer.h.0."
    matrices = {f"{prefix}{name}.weight" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}
    assert set(result.layouts) == matrices
    assert {name for name in result.tensors if name.endswith("weight")} == matrices
    assert result.tensors[f"{prefix}attn.c_attn.weight"].shape == (24,)
    assert "lm_head.weight" in result.left_out
    assert "transformer.wte.weight" in result.left_out
    after = looked_at(folded(average, result), sample, forward=run(average)).sums.moments[f"{prefix}attn.c_attn.weight"]
    assert after.count == 12 * 4  # padding is not counted
    goal = found.goals[f"{prefix}attn.c_attn.weight"]
    assert torch.allclose(after.mean, goal.mean, atol=1e-4)
    assert torch.allclose(after.variance, goal.variance, rtol=1e-2)


def test_torchs_own_attention_is_corrected_too():
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 4)

        def forward(self, states):
            return self.head(self.attention(states, states, states, need_weights=False)[0])

    def attending(seed):
        torch.manual_seed(seed)
        network = Attending()
        nn.init.normal_(network.attention.in_proj_bias)
        nn.init.normal_(network.attention.out_proj.bias)
        return network.eval()

    ends, states = (attending(1), attending(2)), torch.randn(40, 5, 8, generator=torch.Generator().manual_seed(0))
    sample = sample_from_tensors({"states": states})
    average = attending(3)
    plain = average(states).detach()
    seen = looked_at(average, sample)
    assert torch.equal(average(states), plain)
    assert set(seen.sums.moments) == {"attention.in_proj_weight", "attention.out_proj.weight", "head.weight"}
    result = repaired(average, ends, sample)
    after = looked_at(folded(average, result), sample).sums.moments
    goals = look_at([looked_at(end, sample) for end in ends]).goals
    for name, goal in goals.items():
        assert torch.allclose(after[name].mean, goal.mean, atol=1e-5), name
        assert torch.allclose(after[name].variance, goal.variance, rtol=1e-2), name


def test_layers_that_run_twice_or_share_a_bias_are_left_alone():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
            self.two.bias = self.one.bias

        def forward(self, rows):
            return self.two(self.one(self.twice(torch.relu(self.twice(rows)))))

    class WithHead(Odd):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, rows):
            return self.head(super().forward(rows))

    def odd(kind, seed):
        torch.manual_seed(seed)
        return kind().eval()

    sample = sample_from_tensors({"rows": torch.randn(30, 6, generator=torch.Generator().manual_seed(0))})
    found = repaired(odd(WithHead, 0), (odd(WithHead, 1), odd(WithHead, 2)), sample)
    assert set(found.tensors) == {"head.weight", "head.bias"}
    why = "its bias is no tensor of its own"
    wanted = {"twice.weight": "it runs several times on the way", "one.weight": why, "two.weight": why}
    assert found.left_out == wanted
    with pytest.raises(MergeError, match="no linear or convolutional layer could be corrected"):
        repaired(odd(Odd, 0), (odd(Odd, 1), odd(Odd, 2)), sample)
