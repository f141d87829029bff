"""Which block a tensor belongs to, in ldm's layout and in diffusers'."""

from __future__ import annotations

import pytest
from diffusion_layouts import FAMILIES, layout, tensors

from merge.diffusion.blocks import BASE, BLOCKS, blocks_of

COUNTS = {"sd1": 12, "sd2": 12, "sdxl": 9, "sdxl-refiner": 12}


@pytest.mark.parametrize("style", ["ldm", "diffusers"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_its_blocks(family: str, style: str) -> None:
    blocks = blocks_of(layout(family, style))
    count = COUNTS[family]
    sides = [[f"{side}{number:02d}" for number in range(count)] for side in ("IN", "OUT")]
    assert blocks is not None
    assert list(blocks.names) == [BASE, *sides[0], "M00", *sides[1], "VAE"]
    assert len(blocks.numbered) == 2 * count + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_both_names_of_a_tensor_are_of_one_block(family: str) -> None:
    ldm, diffusers = (blocks_of(layout(family, style)) for style in ("ldm", "diffusers"))
    assert ldm is not None
    assert diffusers is not None
    seen = set()
    for named in tensors(family):
        if named.ldm and named.diffusers:
            assert ldm.of(named.ldm) == diffusers.of(named.diffusers), named
            seen.add(ldm.of(named.ldm))
    assert seen == set(ldm.names)


def test_what_the_tools_of_the_community_say() -> None:
    """The places that SuperMerger, sd-mecha and merge-block-weighted agree on; time_embed as in sd-mecha."""
    blocks = blocks_of(layout("sd1"))
    assert blocks is not None
    unet = "model.diffusion_model."
    assert blocks.of(f"{unet}input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight") == "IN04"
    assert blocks.of(f"{unet}middle_block.2.in_layers.0.weight") == "M00"
    assert blocks.of(f"{unet}output_blocks.11.0.in_layers.2.bias") == "OUT11"
    assert blocks.of(f"{unet}out.2.weight") == "OUT11"
    assert blocks.of(f"{unet}time_embed.0.weight") == BASE
    assert blocks.of("first_stage_model.decoder.up.0.block.0.conv1.weight") == "VAE"
    assert blocks.of("cond_stage_model.transformer.text_model.final_layer_norm.bias") == BASE
    assert blocks.of("model_ema.diffusion_modelinput_blocks00weight") == BASE


def test_what_follows_the_last_block_of_sdxl_belongs_to_it() -> None:
    blocks = blocks_of(layout("sdxl"))
    assert blocks is not None
    assert blocks.of("model.diffusion_model.out.0.bias") == "OUT08"
    assert blocks.of("model.diffusion_model.label_emb.0.0.weight") == BASE
    assert blocks.of("conditioner.embedders.1.model.ln_final.weight") == BASE


def test_a_unet_alone_has_blocks_and_a_language_model_none() -> None:
    unet = [name.removeprefix("model.diffusion_model.") for name in layout("sd1") if "diffusion_model." in name]
    blocks = blocks_of(unet)
    assert blocks is not None
    assert blocks.names == BLOCKS[:-1]
    assert blocks.of("out.0.weight") == "OUT11"
    assert blocks_of(["model.layers.0.mlp.up_proj.weight", "lm_head.weight"]) is None
    assert blocks_of(name for name in layout("sd1") if name.startswith("first_stage_model.")) is None
