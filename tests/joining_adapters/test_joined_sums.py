"""The plain sum of adapters: what PEFT makes of the outcome is the sum of what it makes of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load
from trained_adapters import State, added, assert_close, gpt2, llama, small, train, weighted

Cli = Callable[..., Any]


@pytest.fixture
def pair(here: Path) -> Path:
    """Two adapters with other ranks, scales and modules."""
    targets = ["embed", "first", "second", "conv"]
    train(small(), here / "one", 1, target_modules=targets)
    settings = {"r": 4, "rank_pattern": {"first": 2}, "alpha_pattern": {"conv": 5}, "use_rslora": True}
    train(small(), here / "two", 2, target_modules=["first", "second", "conv", "head"], **settings)
    return here


def of(folder: Path) -> State:
    return added(small(), folder)


def test_the_default_is_the_exact_average(cli: Cli, pair: Path) -> None:
    result = cli("adapters", "one", "two", "-o", "out")
    assert result.code == 0, result.err
    assert_close(of(pair / "out"), weighted((0.5, of(pair / "one")), (0.5, of(pair / "two"))))
    ranks = {name: tensor.shape[0] for name, tensor in load(pair / "out").items() if "_A" in name}
    assert ranks == {
        "base_model.model.embed.lora_embedding_A": 3,
        "base_model.model.first.lora_A.weight": 5,
        "base_model.model.second.lora_A.weight": 7,
        "base_model.model.conv.lora_A.weight": 7,
        "base_model.model.head.lora_A.weight": 4,
    }
    assert "two leaves a module that another one adapts as the base has them, which adds 0: embed" in result.out


def test_weights_and_strengths(cli: Cli, pair: Path) -> None:
    assert cli("adapters", "one", "two", "-o", "a", "--method", "task-arithmetic", "--weights", "0.25,-2").code == 0
    assert_close(of(pair / "a"), weighted((0.25, of(pair / "one")), (-2.0, of(pair / "two"))))
    assert cli("adapters", "one=0.25", "two=-2", "-o", "b", "--method", "task-arithmetic").code == 0
    assert_close(of(pair / "b"), of(pair / "a"))
    set_ = ("--set", "normalize=true", "--set", "scale=3", "--set", "weight=1,3")
    assert cli("adapters", "one", "two", "-o", "c", "--method", "task-arithmetic", *set_).code == 0
    assert_close(of(pair / "c"), weighted((0.75, of(pair / "one")), (2.25, of(pair / "two"))))


def test_factors_of_equal_scales_are_laid_side_by_side_bit_for_bit(cli: Cli, here: Path) -> None:
    for seed, name in ((1, "one"), (2, "two"), (3, "three")):
        train(small(), here / name, seed)
    assert cli("adapters", "one", "two", "three", "-o", "out").code == 0
    found, parts = load(here / "out"), [load(here / name) for name in ("one", "two", "three")]
    for name, tensor in found.items():
        axis = 0 if ".lora_A." in name else 1
        assert torch.equal(tensor, torch.cat([part[name] for part in parts], axis)), name
    config = json.loads((here / "out" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["alpha_pattern"]) == (9, 6, {})  # 9 * (1/3 * 6/3)


@pytest.mark.parametrize("rank", [1, 3, 5, 50])
def test_a_rank_gives_the_nearest_product(cli: Cli, pair: Path, rank: int) -> None:
    assert cli("adapters", "one", "two", "-o", "whole").code == 0
    assert cli("adapters", "one", "two", "-o", "out", "--rank", str(rank)).code == 0
    whole, found = of(pair / "whole"), of(pair / "out")
    for name in ("first.weight", "second.weight", "conv.weight", "embed.weight"):
        left, values, right = torch.linalg.svd(whole[name].flatten(1), full_matrices=False)
        nearest = (left[:, :rank] * values[:rank]) @ right[:rank]
        difference = (found[name].flatten(1) - nearest).norm()
        assert difference <= 2e-6 * whole[name].norm(), name


def test_energy_decides_about_ranks_and_is_said(cli: Cli, pair: Path) -> None:
    document = json.loads(cli("adapters", "one", "two", "-o", "out", "--energy", "0.9", "--json").out)
    assert cli("adapters", "one", "two", "-o", "whole").code == 0
    whole, found = of(pair / "whole"), of(pair / "out")
    for row in document["modules"]:
        name = f"{row['module']}.weight"
        lost = float((whole[name] - found[name]).norm() ** 2 / whole[name].norm() ** 2)
        assert row["energy"] == pytest.approx(1 - lost, abs=1e-6)
        assert row["energy"] >= 0.9
        values = torch.linalg.svdvals(whole[name].flatten(1)) ** 2
        assert values[: row["rank"] - 1].sum() < 0.9 * values.sum(), "one direction fewer would have done"
    assert len({row["rank"] for row in document["modules"]}) > 1
    limited = json.loads(cli("adapters", "one", "two", "-o", "few", "--energy", "0.9", "--max-rank", "2", "--json").out)
    assert {row["rank"] for row in limited["modules"]} <= {1, 2}


def test_one_adapter_is_cut_down(cli: Cli, pair: Path) -> None:
    assert cli("adapters", "two", "-o", "same").code == 0
    assert_close(of(pair / "same"), of(pair / "two"))
    assert cli("adapters", "two", "-o", "out", "--rank", "1").code == 0
    assert all(1 in tensor.shape for tensor in load(pair / "out").values())


@pytest.mark.parametrize("kind", ["cat", "svd"])
def test_equal_to_peft(cli: Cli, here: Path, kind: str) -> None:
    from peft import PeftModel

    targets = ["q_proj", "down_proj", "embed_tokens"]
    for seed, name, rank in ((1, "one", 2), (2, "two", 3)):
        train(llama(), here / name, seed, target_modules=targets, r=rank, task_type="CAUSAL_LM")
    model = PeftModel.from_pretrained(llama(), here / "one", "one")
    model.load_adapter(here / "two", "two")
    model.add_weighted_adapter(["one", "two"], [0.7, 0.2], "both", kind, svd_rank=2)
    cut = ("--rank", "2") if kind == "svd" else ()
    assert cli("adapters", "one", "two", "--weights", "0.7,0.2", "-o", "out", *cut).code == 0
    model.load_adapter(here / "out", "out")
    compared = 0
    for module in model.modules():
        if "both" in getattr(module, "lora_A", {}) or "both" in getattr(module, "lora_embedding_A", {}):
            torch.testing.assert_close(
                module.get_delta_weight("out"), module.get_delta_weight("both"), rtol=4e-6, atol=4e-6
            )
            compared += 1
    assert compared == 5


def test_layers_stored_the_other_way_around(cli: Cli, here: Path) -> None:
    for seed, name in ((1, "one"), (2, "two")):
        train(gpt2(), here / name, seed, target_modules=["c_attn", "wte"], fan_in_fan_out=True)
    assert cli("adapters", "one", "two", "-o", "out").code == 0
    wanted = weighted((0.5, added(gpt2(), here / "one")), (0.5, added(gpt2(), here / "two")))
    assert_close(added(gpt2(), here / "out"), wanted)
    assert (
        cli("adapters", "one", "two", "-o", "ties", "--method", "ties", "--set", "density=1", "--rank", "12").code == 0
    )
    assert added(gpt2(), here / "ties").keys() == wanted.keys()


def test_what_was_trained_whole_is_averaged(cli: Cli, here: Path) -> None:
    for seed, name in ((1, "one"), (2, "two")):
        train(small(), here / name, seed, modules_to_save=["head"], bias="lora_only")
    assert cli("adapters", "one", "two", "-o", "out").code == 0
    wanted = weighted((0.5, of(here / "one")), (0.5, of(here / "two")))
    assert_close(of(here / "out"), wanted)
    assert float(wanted["head.weight"].norm()) > 0.1 < float(wanted["first.bias"].norm())
    for method in ("ties", "task-arithmetic"):
        result = cli("adapters", "one", "two", "-o", "other", "--method", method)
        assert result.code == 2
        assert "needs the base's values" in result.err
        assert not (here / "other").exists()
    assert (
        cli("adapters", "one", "two", "-o", "other", "--method", "ties", "--skip", "head*", "--skip", "*.bias").code
        == 0
    )
    assert not [name for name in load(here / "other") if "head" in name]


def test_factors_with_a_bias(cli: Cli, here: Path) -> None:
    for seed, name in ((1, "one"), (2, "two")):
        train(small(), here / name, seed, lora_bias=True, target_modules=["first"], lora_alpha=seed)
    assert cli("adapters", "one", "two", "-o", "out", "--weights", "0.2,0.8").code == 0
    assert_close(of(here / "out"), weighted((0.2, of(here / "one")), (0.8, of(here / "two"))))
    assert cli("adapters", "one", "two", "-o", "no", "--method", "ties").code == 2


def test_products_of_0(cli: Cli, here: Path) -> None:
    """Modules to which nothing is added are left out, those with a trained bias are not; an alpha of 0 adds nothing."""
    from safetensors.torch import load_file, save_file

    for seed, name in ((1, "one"), (2, "two")):
        path = train(small(), here / name, seed, lora_bias=True, target_modules=["first", "head"])
        path /= "adapter_model.safetensors"
        state = load_file(path)
        silent = {key: torch.zeros_like(tensor) for key, tensor in state.items() if "first.lora_B.weight" in key}
        save_file(state | silent, path)
    train(small(), here / "none", 3, target_modules=["second"], lora_alpha=0)
    result = cli("adapters", "one", "two", "none", "-o", "out")
    assert result.code == 0, result.err
    assert "to a module nothing is added any more, which the adapter leaves out: second" in result.out
    parts = [of(here / name) for name in ("one", "two")]
    assert_close(of(here / "out"), weighted((1 / 3, parts[0]), (1 / 3, parts[1])))
    assert float(parts[0]["first.bias"].norm()) > 0.1


def test_attention_of_torch_in_one_matrix(cli: Cli, here: Path) -> None:
    def network() -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.MultiheadAttention(8, 2))

    for seed, name, rank in ((1, "one", 2), (2, "two", 3)):
        train(network(), here / name, seed, target_modules=["0"], r=rank)
    assert cli("adapters", "one", "two", "-o", "out").code == 0
    wanted = weighted((0.5, added(network(), here / "one")), (0.5, added(network(), here / "two")))
    assert_close(added(network(), here / "out"), wanted)
    result = cli("adapters", "one", "two", "-o", "no", "--energy", "0.5")
    assert result.code == 2
    assert "one rank in PEFT" in result.err


def test_narrow_types_stay_narrow(cli: Cli, here: Path) -> None:
    for seed, name in ((1, "one"), (2, "two")):
        folder = train(small(), here / name, seed)
        from safetensors.torch import load_file, save_file

        path = folder / "adapter_model.safetensors"
        save_file({key: tensor.bfloat16() for key, tensor in load_file(path).items()}, path)
    assert cli("adapters", "one", "two", "-o", "out", "--rank", "2").code == 0
    assert {tensor.dtype for tensor in load(here / "out").values()} == {torch.bfloat16}
    assert cli("adapters", "one", "two", "-o", "wide", "--rank", "2", "--dtype", "float32").code == 0
    narrow, wide = of(here / "out"), of(here / "wide")
    assert 0 < float((narrow["first.weight"] - wide["first.weight"]).norm()) < 0.01 * float(wide["first.weight"].norm())


def test_the_network_computes_the_same(cli: Cli, here: Path) -> None:
    """The outcome loads by the name of its class, and its logits are those of the summed weights."""
    from peft import PeftModel

    for seed, name in ((1, "one"), (2, "two")):
        train(llama(), here / name, seed, target_modules="all-linear", task_type="CAUSAL_LM")
    assert cli("adapters", "one", "two", "-o", "out", "--method", "task-arithmetic").code == 0
    tokens = torch.arange(10)[None]
    model = PeftModel.from_pretrained(llama(), here / "out").eval()
    assert type(model).__name__ == "PeftModelForCausalLM"
    plain = copy.deepcopy(llama())
    sums = weighted((1.0, added(llama(), here / "one")), (1.0, added(llama(), here / "two")))
    state = {name: (tensor.double() + sums[name]).float() for name, tensor in plain.state_dict().items()}
    plain.load_state_dict(state)
    torch.testing.assert_close(model(tokens).logits, plain.eval()(tokens).logits, rtol=1e-4, atol=1e-5)
