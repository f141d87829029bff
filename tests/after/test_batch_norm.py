"""BatchNorm statistics against torch's own, and against numpy by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import Normed, Plain, Unused, made, pixels
from torch import nn

from merge.after.batch_norm import NOT_RUN, measure
from merge.after.batch_norm_layers import check_has_layers, layers_in
from merge.after.passes import Passes
from merge.calibration.feeds.in_memory import sample_from_tensors, subject_from_module
from merge.errors import MergeError, UsageError
from merge.evaluation.task import Settings


def measured(network, images, size=1000):
    subject = subject_from_module("a model", network)
    sample = sample_from_tensors({"pixels": images})
    return measure(subject, sample, network.state_dict(), Passes(Settings(batch_size=size)))


def by_torch(network, images, size):
    """Torch's own recipe: forget, cumulative average, one pass; dropout off."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    with torch.no_grad():
        for part in images.split(size):
            network(part)
    return {
        name: tensor for name, tensor in network.state_dict().items() if name.rpartition(".")[2].startswith("running")
    }


def test_one_batch_gives_what_torch_gives():
    images = pixels()
    found = measured(made(Normed, 0), images).tensors
    for name, wanted in by_torch(made(Normed, 0), images, 50).items():
        assert torch.allclose(found[name].float(), wanted, rtol=1e-5, atol=1e-6), name


def timm_layer(channels):
    from timm.layers import BatchNormAct2d

    return BatchNormAct2d(channels)


KINDS = {
    "vectors": (nn.BatchNorm1d, (40, 3)),
    "sequences": (nn.BatchNorm1d, (10, 3, 5)),
    "images": (nn.BatchNorm2d, (10, 3, 4, 5)),
    "volumes": (nn.BatchNorm3d, (10, 3, 2, 3, 2)),
    "one image": (nn.BatchNorm2d, (1, 3, 4, 5)),
    "several machines": (nn.SyncBatchNorm, (10, 3, 4, 5)),
    "with an activation": (timm_layer, (10, 3, 4, 5)),
    "without momentum": (lambda channels: nn.BatchNorm2d(channels, momentum=None), (10, 3, 4, 5)),
    "without weights": (lambda channels: nn.BatchNorm2d(channels, affine=False), (10, 3, 4, 5)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_gets_mean_and_unbiased_variance(kind):
    make, shape = KINDS[kind]
    network = nn.Sequential(make(3))
    network[0].running_mean.fill_(7)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1
    for size in (shape[0], 4):
        found = measured(network, inputs, size).tensors
        values = inputs.double().numpy().swapaxes(0, 1).reshape(3, -1)
        assert np.allclose(found["0.running_mean"], values.mean(1), rtol=1e-6)
        assert np.allclose(found["0.running_var"], values.var(1, ddof=1), rtol=1e-6)
    assert torch.equal(network[0].running_mean, torch.full((3,), 7.0))


def test_several_equal_batches_come_close_to_torchs_mean_of_batches():
    images = pixels(400)
    found = measured(made(Normed, 0), images, 100).tensors
    for name, wanted in by_torch(made(Normed, 0), images, 100).items():
        assert torch.allclose(found[name].float(), wanted, rtol=0.02, atol=2e-3), name


def test_the_first_layer_does_not_depend_on_the_batch_size():
    network, images = made(Normed, 0), pixels(47)
    outputs = network.conv1(images).detach().double().numpy()
    for size in (47, 20, 3, 1):
        found = measured(network, images, size).tensors
        assert np.allclose(found["bn1.running_mean"], outputs.mean((0, 2, 3)), rtol=1e-6)

        exact = outputs.transpose(1, 0, 2, 3).reshape(4, -1).var(1, ddof=1)
        assert np.allclose(found["bn1.running_var"], exact, rtol=1e-6)


def test_later_layers_depend_on_it_a_little():
    network, images = made(Normed, 0), pixels(60)
    whole, parts = (measured(network, images, size).tensors["bn2.running_mean"] for size in (60, 20))
    assert 0 < (whole - parts).abs().max() < 0.05


def test_the_network_is_left_as_it_was():
    network = made(Normed, 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measured(network, pixels(), 20)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    assert network.bn1.momentum == 0.1


def test_batches_are_counted_where_the_checkpoint_counts_them():
    found = measured(made(Normed, 0), pixels(50), 20)
    assert found.batches == 3
    assert found.tensors["bn2.num_batches_tracked"].item() == 3
    assert found.tensors["bn2.num_batches_tracked"].dtype == torch.int64
    network = made(Normed, 0)
    state = {name: one for name, one in network.state_dict().items() if not name.endswith("tracked")}
    subject = subject_from_module("a model", network)
    bare = measure(subject, sample_from_tensors({"pixels": pixels()}), state, Passes(Settings(batch_size=50)))
    assert set(bare.tensors) == {f"bn{n}.running_{what}" for n in (1, 2) for what in ("mean", "var")}


def test_a_layer_that_does_not_run_keeps_its_own():
    found = measured(made(Unused, 0), pixels())
    assert found.left_out == {"spare.running_mean": NOT_RUN}
    assert not any(name.startswith("spare") for name in found.tensors)


def test_one_layer_by_two_names_gets_the_same_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = self.two = nn.BatchNorm1d(3)

        def forward(self, rows):
            return self.two(self.one(rows) * 2)

    network = Twice().eval()
    rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    subject = subject_from_module(
        "a model", network, names={f"{a}.{b}": f"one.{b}" for a in ("one", "two") for b in network.one.state_dict()}
    )
    found = measure(subject, sample_from_tensors({"rows": rows}), network.state_dict(), Passes(Settings(batch_size=40)))
    assert torch.equal(found.tensors["one.running_mean"], found.tensors["two.running_mean"])
    assert found.left_out == {}


def test_networks_without_layers_that_run():
    with pytest.raises(UsageError, match="has no BatchNorm statistics"):
        check_has_layers(made(Plain, 0).state_dict(), "a model")
    assert layers_in(["a.running_mean", "b.running_mean", "b.running_var", "xrunning_mean", "xrunning_var"]) == ["b."]
    network = made(Normed, 0)
    network.forward = lambda images: images
    with pytest.raises(MergeError, match="none of the BatchNorm layers runs"):
        measured(network, pixels())


def test_a_batch_of_one_value_per_channel_is_told():
    network = nn.Sequential(nn.BatchNorm1d(3)).eval()
    subject = subject_from_module("a model", network)
    sample = sample_from_tensors({"rows": torch.randn(4, 3)})
    with pytest.raises(MergeError, match="more than 1 value per channel"):
        measure(subject, sample, network.state_dict(), Passes(Settings(batch_size=1)))
