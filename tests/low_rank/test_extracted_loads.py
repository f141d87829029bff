"""PEFT loads what is extracted, and makes of it what `BASE+ADAPTER` makes: the tuned model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from tuned_models import assert_same, clip, gpt2, llama, made, merged_by_peft, resnet, t5, tuned

Cli = Callable[..., Any]
MAKERS: dict[str, Callable[[], nn.Module]] = {
    "llama": llama,
    "llama-tied": lambda: llama(tie_word_embeddings=True),
    "llama-biased": lambda: llama(attention_bias=True),
    "gpt2": gpt2,
    "resnet": resnet,
    "clip": clip,
    "t5": t5,
}


def saved_pair(here: Path, make: Callable[[], nn.Module], **how: Any) -> nn.Module:
    """Save a base and a tuned model; return the latter."""
    model = made(make)
    model.save_pretrained(here / "base")
    tuned(model, **how)
    model.save_pretrained(here / "tuned")
    return model


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
    return found


def baked(here: Path, cli: Cli, adapter: str = "out") -> dict[str, torch.Tensor]:
    result = cli("passthrough", f"base+{adapter}", "-o", "baked", "--force")
    assert result.code == 0, result.err
    return load_file(here / "baked" / "model.safetensors")


@pytest.mark.parametrize("kind", MAKERS)
def test_everything_that_differs_is_found_again(here: Path, cli: Cli, kind: str) -> None:
    model = saved_pair(here, MAKERS[kind])
    result = cli("extract-lora", "tuned", "--base", "base", "--energy", 1, "--whole", "auto", "-o", "out", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["left"] == []
    assert_same(merged_by_peft(here / "base", here / "out").state_dict(), model.state_dict())
    found = load_file(here / "tuned" / "model.safetensors")
    assert_same(found, baked(here, cli))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_part_of_it_is_the_same_to_both(here: Path, cli: Cli, kind: str) -> None:
    saved_pair(here, MAKERS[kind])
    result = cli("extract-lora", "tuned", "--base", "base", "--rank", 2, "-o", "out", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert all(0 < one["energy"] < 1 for one in document["modules"] if min(one["shape"][:2]) > 2 and one["rank"] == 2)
    by_peft = merged_by_peft(here / "base", here / "out").state_dict()
    ours = baked(here, cli)
    assert_same(ours, by_peft)
    base, whole = load_file(here / "base" / "model.safetensors"), load_file(here / "tuned" / "model.safetensors")
    for one in document["modules"]:
        name = one["tensor"]
        lacking = (whole[name] - ours[name]).double().norm() / (whole[name] - base[name]).double().norm()
        assert one["relative_error"] == pytest.approx(float(lacking), abs=1e-5)
        assert one["energy"] == pytest.approx(1 - float(lacking) ** 2, abs=1e-5)
        assert one["norm"] == pytest.approx(float((whole[name] - base[name]).norm()), rel=1e-5)
    for one in document["left"]:
        assert torch.equal(ours[one["tensor"]], base[one["tensor"]])


@pytest.mark.parametrize("energy", [0.5, 0.95])
def test_unequal_ranks_are_loaded(here: Path, cli: Cli, energy: float) -> None:
    saved_pair(here, llama)
    assert cli("extract-lora", "tuned", "--base", "base", "--energy", energy, "-o", "out").code == 0
    config = config_of(here / "out")
    assert len(set(config["rank_pattern"].values())) > 1
    assert config["rank_pattern"] == config["alpha_pattern"]
    assert config["lora_alpha"] == config["r"]
    assert_same(merged_by_peft(here / "base", here / "out").state_dict(), baked(here, cli))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_extraction_after_a_bake_gives_the_product_back(here: Path, cli: Cli, dtype: str) -> None:
    """With 32-bit weights to rounding; the rounding of 16-bit weights is of full rank and has energy of its own."""
    from peft import LoraConfig, get_peft_model

    model = made(llama).to(getattr(torch, dtype))
    model.save_pretrained(here / "base")
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    with_lora = get_peft_model(model, config)
    wanted = {
        name.removeprefix("base_model.model."): layer.get_delta_weight("default").float().detach()
        for name, layer in with_lora.named_modules()
        if hasattr(layer, "get_delta_weight")
    }
    with_lora.merge_and_unload().save_pretrained(here / "tuned")
    result = cli("extract-lora", "tuned", "--base", "base", "--rank", 3, "-o", "out", "--json")
    modules = {one["module"]: one for one in json.loads(result.out)["modules"]}
    assert modules.keys() == wanted.keys()
    assert sorted(config_of(here / "out")["target_modules"]) == ["down_proj", "q_proj"]
    factors = load_file(here / "out" / "adapter_model.safetensors")
    least, within = (0.9999999, 1e-5) if dtype == "float32" else (0.998, 0.05)
    for name, product in wanted.items():
        b, a = (factors[f"base_model.model.{name}.lora_{part}.weight"] for part in "BA")
        assert modules[name]["energy"] > least
        assert float((b @ a - product).norm() / product.norm()) < within


def test_layers_are_chosen_and_no_others_are_targeted(here: Path, cli: Cli) -> None:
    saved_pair(here, llama)
    line = ("extract-lora", "tuned", "--base", "base", "--rank", 2, "-o", "out")
    assert cli(*line, "--only", "*q_proj*", "--only", "*.0.*", "--skip", "*up_proj", "--skip", "*norm*").code == 0
    base = load_file(here / "base" / "model.safetensors")
    changed = {name for name, tensor in baked(here, cli).items() if not torch.equal(tensor, base[name])}
    by_peft = merged_by_peft(here / "base", here / "out").state_dict()
    assert changed == {name for name in base if not torch.equal(by_peft[name], base[name])}
    ends = ("k_proj", "v_proj", "o_proj", "gate_proj", "down_proj")
    places = {f"self_attn.{end}" if end[0] in "kvo" else f"mlp.{end}" for end in ends} | {"self_attn.q_proj"}
    wanted = {f"model.layers.0.{place}.weight" for place in places} | {"model.layers.1.self_attn.q_proj.weight"}
    assert changed == wanted


def test_embeddings_are_factors_or_whole_or_left(here: Path, cli: Cli) -> None:
    model = saved_pair(here, llama)
    line = ("extract-lora", "tuned", "--base", "base", "--energy", 1, "--whole", "*norm*", "--json", "-o")
    for way, in_factors, is_whole in (("lora", True, False), ("whole", False, True), ("skip", False, False)):
        document = json.loads(cli(*line, way, "--embeddings", way).out)
        names = {"model.embed_tokens", "lm_head"}
        assert (names <= {one["module"] for one in document["modules"]}) is in_factors
        assert ("lm_head.weight" in {one["tensor"] for one in document["whole"]}) is is_whole
        assert ("lm_head.weight" in {one["tensor"] for one in document["left"]}) is (way == "skip")
        by_peft = merged_by_peft(here / "base", here / way).state_dict()
        assert_same(by_peft, {**model.state_dict(), **baked(here, cli, way)})
    assert_same(merged_by_peft(here / "base", here / "whole").state_dict(), model.state_dict())


def test_tied_embeddings_work_before_they_are_merged_when_they_are_whole(here: Path, cli: Cli) -> None:
    from peft import PeftModel

    model = saved_pair(here, MAKERS["llama-tied"])
    words = torch.arange(10)[None]
    line = ("extract-lora", "tuned", "--base", "base", "--energy", 1, "--whole", "auto")
    result = cli(*line, "-o", "factors")
    assert "merge_and_unload()" in result.err
    result = cli(*line, "--embeddings", "whole", "-o", "out")
    assert "merge_and_unload()" not in result.err
    base = type(model).from_pretrained(here / "base")
    with torch.no_grad():
        found = PeftModel.from_pretrained(base, here / "out").eval()(words).logits
        assert torch.allclose(found, model(words).logits, atol=1e-5)
    assert_same(baked(here, cli), load_file(here / "tuned" / "model.safetensors"))


@pytest.mark.parametrize("tied", [False, True])
def test_added_tokens_are_saved_whole_with_their_tokenizer(here: Path, cli: Cli, tied: bool) -> None:
    model = made(lambda: llama(tie_word_embeddings=tied))
    model.save_pretrained(here / "base")
    model.resize_token_embeddings(43)
    tuned(model)
    model.save_pretrained(here / "tuned")
    (here / "tuned" / "tokenizer.json").write_text("{}")
    line = ("extract-lora", "tuned", "--base", "base", "--energy", 1, "-o", "out")
    refused = cli(*line)
    assert refused.code == 1
    assert "tokens were added" in refused.err
    assert "--embeddings whole" in refused.err
    assert cli(*line, "--whole", "*norm*", "--embeddings", "whole").code == 0
    assert (here / "out" / "tokenizer.json").read_text() == "{}"
    assert "resize_token_embeddings(43)" in (here / "out" / "README.md").read_text()
    found = merged_by_peft(here / "base", here / "out", lambda base: base.resize_token_embeddings(43))
    assert_same(found.state_dict(), model.state_dict())
    assert_same(baked(here, cli), load_file(here / "tuned" / "model.safetensors"))
    result = cli(*line[:-1], "without", "--embeddings", "skip")
    assert result.code == 0
    assert "left out as asked" in result.out
    assert not (here / "without" / "tokenizer.json").exists()


def test_task_and_base_are_stated(here: Path, cli: Cli) -> None:
    saved_pair(here, gpt2)
    assert cli("extract-lora", "tuned", "--base", "base", "--rank", 2, "-o", "out").code == 0
    config = config_of(here / "out")
    assert config["task_type"] == "CAUSAL_LM"
    assert config["base_model_name_or_path"] == "base"
    assert config["fan_in_fan_out"] is True
