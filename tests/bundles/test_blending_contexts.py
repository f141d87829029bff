"""Networks are as they were after every context, and what cannot be interpolated is refused with names."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from merge.bundles.blending import Blending
from merge.errors import MergeError
from tests.bundles.blending_library_networks import Curved, Encoder, Recurrent, bert, open_clip_vit, t5
from tests.bundles.blending_networks import of_class, of_images, of_texts, pair, runner

CASES = {
    "bert": of_texts(bert),
    "t5": of_texts(t5, masked=False),
    "open_clip": of_images(open_clip_vit),
    "encoder": of_class(lambda: Encoder(False)),
    "curved": of_class(Curved),
    "recurrent": of_class(Recurrent),
}
WEIGHTS = torch.tensor([0.9, 0.1, 0.5, 0.2, 0.4])


class Stop(Exception):
    """Raised amid the work."""


def snapshot(network):
    """Everything about a network that a context could change, tensors by identity and by value."""
    modules = [(type(module), sorted(vars(module)), list(module._parameters)) for module in network.modules()]
    tensors = [(name, id(tensor), tensor._version) for name, tensor in network.state_dict(keep_vars=True).items()]
    values = [tensor.clone() for tensor in network.state_dict().values()]
    caching = getattr(getattr(network, "config", None), "use_cache", None)
    return (modules, tensors, caching, torch.backends.mha.get_fastpath_enabled()), values


def assert_unchanged(network, before):
    now, values = snapshot(network)
    assert now == before[0]
    assert all(torch.equal(one, other) for one, other in zip(values, before[1], strict=True))


@pytest.mark.parametrize("name", CASES)
def test_everything_is_put_back(name):
    case = CASES[name]
    first, second = pair(case)
    before, everything = [snapshot(network) for network in (first, second)], np.arange(5)
    own = [case.logits(network, everything) for network in (first, second)]
    blending = Blending(first, second, where=name)
    blending.run(runner(case, first), WEIGHTS)
    with blending.uniform(0.5):
        assert not torch.equal(case.logits(first, everything), own[0])
        assert torch.equal(case.logits(second, everything), own[1])  # the other stays itself inside
        assert list(first.state_dict()) == list(second.state_dict())
    for network, known, logits in zip((first, second), before, own, strict=True):
        assert_unchanged(network, known)
        assert torch.equal(case.logits(network, everything), logits)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("calls", [1, 4, 6, 7])  # single samples, members, the first attempt, ...
def test_everything_is_put_back_after_an_error(name, calls):
    case, done = CASES[name], []
    first, second = pair(case)
    before = snapshot(first)

    def stopping(indices):
        logits = case.logits(first, indices)
        done.append(indices)
        if len(done) == calls:
            raise MergeError("stop")  # any other error says that the way of running does not suit
        return logits

    blending = Blending(first, second, where=name)
    with pytest.raises(MergeError, match="stop"):
        blending.run(stopping, WEIGHTS)
    assert_unchanged(first, before)
    with pytest.raises(Stop), blending.uniform(0.5):
        raise Stop
    assert_unchanged(first, before)


def test_a_method_exchanged_by_somebody_else_is_kept_and_used():
    case = CASES["bert"]
    first, second = pair(case)
    layer, calls = first.classifier, []
    own = layer.forward
    layer.forward = watching = lambda tensor: calls.append(1) or own(tensor)
    Blending(first, second, where="here").run(runner(case, first), WEIGHTS)
    assert layer.forward is watching
    assert calls


def test_a_second_context_is_refused():
    case = CASES["bert"]
    first, second = pair(case)
    blending, other = Blending(first, second, where="the bundle"), Blending(first, second, where="another")
    with blending.uniform(0.5):
        for again in (blending, other):
            with pytest.raises(MergeError, match="already computing with interpolated weights"), again.uniform(0.5):
                pass
            with pytest.raises(MergeError, match="already"):
                again.run(runner(case, first), WEIGHTS)
    assert blending.run(runner(case, first), WEIGHTS).shape == (5, 3)


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused(weight):
    case = CASES["bert"]
    blending = Blending(*pair(case), where="the bundle")
    with pytest.raises(MergeError, match=f"the bundle: the weight of the first network is {weight}"):
        blending.uniform(weight).__enter__()
    weights = WEIGHTS.clone()
    weights[3] = weight
    with pytest.raises(MergeError, match=f"the weight of sample 3 is {weight}"):
        blending.run(lambda indices: torch.zeros(1), weights)


@pytest.mark.parametrize("weights", [torch.zeros(0), torch.zeros(2, 2), torch.tensor(0.5)])
def test_weights_that_are_not_one_per_sample_are_refused(weights):
    blending = Blending(*pair(CASES["bert"]), where="here")
    with pytest.raises(MergeError, match="are not one per sample"):
        blending.run(lambda indices: torch.zeros(1), weights)


def refused(first, second, match):
    with pytest.raises(MergeError, match=match) as caught:
        Blending(first.eval(), second.eval(), where="A and B")
    assert str(caught.value).startswith("A and B: ")
    return str(caught.value)


def test_networks_of_two_architectures_are_refused_with_some_names():
    message = refused(nn.Linear(4, 3), nn.Linear(4, 2), "differ in 2 tensors: weight")
    assert "float32 [3, 4] on cpu / float32 [2, 4] on cpu" in message
    many = nn.Sequential(*[nn.Linear(2, 2) for _ in range(9)])
    assert "and 13 more" in refused(many, nn.Sequential(), "differ in 18 tensors: 0.weight")
    refused(nn.Linear(2, 2), nn.Linear(2, 2, bias=False), "bias .*absent")
    refused(nn.Linear(2, 2), nn.Linear(2, 2).double(), "float64")
    refused(nn.Sequential(nn.GELU()), nn.Sequential(nn.ReLU()), r"class of 1 modules: 0 \(GELU / ReLU\)")


def test_networks_in_training_mode_and_compiled_ones_are_refused():
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval()
    other = copy.deepcopy(network)
    network[1].train()
    with pytest.raises(MergeError, match=r"1 modules are in training mode, 1 for one \(call eval\(\)\)"):
        Blending(network, other, where="here")
    traced = torch.jit.trace(other, torch.zeros(1, 2))
    refused(traced, traced, "compiled modules cannot be interpolated")


def test_tensors_of_integers_are_those_of_the_first_network():
    class Shift(nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.register_buffer("shift", torch.tensor([shift]))
            self.register_buffer("floating", torch.tensor([float(shift)]))

        def forward(self, tensor):
            return tensor + self.shift + 100 * self.floating

    first, second = Shift(1), Shift(3)
    blending = Blending(first.eval(), second.eval(), where="here")
    with blending.uniform(0.5):
        assert first(torch.zeros(2, 1)).tolist() == [[201], [201]]
    found = blending.run(lambda indices: first(torch.zeros(len(indices), 1)), torch.tensor([1.0, 0.25]))
    assert found.tolist() == [[101], [251]]
