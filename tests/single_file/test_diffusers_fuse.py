"""A UNet with a single-file adapter in it equals what diffusers makes of the two by loading and fusing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, save
from diffusion_layouts import write_model
from single_files import adapted_layers, kohya_name, pair

import merge


@pytest.mark.parametrize(("family", "sgm"), [("sd1", False), ("sdxl", True)])
def test_fusing(tmp_path: Path, family: str, sgm: bool) -> None:
    import diffusers

    pipeline: Any = diffusers.StableDiffusionXLPipeline if family == "sdxl" else diffusers.StableDiffusionPipeline
    folder = write_model(tmp_path / "model", family, "diffusers", dtype=torch.float32)
    unet: Any = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float64)
    adapter: State = {}
    for number, named in enumerate(adapted_layers(family)):
        if (named.diffusers or "").startswith("unet.") and "_blocks." in (named.diffusers or "") and number % 3 == 0:
            adapter |= pair(kohya_name(named, family, sgm=sgm), named.shape, seed=number)
    path = save(tmp_path / "lora.safetensors", adapter)
    state, alphas = pipeline.lora_state_dict(str(path), unet_config=unet.config)
    pipeline.load_lora_into_unet(state, alphas, unet)
    unet.fuse_lora(0.7)
    found, changed = merge.load(f"{folder}+{path}=0.7"), 0
    before = merge.load(str(folder))
    for name, tensor in unet.state_dict().items():
        if ".lora_" in name:
            continue
        ours = f"unet.{name.replace('.base_layer', '')}"
        torch.testing.assert_close(found[ours].double(), tensor, rtol=2e-7, atol=1e-8 * float(tensor.abs().max()))
        changed += not torch.equal(found[ours], before[ours])
    assert changed == len(adapter) // 3
