"""The whole registry on a stand-in for a GPU: every tensor where it belongs, every copy waited for, numpy's bits."""

from __future__ import annotations

import pytest
import torch
from gpu_models import MATRIX_METHODS, alike, matrices, vectors
from in_memory import merge_states
from registry_cases import METHODS, PERMISSIVE
from stand_in_gpu import HostError, OnGpu, StandIn

from merge.engine import RunSettings

ON_CPU = RunSettings(threads=1, device="cpu")
ON_GPU = RunSettings(threads=3, device="cuda")


def test_the_stand_in_refuses_what_cuda_refuses():
    with StandIn():
        there = torch.arange(4.0).to("cuda:0")
        assert isinstance(there + 1, OnGpu)
        assert there.device == torch.device("cuda", 0)
        assert isinstance(torch.zeros_like(there).sum(), OnGpu)
        assert not isinstance(there.cpu() * 2, OnGpu)
        assert float(there[torch.tensor([1, 2])].sum()) == 3
        with pytest.raises(HostError):
            there + torch.arange(4.0)
        with pytest.raises(HostError):
            there.numpy()
        with pytest.raises(HostError):
            there + torch.arange(4.0, device="cuda:1")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_vectors(method, stand_in):
    base, models = vectors(method, torch.bfloat16)
    options = PERMISSIVE.get(method, {})
    wanted = merge_states(method, models, base, settings=ON_CPU, **options)
    alike(method, merge_states(method, models, base, settings=ON_GPU, **options), wanted)
    assert stand_in.emptied == 1  # at the end


@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_matrices(method, stand_in):
    base, models = matrices(method, torch.bfloat16)
    options = PERMISSIVE.get(method, {})
    wanted = merge_states(method, models, base, settings=ON_CPU, **options)
    alike(method, merge_states(method, models, base, settings=ON_GPU, **options), wanted)


@pytest.mark.parametrize("method", MATRIX_METHODS)
def test_matrix_methods_take_to_a_gpu_by_themselves(method, stand_in):
    base, models = matrices(method, torch.float16)
    merge_states(method, models, base, settings=RunSettings(threads=1))
    assert stand_in.fractions[0][0] == "cuda:0"
