"""The config.json of the components of diffusion models, with which diffusers or transformers builds them."""

from __future__ import annotations

from diffusion_sizes import FAMILIES, SCALE, Sizes

# Component ▸ library, class, weights file.
CLASSES = {
    "unet": ("diffusers", "UNet2DConditionModel", "diffusion_pytorch_model.safetensors"),
    "vae": ("diffusers", "AutoencoderKL", "diffusion_pytorch_model.safetensors"),
    "text_encoder": ("transformers", "CLIPTextModel", "model.safetensors"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection", "model.safetensors"),
}


def component_config(family: str, component: str, scale: int = SCALE, channels_in: int = 4) -> dict[str, object]:
    """Return the config.json of a component, with which diffusers or transformers builds it."""
    sizes = FAMILIES[family]
    if component == "unet":
        return _unet_config(sizes, scale, channels_in)
    if component == "vae":
        return {
            "_class_name": "AutoencoderKL",
            "block_out_channels": [width // scale for width in (128, 256, 512, 512)],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
            "latent_channels": 4,
            "norm_num_groups": max(1, 128 // scale) if scale > 4 else 32,
        }
    wide = component == "text_encoder" and family != "sd2"
    width = 768 if wide else sizes.open_width
    layers = 12 if wide else sizes.open_layers - (family == "sd2")
    return {
        "architectures": [CLASSES[component][1]],
        "model_type": "clip_text_model",
        "hidden_size": width // scale,
        "intermediate_size": 4 * width // scale,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64 if scale == 1 else 1,
        "projection_dim": width // scale,
        "vocab_size": 49408 // scale,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu" if wide else "gelu",
    }


def _unet_config(sizes: Sizes, scale: int, channels_in: int) -> dict[str, object]:
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in sizes.depths]
    config: dict[str, object] = {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 64,
        "in_channels": channels_in,
        "out_channels": 4,
        "block_out_channels": [width // scale for width in sizes.channels],
        "layers_per_block": 2,
        "down_block_types": down,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
        "cross_attention_dim": sizes.context // scale,
        "attention_head_dim": 8 if scale == 1 else 1,
        "norm_num_groups": 32 if sizes.channels[0] // scale % 32 == 0 else sizes.channels[0] // scale,
        "use_linear_projection": sizes.linear,
        "transformer_layers_per_block": [max(1, depth) for depth in sizes.depths],
    }
    if sizes.depths[-1] == 0:  # diffusers takes the depth of the middle from the last level
        config["transformer_layers_per_block"] = [*(max(1, depth) for depth in sizes.depths[:-1]), sizes.middle]
    if sizes.added:
        ids = 5 if sizes.context == 1280 else 6
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256 // scale,
            "projection_class_embeddings_input_dim": 1280 // scale + ids * (256 // scale),
        }
    return config
