"""What is baked of LyCORIS' kinds equals what LyCORIS itself makes of its modules, rounded once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, bytes_of, save
from made_adapters import assert_rounded
from single_files import added, normal, pair, write_pair

import merge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lycoris.modules.full import FullModule
    from lycoris.modules.locon import LoConModule
    from lycoris.modules.loha import LohaModule
    from lycoris.modules.lokr import LokrModule
    from lycoris.modules.norms import NormModule

LAYERS: dict[str, torch.nn.Module] = {
    "linear": torch.nn.Linear(24, 36),
    "square": torch.nn.Linear(24, 24),
    "convolution": torch.nn.Conv2d(12, 20, 3),
    "pointwise": torch.nn.Conv2d(12, 20, 1),
    "sequence": torch.nn.Conv1d(12, 20, 3),
    "grouped": torch.nn.Conv2d(12, 20, 3, groups=4),
}
CASES: list[tuple[Any, str, dict[str, Any]]] = [
    *((kind, layer, {}) for kind in (LoConModule, LohaModule, LokrModule) for layer in LAYERS),
    *((kind, "convolution", {"use_tucker": True}) for kind in (LoConModule, LohaModule)),
    (LokrModule, "convolution", {"use_tucker": True, "lora_dim": 1}),
    (LokrModule, "linear", {"decompose_both": True, "lora_dim": 1}),
    (LokrModule, "linear", {"lora_dim": 1}),
    (LokrModule, "convolution", {"lora_dim": 1}),
    (LokrModule, "linear", {"full_matrix": True}),
    (LokrModule, "linear", {"factor": 2, "lora_dim": 2, "unbalanced_factorization": True}),
    (LoConModule, "linear", {"rs_lora": True}),
    (LohaModule, "linear", {"rs_lora": True}),
    *(
        (kind, layer, {"weight_decompose": True, "wd_on_out": side})
        for kind in (LoConModule, LohaModule, LokrModule)
        for layer in ("linear", "square", "convolution")
        for side in (True, False)
    ),
]


def made(kind: Any, layer: torch.nn.Module, **options: Any) -> Any:
    """Return a module of LyCORIS with random weights on a layer, all in float64."""
    module = kind("x", layer, 1.0, **{"lora_dim": 4, "alpha": 3} | options).double()
    for number, parameter in enumerate(module.parameters()):
        parameter.data = normal(*parameter.shape, seed=number).double()
    if options.get("weight_decompose"):
        module.dora_scale.data = module.dora_scale.data.abs() + 0.1
    return module


def merged(module: Any, weight: torch.Tensor) -> torch.Tensor:
    """Return the weight with the module in it, with its scale counted once.

    LyCORIS 4.1.3's own `get_merged_weight` counts LoHa's and LoKr's scale twice, `get_weight` and `forward` once, as do
    the user interfaces that read these files; see the test of what its modules compute.
    """
    with torch.no_grad():
        if isinstance(module, LoConModule):
            difference = module.get_diff_weight(shape=weight.shape)[0]
        else:
            difference = module.get_weight(weight.shape)
        total = weight + difference
        return module.apply_weight_decompose(total) if module.wd else total


@pytest.mark.parametrize(("kind", "layer", "options"), CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_modules_of_lycoris(tmp_path: Path, kind: Any, layer: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    original = LAYERS[layer].weight.data.to(dtype)
    module = made(kind, LAYERS[layer], **options)
    wanted = merged(module, original.double())
    adapter = {f"lycoris_blocks_0_x.{name}": tensor for name, tensor in module.state_dict().items()}
    found = merge.load(write_pair(tmp_path, {"blocks.0.x.weight": original}, adapter))["blocks.0.x.weight"]
    if dtype == torch.float64:
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    else:
        assert_rounded(found, wanted)


@pytest.mark.parametrize("kind", [LoConModule, LohaModule, LokrModule])
def test_with_alpha_as_the_rank_lycoris_own_merge_is_the_same(tmp_path: Path, kind: Any) -> None:
    layer = torch.nn.Linear(24, 36).double()
    module = made(kind, layer, alpha=4)
    wanted = module.get_merged_weight()[0].detach()
    adapter = {f"lora_x.{name}": tensor for name, tensor in module.state_dict().items()}
    found = merge.load(write_pair(tmp_path, {"x.weight": layer.weight.data}, adapter))["x.weight"]
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [LoConModule, LohaModule, LokrModule])
def test_what_modules_of_lycoris_compute(tmp_path: Path, kind: Any) -> None:
    """The outcome of a module in training is that of the baked weight, whatever its alpha."""
    layer = torch.nn.Linear(24, 36).double()
    module = made(kind, layer, lora_dim=1, alpha=3)
    module.org_forward = layer.forward
    adapter = {f"lora_x.{name}": tensor for name, tensor in module.state_dict().items()}
    weight = merge.load(write_pair(tmp_path, {"x.weight": layer.weight.data}, adapter))["x.weight"]
    given = normal(5, 24).double()
    with torch.no_grad():
        torch.testing.assert_close(given @ weight.T + layer.bias, module.forward(given))


def test_whole_differences_and_norms(tmp_path: Path) -> None:
    layer, norm = torch.nn.Conv2d(4, 6, 3), torch.nn.GroupNorm(2, 6)
    full, other = made(FullModule, layer), made(NormModule, norm)
    full.bias.data, other.b_norm.data = normal(6, seed=8).double(), normal(6, seed=9).double()
    state = {f"conv.{name}": tensor.data for name, tensor in layer.named_parameters()}
    state |= {f"norm.{name}": tensor.data for name, tensor in norm.named_parameters()}
    adapter = {"lora_conv.diff": full.weight.data, "lora_conv.diff_b": full.bias.data}
    adapter |= {f"lora_norm.{name}": tensor.data for name, tensor in other.named_parameters()}
    location = write_pair(tmp_path, state, adapter)
    for strength, found in ((1.0, merge.load(location)), (0.5, merge.load(f"{location}=0.5"))):
        weights = {"conv": full.get_diff_weight(strength), "norm": other.get_diff_weight(strength)}
        for module, (weight, bias) in weights.items():
            assert_rounded(found[f"{module}.weight"], state[f"{module}.weight"].double() + weight.detach())
            assert_rounded(found[f"{module}.bias"], state[f"{module}.bias"].double() + bias.detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
@pytest.mark.parametrize("alpha", [1.0, 2.0, 0.0])
def test_alpha_of_any_type(tmp_path: Path, dtype: torch.dtype, alpha: float) -> None:
    """Zero stands for the rank, in LyCORIS and kohya's scripts alike."""
    adapter = pair("lora_x", (6, 4)) | {"lora_x.alpha": torch.tensor(alpha).to(dtype)}
    state = {"x.weight": normal(6, 4, seed=7)}
    found = merge.load(write_pair(tmp_path, state, adapter))["x.weight"]
    assert_rounded(found, state["x.weight"].double() + added(adapter, "lora_x", (alpha or 2) / 2))


def test_without_an_alpha_it_is_the_rank(tmp_path: Path) -> None:
    adapter, state = pair("lora_x", (6, 4), alpha=None), {"x.weight": normal(6, 4, seed=7)}
    found = merge.load(write_pair(tmp_path, state, adapter))["x.weight"]
    assert_rounded(found, state["x.weight"].double() + added(adapter, "lora_x", 1))


@pytest.mark.parametrize("strength", ["0", "0.5", "1", "-1", "2.5", "1e-1"])
def test_a_strength_scales_the_difference(tmp_path: Path, strength: str) -> None:
    """For weights with magnitudes that is the line from the base to the baked weight, as user interfaces have it."""
    layer, amount = torch.nn.Linear(24, 36).double(), float(strength)
    weight = layer.weight.data
    for kind, options in (
        (LoConModule, {}),
        (LohaModule, {}),
        (LokrModule, {}),
        (LoConModule, {"weight_decompose": True}),
    ):
        module = made(kind, layer, **options)
        adapter = {f"lora_x.{name}": tensor for name, tensor in module.state_dict().items()}
        found = merge.load(write_pair(tmp_path, {"x.weight": weight}, adapter) + f"={strength}")["x.weight"]
        wanted = weight + amount * (merged(module, weight) - weight)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_several_files_one_after_the_other(tmp_path: Path) -> None:
    state = {"x.weight": normal(6, 4)}
    one, other = pair("lora_x", (6, 4), seed=1), pair("lora_x", (6, 4), seed=5)
    save(tmp_path / "other.safetensors", other)
    location = write_pair(tmp_path, state, one)
    found = merge.load(f"{location}=0.6+{tmp_path / 'other.safetensors'}=0.4")["x.weight"]
    first = (state["x.weight"].double() + added(one, "lora_x", 0.3)).float()
    assert_rounded(found, first.double() + added(other, "lora_x", 0.2))


def test_large_tensors_in_any_pieces(tmp_path: Path) -> None:
    """A tensor of several blocks is the same whatever range is read, by rows that do not begin where blocks do."""
    from merge.checkpoints.resolve import open_checkpoint

    layer = torch.nn.Linear(700, 1500)
    modules = [made(LohaModule, layer), made(LokrModule, layer, lora_dim=2)]
    modules.append(made(LoConModule, layer, weight_decompose=True, wd_on_out=False))
    for module in modules:
        adapter = {f"lora_x.{name}": tensor.half() for name, tensor in module.state_dict().items()}
        location = write_pair(tmp_path, {"x.weight": layer.weight.data.half()}, adapter)
        whole = bytes_of(merge.load(location)["x.weight"])
        source = open_checkpoint(location)
        for start, count in ((0, 10), (999_999, 300_001), (len(whole) - 7, 7), (524_287, 3)):
            piece = bytearray(count)
            source.read_into(source.tensors["x.weight"], start, memoryview(piece))
            assert bytes(piece) == whole[start : start + count]
        source.close()


def test_what_is_not_adapted_is_the_base_bit_for_bit(tmp_path: Path) -> None:
    state: State = {"x.weight": normal(6, 4), "y.weight": normal(6, 4).half(), "n": torch.tensor(3)}
    found = merge.load(write_pair(tmp_path, state, pair("lora_x", (6, 4))))
    assert found.keys() == state.keys()
    assert all(bytes_of(found[name]) == bytes_of(state[name]) for name in ("y.weight", "n"))
