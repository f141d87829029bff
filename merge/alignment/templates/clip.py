"""CLIP under the names of transformers and of open_clip: two towers, each with its own residual stream.

The axis of the joint embedding stays: it may move in both towers together only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .attention import fused, known_heads, separate
from .draft import Checkpoint, Draft, listed, with_prefix
from .transformer import Tower, add_tower

_SCALES = ["logit_scale", "logit_bias"]

_HF_BLOCK = listed("""
    layer_norm1.weight:0 layer_norm1.bias:0 layer_norm2.weight:0 layer_norm2.bias:0
    self_attn.q_proj.weight:1 self_attn.k_proj.weight:1 self_attn.v_proj.weight:1
    self_attn.out_proj.weight:0 self_attn.out_proj.bias:0 mlp.fc1.weight:1 mlp.fc2.weight:0 mlp.fc2.bias:0
""")
_HF_ENDS = {
    "vision": listed("""
        embeddings.class_embedding:0 embeddings.patch_embedding.weight:0 embeddings.patch_embedding.bias:0?
        embeddings.position_embedding.weight:1 pre_layrnorm.weight:0 pre_layrnorm.bias:0
        post_layernorm.weight:0 post_layernorm.bias:0
    """),
    "text": listed("""
        embeddings.token_embedding.weight:1 embeddings.position_embedding.weight:1
        final_layer_norm.weight:0 final_layer_norm.bias:0
    """),
}
_HF_FIRST = {"vision": "embeddings.patch_embedding.weight", "text": "embeddings.token_embedding.weight"}
_HF_READERS = {"vision": ["visual_projection.weight:1?", "classifier.weight:1?"], "text": ["text_projection.weight:1?"]}

_OPEN_BLOCK = listed("""
    ln_1.weight:0 ln_1.bias:0 ln_2.weight:0 ln_2.bias:0 ls_1.gamma:0? ls_2.gamma:0?
    attn.in_proj_weight:1 attn.out_proj.weight:0 attn.out_proj.bias:0
    mlp.c_fc.weight:1 mlp.c_proj.weight:0 mlp.c_proj.bias:0
""")
_OPEN_ENDS = {
    "vision": listed("""
        class_embedding:0 positional_embedding:1 conv1.weight:0 ln_pre.weight:0? ln_pre.bias:0?
        ln_post.weight:0 ln_post.bias:0
    """),
    "text": listed("token_embedding.weight:1 positional_embedding:1 ln_final.weight:0 ln_final.bias:0"),
}


def hf_clip(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of transformers' CLIP, or of one of its towers, or None where the names are others."""
    draft = Draft("transformers' CLIP")
    for kind, ends in _HF_ENDS.items():
        prefix = checkpoint.prefix_of(_HF_FIRST[kind])
        if prefix is not None and checkpoint.has(f"{prefix}encoder.layers.0.self_attn.q_proj.weight"):
            _hf_tower(draft, checkpoint, kind, prefix, ends)
    draft.stays("the joint embedding of both towers", ["visual_projection.*:0", "text_projection.*:0"])
    draft.stays("the model's outputs", ["classifier.*:0"])
    draft.stays("one number", _SCALES)
    draft.stays("places are counted, not units", ["*.embeddings.position_ids"])
    return draft if draft.patterns else None


def _hf_tower(draft: Draft, checkpoint: Checkpoint, kind: str, prefix: str, ends: list[str]) -> None:
    names = [f"{prefix}encoder.layers.{{i}}.self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")]
    width = checkpoint.shapes[f"{names[0].replace('{i}', '0')}.weight"][0]
    heads = known_heads(_hf_heads(checkpoint, kind), width)
    stream = ends + [f"encoder.layers.*.{text}" for text in _HF_BLOCK]
    mlp = [f"encoder.layers.{{i}}.mlp.{text}" for text in ("fc1.weight:0", "fc1.bias:0", "fc2.weight:1")]
    attention = separate(names, width=width, heads=heads)
    tower = Tower(prefix, stream, _HF_READERS[kind], attention, mlp, label=f"{kind}.")
    add_tower(draft, tower, checkpoint.shapes)


def _hf_heads(checkpoint: Checkpoint, kind: str) -> int | None:
    """Return a tower's number of heads; a configuration leaves out what is as by default."""
    if not checkpoint.config:
        return None
    own: Any = checkpoint.config.get(f"{kind}_config")
    if own is None:  # the configuration of a single tower
        return checkpoint.number("num_attention_heads")
    from transformers import CLIPTextConfig, CLIPVisionConfig

    default = {"vision": CLIPVisionConfig, "text": CLIPTextConfig}[kind]().num_attention_heads
    stated = isinstance(own, Mapping) and "num_attention_heads" in own
    return checkpoint.number(f"{kind}_config.num_attention_heads") if stated else int(default)


def open_clip(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of open_clip's and OpenAI's CLIP with a vision transformer, or None where names are others."""
    image = checkpoint.prefix_of("visual.transformer.resblocks.0.attn.in_proj_weight")
    if image is None:
        return None
    draft = Draft("open_clip's CLIP")
    vision = checkpoint.config.get("model_cfg", {}).get("vision_cfg", {}) if checkpoint.config else {}
    width = checkpoint.shapes[f"{image}visual.transformer.resblocks.0.attn.in_proj_weight"][1]
    size = vision.get("head_width", 64) if vision else 0
    heads = width // size if isinstance(size, int) and size and width % size == 0 else None
    _open_tower(draft, checkpoint, "vision", f"{image}visual.", f"{image}visual.proj:0?", heads)
    text = checkpoint.prefix_of("token_embedding.weight")
    if text is not None:
        given = checkpoint.number("model_cfg.text_cfg.heads") or (8 if "model_cfg" in checkpoint.config else None)
        _open_tower(draft, checkpoint, "text", text, f"{text}text_projection:0?", given)
    numbers = [*_SCALES, "input_resolution", "context_length", "vocab_size"]
    draft.stays("one number", with_prefix(image, numbers))
    return draft


def _open_tower(draft: Draft, checkpoint: Checkpoint, kind: str, prefix: str, reader: str, heads: int | None) -> None:
    block = prefix + "transformer.resblocks.{i}.attn."
    width = checkpoint.shapes.get(f"{block.replace('{i}', '0')}in_proj_weight", (0, 0))[1]
    names = f"{block}in_proj_weight", f"{block}in_proj_bias", f"{block}out_proj.weight:1"
    attention = fused(*names, width=width, heads=known_heads(heads, width))
    stream = _OPEN_ENDS[kind] + [f"transformer.resblocks.*.{text}" for text in _OPEN_BLOCK]
    mlp = [f"transformer.resblocks.{{i}}.mlp.{text}" for text in ("c_fc.weight:0", "c_fc.bias:0", "c_proj.weight:1")]
    add_tower(draft, Tower(prefix, stream, [reader], attention, mlp, label=f"{kind}."), checkpoint.shapes)
