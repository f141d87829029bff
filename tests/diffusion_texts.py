"""The text encoders of diffusion models, walked once, every tensor named after ldm and after transformers."""

from __future__ import annotations

from collections.abc import Iterator

from diffusion_sizes import Named, Shape


def clip(width: int, layers: int, scale: int) -> Iterator[Named]:
    for name, shape in _text(width, layers, 49408 // scale):
        yield Named(name, name, shape)
    yield Named("text_model.embeddings.position_ids", None, (1, 77))


def _text(width: int, layers: int, words: int) -> Iterator[tuple[str, Shape]]:
    """Yield a text encoder as transformers calls it."""
    yield "text_model.embeddings.token_embedding.weight", (words, width)
    yield "text_model.embeddings.position_embedding.weight", (77, width)
    for layer in range(layers):
        front = f"text_model.encoder.layers.{layer}"
        for module, shape in {
            **{f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")},
            "layer_norm1": (width,),
            "layer_norm2": (width,),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }.items():
            yield f"{front}.{module}.weight", shape
            yield f"{front}.{module}.bias", shape[:1]
    yield "text_model.final_layer_norm.weight", (width,)
    yield "text_model.final_layer_norm.bias", (width,)


_OPEN_NAMES = {
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.encoder.layers": "transformer.resblocks",
    "text_model.final_layer_norm": "ln_final",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    **{f"self_attn.{part}_proj.{kind}": f"attn.in_proj_{kind}" for part in "qkv" for kind in ("weight", "bias")},
}


def open_clip(width: int, layers: int, scale: int, *, dropped: bool) -> Iterator[Named]:
    for name, shape in _text(width, layers, 49408 // scale):
        ldm = name
        for theirs, ours in _OPEN_NAMES.items():
            ldm = ldm.replace(theirs, ours)
        left_out = dropped and f".layers.{layers - 1}." in name
        yield Named(ldm, None if left_out else name, shape)
    yield Named("text_projection", None if dropped else "text_projection.weight", (width, width))
    yield Named("logit_scale", None, ())
