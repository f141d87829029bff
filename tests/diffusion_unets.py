"""The UNets of diffusion models, walked once, every tensor named after ldm and after diffusers."""

from __future__ import annotations

from collections.abc import Iterator

from diffusion_sizes import Named, Shape, Sizes


def pair(ldm: str, diffusers: str, shape: Shape, other: Shape | None = None) -> Iterator[Named]:
    """Yield weight and bias of a module."""
    yield Named(f"{ldm}.weight", f"{diffusers}.weight", shape, other)
    yield Named(f"{ldm}.bias", f"{diffusers}.bias", shape[:1])


def unet(sizes: Sizes, scale: int, channels_in: int) -> Iterator[Named]:
    widths = [width // scale for width in sizes.channels]
    time, context = 4 * widths[0], sizes.context // scale
    yield from pair("time_embed.0", "time_embedding.linear_1", (time, widths[0]))
    yield from pair("time_embed.2", "time_embedding.linear_2", (time, time))
    if sizes.added:
        yield from pair("label_emb.0.0", "add_embedding.linear_1", (time, sizes.added // scale))
        yield from pair("label_emb.0.2", "add_embedding.linear_2", (time, time))
    yield from pair("input_blocks.0.0", "conv_in", (widths[0], channels_in, 3, 3))
    number, width, skips = 1, widths[0], [widths[0]]
    for level, wide in enumerate(widths):
        for layer in range(2):
            ldm, diffusers = f"input_blocks.{number}", f"down_blocks.{level}"
            yield from _resnet(f"{ldm}.0", f"{diffusers}.resnets.{layer}", width, wide, time)
            if sizes.depths[level]:
                place = f"{diffusers}.attentions.{layer}"
                yield from _attention(f"{ldm}.1", place, wide, context, sizes.depths[level], linear=sizes.linear)
            number, width = number + 1, wide
            skips.append(width)
        if level < len(widths) - 1:
            yield from pair(
                f"input_blocks.{number}.0.op", f"down_blocks.{level}.downsamplers.0.conv", (wide, wide, 3, 3)
            )
            number += 1
            skips.append(wide)
    yield from _resnet("middle_block.0", "mid_block.resnets.0", width, width, time)
    yield from _attention("middle_block.1", "mid_block.attentions.0", width, context, sizes.middle, linear=sizes.linear)
    yield from _resnet("middle_block.2", "mid_block.resnets.1", width, width, time)
    yield from _up(sizes, widths, skips, time, context)
    yield from pair("out.0", "conv_norm_out", (widths[0],))
    yield from pair("out.2", "conv_out", (4, widths[0], 3, 3))


def _up(sizes: Sizes, widths: list[int], skips: list[int], time: int, context: int) -> Iterator[Named]:
    number, width, last = 0, widths[-1], len(widths) - 1
    for level, wide in enumerate(reversed(widths)):
        depth = sizes.depths[last - level]
        for layer in range(3):
            ldm, diffusers = f"output_blocks.{number}", f"up_blocks.{level}"
            yield from _resnet(f"{ldm}.0", f"{diffusers}.resnets.{layer}", width + skips.pop(), wide, time)
            if depth:
                place = f"{diffusers}.attentions.{layer}"
                yield from _attention(f"{ldm}.1", place, wide, context, depth, linear=sizes.linear)
            if layer == 2 and level < last:
                after = f"{ldm}.{2 if depth else 1}.conv"
                yield from pair(after, f"{diffusers}.upsamplers.0.conv", (wide, wide, 3, 3))
            number, width = number + 1, wide


def _resnet(ldm: str, diffusers: str, inner: int, outer: int, time: int) -> Iterator[Named]:
    yield from pair(f"{ldm}.in_layers.0", f"{diffusers}.norm1", (inner,))
    yield from pair(f"{ldm}.in_layers.2", f"{diffusers}.conv1", (outer, inner, 3, 3))
    yield from pair(f"{ldm}.emb_layers.1", f"{diffusers}.time_emb_proj", (outer, time))
    yield from pair(f"{ldm}.out_layers.0", f"{diffusers}.norm2", (outer,))
    yield from pair(f"{ldm}.out_layers.3", f"{diffusers}.conv2", (outer, outer, 3, 3))
    if inner != outer:
        yield from pair(f"{ldm}.skip_connection", f"{diffusers}.conv_shortcut", (outer, inner, 1, 1))


def _attention(ldm: str, diffusers: str, width: int, context: int, depth: int, *, linear: bool) -> Iterator[Named]:
    projection = (width, width) if linear else (width, width, 1, 1)
    yield from pair(f"{ldm}.norm", f"{diffusers}.norm", (width,))
    yield from pair(f"{ldm}.proj_in", f"{diffusers}.proj_in", projection)
    for layer in range(depth):
        for name, shape in _transformer(width, context):
            inner = f"transformer_blocks.{layer}.{name}"
            yield Named(f"{ldm}.{inner}", f"{diffusers}.{inner}", shape)
    yield from pair(f"{ldm}.proj_out", f"{diffusers}.proj_out", projection)


def _transformer(width: int, context: int) -> Iterator[tuple[str, Shape]]:
    """Yield one layer, which both call the same."""
    for number, inner in ((1, width), (2, context)):
        yield f"attn{number}.to_q.weight", (width, width)
        yield f"attn{number}.to_k.weight", (width, inner)
        yield f"attn{number}.to_v.weight", (width, inner)
        yield f"attn{number}.to_out.0.weight", (width, width)
        yield f"attn{number}.to_out.0.bias", (width,)
    yield "ff.net.0.proj.weight", (8 * width, width)
    yield "ff.net.0.proj.bias", (8 * width,)
    yield "ff.net.2.weight", (width, 4 * width)
    yield "ff.net.2.bias", (width,)
    for number in (1, 2, 3):
        yield f"norm{number}.weight", (width,)
        yield f"norm{number}.bias", (width,)
