"""Layers that are given the sizes of a wider network's tensors, and checkpoints that are let in so."""

from __future__ import annotations

import pytest
import torch
from pleas_networks import classes_of, seeded
from torch import nn

from merge.checkpoints.checkpoint import WIDE_KEY
from merge.errors import MergeError
from merge.evaluation.candidate import Candidate
from merge.evaluation.networks.resized_layers import resize
from merge.evaluation.networks.weights import load_strictly
from merge.evaluation.networks.wide import is_wide, mark_wide


def layers():
    conv1d = type("Conv1D", (nn.Module,), {})()
    conv1d.nx, conv1d.nf = 3, 4
    conv1d.weight, conv1d.bias = nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(4))
    return {
        "linear": (nn.Linear(3, 4), {"weight": (6, 5), "bias": (6,)}, {"in_features": 5, "out_features": 6}),
        "filters": (nn.Conv2d(3, 4, 2), {"weight": (6, 5, 2, 2), "bias": (6,)}, {"in_channels": 5, "out_channels": 6}),
        "depthwise": (
            nn.Conv1d(3, 6, 2, groups=3),
            {"weight": (10, 1, 2), "bias": (10,)},
            {"in_channels": 5, "out_channels": 10, "groups": 5},
        ),
        "norm": (
            nn.BatchNorm2d(3),
            dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (5,)),
            {"num_features": 5},
        ),
        "table": (nn.Embedding(7, 3), {"weight": (7, 5)}, {"num_embeddings": 7, "embedding_dim": 5}),
        "slopes": (nn.PReLU(3), {"weight": (5,)}, {"num_parameters": 5}),
        "transposed": (conv1d, {"weight": (5, 6), "bias": (6,)}, {"nx": 5, "nf": 6}),
    }


@pytest.mark.parametrize("name", list(layers()))
def test_layers_that_can_be_resized(name):
    layer, shapes, numbers = layers()[name]
    resize(layer, shapes)
    assert {key: tuple(tensor.shape) for key, tensor in layer.state_dict().items() if key in shapes} == shapes
    assert {key: getattr(layer, key) for key in numbers} == numbers


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (nn.LayerNorm(3), {"weight": (5,), "bias": (5,)}, "LayerNorm, which cannot be given another size"),
        (nn.ConvTranspose2d(3, 4, 2), {"weight": (5, 4, 2, 2)}, "ConvTranspose2d"),
        (nn.Conv2d(4, 4, 2, groups=2), {"weight": (6, 3, 2, 2), "bias": (6,)}, "cannot have"),
        (nn.Conv2d(3, 4, 2), {"weight": (4, 3, 3, 3)}, "cannot have"),
        (nn.Linear(3, 4), {"weight": (6, 5)}, "cannot have weight"),
        (nn.Linear(3, 4), {"weight": (6, 5, 2)}, "cannot have weight"),
        (nn.BatchNorm1d(3), {"weight": (5,)}, "cannot have weight"),
    ],
)
def test_layers_that_cannot(layer, shapes, message):
    with pytest.raises(ValueError, match=message):
        resize(layer, shapes)


def test_shared_tensors_stay_shared():
    both = nn.ModuleDict({"table": nn.Embedding(7, 3), "head": nn.Linear(3, 7, bias=False)})
    both["head"].weight = both["table"].weight
    resize(both, {"table.weight": (7, 5)})
    assert both["head"].weight is both["table"].weight
    assert (both["head"].in_features, both["head"].out_features) == (5, 7)


def test_only_files_that_say_so_are_let_in(tmp_path):
    small = classes_of(tmp_path)["Small"]
    state = seeded(small, 0).state_dict()
    wide = dict(state)
    wide["first.weight"], wide["first.bias"] = torch.randn(30, 64), torch.randn(30)
    wide["second.weight"] = torch.randn(20, 30)
    with pytest.raises(MergeError, match="3 of another shape"):
        load_strictly(small(), wide, "Small", where="here")
    assert is_wide({WIDE_KEY: "{}"})
    assert not is_wide({"merge.output": "0"})
    let_in = Candidate("here", {name: one.clone() for name, one in wide.items()}, None, "", is_wide=True)
    module = small()
    load_strictly(module, let_in.tensors, "Small", where="here")
    assert module.first.out_features == 30
    assert torch.equal(module.second.weight, wide["second.weight"])


def test_a_missing_tensor_stays_an_error(tmp_path):
    small = classes_of(tmp_path)["Small"]
    state = seeded(small, 0).state_dict()
    del state["head.bias"]
    mark_wide(state.values())
    with pytest.raises(MergeError, match=r"1 missing: head\.bias"):
        load_strictly(small(), state, "Small", where="here")


def test_a_layer_that_cannot_be_widened_is_named(tmp_path):
    normed = classes_of(tmp_path)["Normed"]
    state = normed().state_dict()
    state["norm.weight"] = torch.ones(14)
    mark_wide(state.values())
    with pytest.raises(MergeError, match="'norm' is LayerNorm"):
        load_strictly(normed(), state, "Normed", where="here")
