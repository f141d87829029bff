"""How the tensors of a diffusion model are called: ldm's and sgm's names (one file) and those of diffusers (a folder).

Data only. A name is the prefix of a component, the place of a module in it, and what follows, its leaf. Names that no
row names are the same in both layouts. The layouts are those of CompVis' and Stability AI's `ldm` and `sgm` packages,
of OpenCLIP's text transformer, and of diffusers and transformers.
"""

from __future__ import annotations

from collections.abc import Mapping

from .section import Section
from .text_encoders import CLIP, OPEN_CLIP

_LEVELS = 4  # resolutions, at most
_RESNETS = 2  # on each level of a UNet on the way down; one more on the way up
_STEP = _RESNETS + 1  # numbered blocks of a level in ldm


_UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
}
_UNET_DOWN = {
    f"input_blocks.{_STEP * level + layer + 1}.{number}": f"down_blocks.{level}.{kind}.{layer}"
    for level in range(_LEVELS)
    for layer in range(_RESNETS)
    for number, kind in enumerate(("resnets", "attentions"))
}
_UNET_UP = {
    f"output_blocks.{_STEP * level + layer}.{number}": f"up_blocks.{level}.{kind}.{layer}"
    for level in range(_LEVELS)
    for layer in range(_STEP)
    for number, kind in enumerate(("resnets", "attentions"))
}
_UNET_SAMPLERS = {
    f"input_blocks.{_STEP * (level + 1)}.0.op": f"down_blocks.{level}.downsamplers.0.conv" for level in range(_LEVELS)
} | {
    # After an attention it is number 2, on a level without one number 1.
    f"output_blocks.{_STEP * level + _RESNETS}.{number}.conv": f"up_blocks.{level}.upsamplers.0.conv"
    for level in range(_LEVELS)
    for number in (1, 2)
}
UNET = Section(
    places={**_UNET_ENDS, **_UNET_DOWN, **_UNET_UP, **_UNET_SAMPLERS},
    leaves={
        "in_layers.0": "norm1",
        "in_layers.2": "conv1",
        "emb_layers.1": "time_emb_proj",
        "out_layers.0": "norm2",
        "out_layers.3": "conv2",
        "skip_connection": "conv_shortcut",
    },
)

_SIDES = ("encoder", "decoder")
_VAE_MIDDLE = {
    f"{side}.mid.{ldm}": f"{side}.mid_block.{diffusers}"
    for side in _SIDES
    for ldm, diffusers in {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}.items()
}
_VAE_LEVELS = {
    f"encoder.down.{level}.block.{layer}": f"encoder.down_blocks.{level}.resnets.{layer}"
    for level in range(_LEVELS)
    for layer in range(_RESNETS)
} | {
    f"decoder.up.{level}.block.{layer}": f"decoder.up_blocks.{_LEVELS - 1 - level}.resnets.{layer}"
    for level in range(_LEVELS)
    for layer in range(_STEP)
}
_VAE_SAMPLERS = {
    f"encoder.down.{level}.downsample": f"encoder.down_blocks.{level}.downsamplers.0" for level in range(_LEVELS)
} | {
    f"decoder.up.{level}.upsample": f"decoder.up_blocks.{_LEVELS - 1 - level}.upsamplers.0" for level in range(_LEVELS)
}
_VAE_ATTENTIONS = frozenset(f"{side}.mid_block.attentions.0" for side in _SIDES)
VAE = Section(
    places={
        **{f"{side}.norm_out": f"{side}.conv_norm_out" for side in _SIDES},
        **_VAE_MIDDLE,
        **_VAE_LEVELS,
        **_VAE_SAMPLERS,
    },
    leaves={
        "nin_shortcut": "conv_shortcut",
        "norm": "group_norm",
        "q": "to_q",
        "k": "to_k",
        "v": "to_v",
        "proj_out": "to_out.0",
    },
    older={
        f"{place}.{old}": f"{place}.{new}"
        for place in _VAE_ATTENTIONS
        for old, new in {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}.items()
    },
    flattened=_VAE_ATTENTIONS,
)

# Prefix of a component in a file or folder ▸ the component, and how its modules are called.
LDM_PREFIXES: Mapping[str, tuple[str, Section]] = {
    "model.diffusion_model.": ("unet", UNET),
    "first_stage_model.": ("vae", VAE),
    "cond_stage_model.transformer.": ("text_encoder", CLIP),  # Stable Diffusion 1
    "cond_stage_model.model.": ("text_encoder", OPEN_CLIP),  # Stable Diffusion 2
    "conditioner.embedders.0.transformer.": ("text_encoder", CLIP),  # SDXL
    "conditioner.embedders.0.model.": ("text_encoder_2", OPEN_CLIP),  # the refiner of SDXL
    "conditioner.embedders.1.model.": ("text_encoder_2", OPEN_CLIP),  # SDXL
    "cond_stage_model.": ("text_encoder", CLIP),  # what some programs add beside the text encoder of the first
}
DIFFUSERS_PREFIXES: Mapping[str, tuple[str, Section]] = {
    "unet.": ("unet", UNET),
    "vae.": ("vae", VAE),
    "text_encoder.": ("text_encoder", CLIP),
    "text_encoder_2.": ("text_encoder_2", CLIP),
}
# By family, what of it nothing looks at, so that programs save it or not.
UNUSED: Mapping[str, tuple[str, ...]] = {
    "": (
        "text_encoder.logit_scale",
        "text_encoder.text_projection",
        "text_encoder.text_projection.weight",
        "text_encoder_2.logit_scale",
    ),
    "sd2": ("text_encoder.text_model.encoder.layers.23.",),  # it looks at the outcome of the last but one
}
