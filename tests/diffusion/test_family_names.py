"""Families and names of the odd files: variants, one component alone, older spellings, and what is no such model."""

from __future__ import annotations

import pytest
from diffusion_layouts import layout

from merge.checkpoints.header import TensorInfo
from merge.diffusion.families import described, family_of
from merge.diffusion.modules import diffusers_names

Shapes = dict[str, tuple[int, ...]]


def infos(shapes: Shapes) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, "F16", shape, 0, 0, 0) for name, shape in shapes.items()}


def part(family: str, style: str, prefix: str) -> Shapes:
    """Return one component alone, without its prefix."""
    shapes = layout(family, style)
    return {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("channels", "variant"),
    [(9, "inpainting"), (8, "instruct-pix2pix"), (5, "depth"), (7, "upscaler"), (6, "6 channels")],
)
@pytest.mark.parametrize("style", ["ldm", "diffusers"])
def test_variants_are_told_by_the_first_convolution(channels: int, variant: str, style: str) -> None:
    found = described(infos(layout("sd1", style, channels_in=channels)))
    assert found == f"Stable Diffusion 1 ({variant}), {style} names"


@pytest.mark.parametrize(("style", "prefix"), [("ldm", "model.diffusion_model."), ("diffusers", "unet.")])
def test_a_unet_alone_has_a_family(style: str, prefix: str) -> None:
    alone = infos(part("sdxl", style, prefix))
    found = family_of(alone)
    assert found is not None
    assert found.title == "SDXL base"
    assert set(diffusers_names(alone)) == {n for n in layout("sdxl", "diffusers") if n.startswith("unet.")}


@pytest.mark.parametrize(("style", "prefix"), [("ldm", "first_stage_model."), ("diffusers", "vae.")])
def test_a_vae_alone_has_no_family_but_names(style: str, prefix: str) -> None:
    alone = infos(part("sd1", style, prefix))
    assert family_of(alone) is None
    assert set(diffusers_names(alone)) == {n for n in layout("sd1", "diffusers") if n.startswith("vae.")}


def test_the_older_names_of_the_attention_of_a_vae() -> None:
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    shapes = part("sd1", "diffusers", "vae.")
    renamed: Shapes = {}
    for name, shape in shapes.items():
        for new, old in older.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        renamed[name] = shape
    assert sum(name not in shapes for name in renamed) == 16
    assert set(diffusers_names(infos(renamed))) == {f"vae.{name}" for name in shapes}


@pytest.mark.parametrize(("style", "front"), [("ldm", "cond_stage_model.transformer."), ("diffusers", "text_encoder.")])
def test_text_encoders_saved_without_their_first_word(style: str, front: str) -> None:
    shapes = layout("sd1", style)
    renamed = {name.replace(f"{front}text_model.", front): shape for name, shape in shapes.items()}
    assert renamed.keys() != shapes.keys()
    assert set(diffusers_names(infos(renamed))) == set(diffusers_names(infos(shapes)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias", "Stable Diffusion 3, ldm names"),
        ("transformer.transformer_blocks.0.norm1_context.linear.bias", "Stable Diffusion 3, diffusers names"),
        ("double_blocks.0.img_attn.norm.key_norm.scale", "Flux, ldm names"),
        ("single_transformer_blocks.0.attn.norm_k.weight", "Flux, diffusers names"),
    ],
)
def test_later_families_are_recognised_by_name(name: str, words: str) -> None:
    assert described(infos({name: (4,)})) == words


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"model.layers.0.self_attn.q_proj.weight": (4, 4)},
        {"text_model.encoder.layers.0.self_attn.q_proj.weight": (4, 4), "vision_model.post_layernorm.weight": (4,)},
        {"encoder.layers.0.weight": (4, 4), "decoder.layers.0.weight": (4, 4)},
    ],
)
def test_other_models_have_no_places(shapes: Shapes) -> None:
    assert diffusers_names(infos(shapes)) == {}
    assert described(infos(shapes)) is None


def test_a_unet_of_another_depth_is_of_no_family() -> None:
    shapes = {name: shape for name, shape in layout("sdxl", "ldm").items() if ".transformer_blocks.9." not in name}
    assert family_of(infos(shapes)) is None


@pytest.mark.parametrize(("style", "prefix"), [("ldm", "model.diffusion_model."), ("diffusers", "unet.")])
def test_a_control_net_is_of_no_family(style: str, prefix: str) -> None:
    half = {
        name: shape
        for name, shape in part("sd1", style, prefix).items()
        if not name.startswith(("output_blocks.", "out.", "up_blocks.", "conv_norm_out.", "conv_out."))
    }
    assert described(infos(half)) is None
