"""The autoencoder of diffusion models, walked once, every tensor named after ldm and after diffusers."""

from __future__ import annotations

from collections.abc import Iterator

from diffusion_sizes import Named
from diffusion_unets import pair


def autoencoder(scale: int) -> Iterator[Named]:
    widths = [width // scale for width in (128, 256, 512, 512)]
    wide = widths[-1]
    for side in ("encoder", "decoder"):
        first, before = (widths[0], 3) if side == "encoder" else (wide, 4)
        yield from pair(f"{side}.conv_in", f"{side}.conv_in", (first, before, 3, 3))
        width, level_name = first, "down" if side == "encoder" else "up"
        order = range(4) if side == "encoder" else range(3, -1, -1)
        for place, level in enumerate(order):
            for layer in range(2 if side == "encoder" else 3):
                ldm, diffusers = f"{side}.{level_name}.{level}.block.{layer}", f"{side}.{level_name}_blocks.{place}"
                yield from _vae_resnet(ldm, f"{diffusers}.resnets.{layer}", width, widths[level])
                width = widths[level]
            if place < 3:
                sampler = f"{level_name}sample"
                ldm = f"{side}.{level_name}.{level}.{sampler}.conv"
                yield from pair(ldm, f"{diffusers}.{sampler}rs.0.conv", (width, width, 3, 3))
        yield from _vae_middle(side, wide)
        last = 8 if side == "encoder" else 3
        yield from pair(f"{side}.norm_out", f"{side}.conv_norm_out", (width,))
        yield from pair(f"{side}.conv_out", f"{side}.conv_out", (last, width, 3, 3))
    yield from pair("quant_conv", "quant_conv", (8, 8, 1, 1))
    yield from pair("post_quant_conv", "post_quant_conv", (4, 4, 1, 1))


def _vae_middle(side: str, wide: int) -> Iterator[Named]:
    yield from _vae_resnet(f"{side}.mid.block_1", f"{side}.mid_block.resnets.0", wide, wide)
    ldm, diffusers = f"{side}.mid.attn_1", f"{side}.mid_block.attentions.0"
    yield from pair(f"{ldm}.norm", f"{diffusers}.group_norm", (wide,))
    for ours, theirs in {"q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}.items():
        yield from pair(f"{ldm}.{ours}", f"{diffusers}.{theirs}", (wide, wide), (wide, wide, 1, 1))
    yield from _vae_resnet(f"{side}.mid.block_2", f"{side}.mid_block.resnets.1", wide, wide)


def _vae_resnet(ldm: str, diffusers: str, inner: int, outer: int) -> Iterator[Named]:
    yield from pair(f"{ldm}.norm1", f"{diffusers}.norm1", (inner,))
    yield from pair(f"{ldm}.conv1", f"{diffusers}.conv1", (outer, inner, 3, 3))
    yield from pair(f"{ldm}.norm2", f"{diffusers}.norm2", (outer,))
    yield from pair(f"{ldm}.conv2", f"{diffusers}.conv2", (outer, outer, 3, 3))
    if inner != outer:
        yield from pair(f"{ldm}.nin_shortcut", f"{diffusers}.conv_shortcut", (outer, inner, 1, 1))
