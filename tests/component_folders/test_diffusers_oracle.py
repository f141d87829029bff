"""What diffusers itself saves is merged, and what is merged is loaded and run by diffusers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Result

diffusers = pytest.importorskip("diffusers")

Cli = Callable[..., Result]
_BLOCKS = {"block_out_channels": (8, 16), "norm_num_groups": 4}


def _unet() -> Any:
    return diffusers.UNet2DConditionModel(
        **_BLOCKS,
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
    )


def _vae() -> Any:
    down, up = ["DownEncoderBlock2D"] * 2, ["UpDecoderBlock2D"] * 2
    return diffusers.AutoencoderKL(**_BLOCKS, down_block_types=down, up_block_types=up, latent_channels=4)


def _text_encoder() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    return CLIPTextModel(CLIPTextConfig(**sizes, vocab_size=10, bos_token_id=0, eos_token_id=2, pad_token_id=1))


def _tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    words = ["<|startoftext|>", "<|endoftext|>", "<unk>", "a", "b", "a</w>", "b</w>", "ab"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def _save(folder: Path, seed: int, **how: Any) -> Any:
    torch.manual_seed(seed)
    parts = {"unet": _unet(), "vae": _vae(), "text_encoder": _text_encoder()}
    pipeline = diffusers.StableDiffusionPipeline(
        **parts,
        tokenizer=_tokenizer(folder.with_name(f"{folder.name}-tokenizer")),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, **how)
    return pipeline


def _loaded(folder: Path) -> Any:
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.slow
def test_diffusers_loads_and_runs_the_merge_of_what_it_saved(here: Path, cli: Cli) -> None:
    one = _save(here / "one", 0)
    other = _save(here / "other", 1, variant="fp16", max_shard_size="40KB")
    found = cli("soup", "one", "other", "-o", "out", "--max-shard-size", "40KB")
    assert found.code == 0, found.err
    assert len(list(Path("out/unet").glob("*-of-*.safetensors"))) > 1
    merged = _loaded(here / "out")
    for name in ("unet", "vae", "text_encoder"):
        states = [getattr(pipeline, name).state_dict() for pipeline in (one, other, merged)]
        for key in states[0]:
            assert torch.equal(states[2][key], states[0][key] * 0.5 + states[1][key] * 0.5), f"{name}.{key}"
    image = merged("ab", num_inference_steps=2, output_type="np", height=16, width=16, guidance_scale=1.0).images
    assert image.shape[0] == 1


@pytest.mark.slow
def test_a_component_is_loaded_alone(here: Path, cli: Cli) -> None:
    one = _save(here / "one", 0, safe_serialization=False)
    assert list(Path("one/unet").glob("*.bin"))
    assert cli("cast", "one", "-o", "out", "--dtype", "float16").code == 0
    unet = diffusers.UNet2DConditionModel.from_pretrained("out/unet", torch_dtype=torch.float16, use_safetensors=True)
    for key, tensor in one.unet.state_dict().items():
        assert torch.equal(unet.state_dict()[key], tensor.half())
