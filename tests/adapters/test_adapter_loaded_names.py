"""PEFT names modules as they are in the network; some models lie on the disk under older names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from made_adapters import assert_rounded, factors, normal, product, write_adapter

import merge
from merge.adapters import loaded_names
from merge.checkpoints.resolve import open_checkpoint
from merge.errors import MergeError

WIDTH = 16
SIZES = {"hidden_size": WIDTH, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
SIGHT = {**SIZES, "image_size": 8, "patch_size": 4}


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    parts = {"text_config": LlamaConfig(**SIZES, vocab_size=20), "vision_config": CLIPVisionConfig(**SIGHT)}
    folder = tmp_path_factory.mktemp("llava") / "base"
    LlavaForConditionalGeneration(LlavaConfig(**parts, image_token_index=19)).save_pretrained(folder)
    return folder


def test_parts_of_a_vision_language_model(llava: Path) -> None:
    module, projector = "model.language_model.layers.1.self_attn.q_proj", "model.multi_modal_projector.linear_1"
    saved = {f"{projector}.weight": normal(WIDTH, WIDTH, seed=7), f"{projector}.bias": normal(WIDTH, seed=8)}
    adapter = write_adapter(
        llava.parent / "adapter",
        factors(module, WIDTH, WIDTH) | saved,
        target_modules=["q_proj"],
        modules_to_save=["multi_modal_projector"],
    )
    before, found = merge.load(llava), merge.load(f"{llava}+{adapter}")
    assert found.keys() == before.keys()
    name = "language_model.model.layers.1.self_attn.q_proj.weight"
    assert_rounded(found[name], before[name].double() + product(factors(module, WIDTH, WIDTH), module, 3))
    assert torch.equal(found["multi_modal_projector.linear_1.weight"], saved[f"{projector}.weight"])
    changed = {name for name in found if not torch.equal(found[name], before[name])}
    assert changed == {name, "multi_modal_projector.linear_1.weight", "multi_modal_projector.linear_1.bias"}
    assert any("older names" in note for note in open_checkpoint(f"{llava}+{adapter}").notes)


def test_what_the_network_lacks_too_is_refused(llava: Path) -> None:
    module = "model.language_model.layers.9.self_attn.q_proj"
    adapter = write_adapter(llava.parent / "other", factors(module, WIDTH, WIDTH), target_modules=["q_proj"])
    with pytest.raises(MergeError, match=r"which .* does not have"):
        open_checkpoint(f"{llava}+{adapter}")


@pytest.mark.parametrize("change", [{"model_type": "none"}, {"architectures": ["Own"]}, {"text_config": 5}], ids=str)
def test_settings_that_transformers_does_not_know(llava: Path, tmp_path: Path, change: dict[str, object]) -> None:
    config = json.loads((llava / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(llava / "model.safetensors")
    assert loaded_names.loaded_names(open_checkpoint(str(tmp_path))) == {}
