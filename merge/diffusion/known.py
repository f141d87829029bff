"""Whether a checkpoint is a diffusion model's at all, told by a few names, for no one else should pay for the rest."""

from __future__ import annotations

from collections.abc import Collection

# One tensor of every component that can be a checkpoint of its own, in every layout.
PREFIXED = (
    "model.diffusion_model.input_blocks.0.0.weight",
    "model.diffusion_model.time_embed.0.weight",
    "unet.conv_in.weight",
    "first_stage_model.encoder.conv_in.weight",
    "first_stage_model.decoder.conv_in.weight",
    "vae.encoder.conv_in.weight",
    "vae.decoder.conv_in.weight",
)
UNET, VAE = "unet", "vae"
# A file with one component alone, whose names have no prefix: what one of its tensors is called ▸ the component.
BARE = {
    "input_blocks.0.0.weight": UNET,
    "down_blocks.0.resnets.0.time_emb_proj.weight": UNET,
    "encoder.down.0.block.0.norm1.weight": VAE,
    "decoder.up.0.block.0.norm1.weight": VAE,
    "encoder.down_blocks.0.resnets.0.norm1.weight": VAE,
    "decoder.up_blocks.0.resnets.0.norm1.weight": VAE,
}
# Families that are recognised by name and whose tensors are not translated: a tensor ▸ family and layout.
_SD3 = "joint_blocks.0.context_block.adaLN_modulation.1.bias"
_FLUX = "double_blocks.0.img_attn.norm.key_norm.scale"
_SD3_DIFFUSERS = "transformer_blocks.0.norm1_context.linear.bias"  # Flux has it too, beside the next
_FLUX_DIFFUSERS = "single_transformer_blocks.0.attn.norm_k.weight"
OTHERS = {
    **{f"{prefix}{_SD3}": ("sd3", "ldm") for prefix in ("", "model.diffusion_model.")},
    **{f"{prefix}{_FLUX}": ("flux", "ldm") for prefix in ("", "model.diffusion_model.")},
    **{f"{prefix}{_FLUX_DIFFUSERS}": ("flux", "diffusers") for prefix in ("", "transformer.")},
    **{f"{prefix}{_SD3_DIFFUSERS}": ("sd3", "diffusers") for prefix in ("", "transformer.")},
}


def is_diffusion(names: Collection[str]) -> bool:
    """Tell whether these are names of a diffusion model's tensors."""
    return any(name in names for known in (PREFIXED, BARE, OTHERS) for name in known)


def is_folder(names: Collection[str]) -> bool:
    """Tell whether these are the names of a folder of components, the component in front."""
    return "unet.conv_in.weight" in names
