"""`BASE+ADAPTER=0.8` wherever a model is named: in commands, recipes, cards, on the hub; and for what PEFT writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import bytes_of, load, save
from command_line import assert_refused
from made_adapters import assert_rounded
from single_files import added, normal, pair

import merge
from merge.checkpoints.resolve import with_adapter
from merge.errors import UsageError

Cli = Callable[..., Any]
STATE = {"x.weight": normal(6, 4), "y.weight": normal(3, 3), "y.bias": normal(3, seed=2)}


@pytest.fixture
def models(here: Path) -> Path:
    save(here / "base" / "model.safetensors", STATE)
    (here / "base" / "config.json").write_text('{"model_type": "odd"}')
    save(here / "style.safetensors", pair("lora_x", (6, 4), seed=3))
    save(here / "other.safetensors", pair("lora_x", (6, 4), seed=5))
    return here


def wanted(strength: float) -> torch.Tensor:
    return STATE["x.weight"].double() + added(pair("lora_x", (6, 4), seed=3), "lora_x", strength / 2)


def test_commands_cards_and_verify(cli: Cli, models: Path) -> None:
    assert cli("passthrough", "base+style.safetensors=0.8", "-o", "deep/out").code == 0
    assert_rounded(load(models / "deep" / "out")["x.weight"], wanted(0.8))
    assert "../../base+../../style.safetensors=0.8" in (models / "deep" / "out" / "README.md").read_text()
    assert cli("verify", "deep/out").code == 0
    save(models / "style.safetensors", pair("lora_x", (6, 4), seed=9))
    assert cli("verify", "deep/out").code == 1


def test_recipes_count_from_their_folder(cli: Cli, models: Path) -> None:
    (models / "recipes").mkdir()
    model = "../base+../style.safetensors=0.6+../other.safetensors=0.4"
    (models / "recipes" / "mix.yaml").write_text(f"merge: soup\nmodels: [{model}, ../base]\noutput: {{path: out.st}}\n")
    assert cli("run", "recipes/mix.yaml").code == 0
    found = load(models / "recipes" / "out.st")["x.weight"]
    baked = merge.load("base+style.safetensors=0.6+other.safetensors=0.4")["x.weight"]
    torch.testing.assert_close(found, (baked + STATE["x.weight"]) / 2)
    assert cli("verify", "recipes/out.st").code == 0


def test_every_strength_is_a_model_of_its_own(cli: Cli, models: Path) -> None:
    save(models / "first.st", {"x.weight": wanted(0.5).float()})
    result = cli("soup", "base+style.safetensors=0.5", "base+style.safetensors", "-o", "out", "--json")
    inputs = json.loads(result.out)["inputs"]
    assert len({each["content_id"] for each in inputs}) == 2
    assert_rounded(
        load(models / "out")["x.weight"].float(), ((wanted(0.5).float().double() + wanted(1).float().double()) / 2)
    )


def test_strength_zero_is_the_base(models: Path) -> None:
    assert bytes_of(merge.load("base+style.safetensors=0")["x.weight"]) == bytes_of(STATE["x.weight"])


def test_a_file_of_the_whole_name_goes_first(models: Path) -> None:
    save(models / "style.safetensors=0.5", pair("lora_x", (6, 4), seed=3))
    assert with_adapter("base+style.safetensors=0.5") == ("base", "style.safetensors=0.5", "")
    assert with_adapter("base+style.safetensors=0.5=0.25") == ("base", "style.safetensors=0.5", "=0.25")
    assert_rounded(merge.load("base+style.safetensors=0.5")["x.weight"], wanted(1))
    Path("base").rename("base+style.safetensors=0.7")
    assert bytes_of(merge.load("base+style.safetensors=0.7")["x.weight"]) == bytes_of(STATE["x.weight"])


def write_peft(folder: Path, tensors: dict[str, torch.Tensor], **config: Any) -> None:
    save(folder / "adapter_model.safetensors", {f"base_model.model.{name}": tensor for name, tensor in tensors.items()})
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["x", "y"]} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("dora", [False, True])
def test_what_peft_writes(models: Path, dora: bool) -> None:
    """Tensors that were trained whole go from the base's to their own; only what the base lacks is taken as it is."""
    tensors = {"x.lora_A.weight": normal(2, 4, seed=8), "x.lora_B.weight": normal(6, 2, seed=9)}
    tensors |= {"x.lora_magnitude_vector": normal(6, seed=10).abs()} if dora else {}
    tensors |= {"y.weight": normal(3, 3, seed=11), "y.bias": normal(3, seed=12), "head.weight": normal(2, 2, seed=13)}
    write_peft(models / "adapter", tensors, use_dora=dora, modules_to_save=["y", "head"])
    whole, half = merge.load("base+adapter"), merge.load("base+adapter=0.5")
    for name, tensor in STATE.items():
        middle = (tensor.double() + whole[name].double()) / 2
        torch.testing.assert_close(half[name].double(), middle, rtol=1e-6, atol=1e-6)
    assert bytes_of(half["head.weight"]) == bytes_of(tensors["head.weight"])
    assert bytes_of(whole["y.weight"]) == bytes_of(tensors["y.weight"])
    with pytest.raises(UsageError, match="text encoders"):
        merge.load("base+adapter=0.5:0.2")


def test_trained_tokens_and_factor_biases_of_peft(models: Path) -> None:
    tensors = {"x.lora_A.weight": normal(2, 4, seed=8), "x.lora_B.weight": normal(6, 2, seed=9)}
    tensors["y.token_adapter.trainable_tokens_delta"] = normal(1, 3, seed=10)
    write_peft(models / "adapter", tensors, trainable_token_indices={"y": [1]})
    whole, half = merge.load("base+adapter"), merge.load("base+adapter=0.5")
    for name, tensor in STATE.items():
        middle = (tensor.double() + whole[name].double()) / 2
        torch.testing.assert_close(half[name].double(), middle, rtol=1e-6, atol=1e-6)


def test_the_dry_run_needs_no_weights(cli: Cli, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only alpha is read, which is a number of one module."""
    from merge.checkpoints.checkpoint import FileCheckpoint

    read: list[int] = []
    own = FileCheckpoint.read_into

    def counted(self: FileCheckpoint, tensor: Any, offset: int, buffer: memoryview) -> None:
        read.append(len(buffer))
        own(self, tensor, offset, buffer)

    monkeypatch.setattr(FileCheckpoint, "read_into", counted)
    assert cli("passthrough", "base+style.safetensors=0.8", "-o", "out", "--dry-run").code == 0
    assert max(read) == 4


def test_an_output_that_is_the_adapter(cli: Cli, models: Path) -> None:
    result = cli("passthrough", "base+style.safetensors=0.8", "-o", "style.safetensors", "--force")
    assert_refused(result, 2, "style.safetensors")
