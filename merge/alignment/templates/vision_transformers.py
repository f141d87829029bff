"""Vision transformers under the names of timm and of transformers, older and newer."""

from __future__ import annotations

import re

from .attention import Attention, fused, known_heads, separate
from .draft import Checkpoint, Draft, cut, listed
from .transformer import Tower, add_tower

_TIMM_STREAM = listed("""
    cls_token:2? dist_token:2? reg_token:2? pos_embed:2? patch_embed.proj.weight:0 patch_embed.proj.bias:0?
    norm_pre.weight:0? norm_pre.bias:0? norm.weight:0? norm.bias:0? fc_norm.weight:0? fc_norm.bias:0?
    blocks.*.norm1.weight:0 blocks.*.norm1.bias:0? blocks.*.norm2.weight:0 blocks.*.norm2.bias:0?
    blocks.*.attn.qkv.weight:1 blocks.*.attn.proj.weight:0 blocks.*.attn.proj.bias:0?
    blocks.*.mlp.fc1.weight:1 blocks.*.mlp.fc2.weight:0 blocks.*.mlp.fc2.bias:0?
    blocks.*.ls1.gamma:0? blocks.*.ls2.gamma:0?
""")
_TIMM_MLP = ["blocks.{i}.mlp.fc1.weight:0", "blocks.{i}.mlp.fc1.bias:0?", "blocks.{i}.mlp.fc2.weight:1"]

# Architectures without rotary places, which leave no trace among the tensors; and their heads by width.
_PLAIN = re.compile(r"(vit|deit|deit3)_(tiny|small|medium|base|large|huge)_patch\d+_(clip_)?\d+")
_HEADS = {192: 3, 384: 6, 512: 8, 768: 12, 1024: 16, 1280: 16}

_EMBEDDINGS = listed("""
    embeddings.cls_token:2? embeddings.distillation_token:2? embeddings.mask_token:2?
    embeddings.position_embeddings:2 embeddings.patch_embeddings.projection.weight:0
    embeddings.patch_embeddings.projection.bias:0? layernorm.weight:0 layernorm.bias:0 pooler.dense.weight:1?
""")
_BLOCK = listed("""
    layernorm_before.weight:0 layernorm_before.bias:0 layernorm_after.weight:0 layernorm_after.bias:0
    {q}.weight:1 {k}.weight:1 {v}.weight:1 {o}.weight:0 {o}.bias:0? {up}.weight:1 {down}.weight:0 {down}.bias:0?
""")
# Where a block lies, and its projections of queries, keys, values, the output, and up and down.
_NEW = ("layers", ("q_proj", "k_proj", "v_proj", "o_proj"), "attention.", "mlp.fc1", "mlp.fc2")
_OLD = (
    "encoder.layer",
    ("attention.query", "attention.key", "attention.value", "output.dense"),
    "attention.",
    "intermediate.dense",
    "output.dense",
)
_READERS = ["classifier.weight:1?", "cls_classifier.weight:1?", "distillation_classifier.weight:1?"]


def timm_vit(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of timm's VisionTransformer and DeiT, or None where the names are others."""
    prefix = checkpoint.prefix_of("blocks.0.attn.qkv.weight")
    if prefix is None or not checkpoint.has(f"{prefix}patch_embed.proj.weight"):
        return None
    draft = Draft("timm's vision transformers")
    readers = [f"{prefix}head.weight:1?", f"{prefix}head_dist.weight:1?"]
    attention = _timm_attention(draft, checkpoint, prefix)
    add_tower(draft, Tower(prefix, _TIMM_STREAM, readers, attention, _TIMM_MLP), checkpoint.shapes)
    draft.stays("the model's outputs", [f"{prefix}head.*:0", f"{prefix}head_dist.*:0"])
    return draft


def _timm_attention(draft: Draft, checkpoint: Checkpoint, prefix: str) -> Attention:
    """Return the heads. Where these share gains of queries and keys, their units have one order in all heads."""
    width = checkpoint.shapes[f"{prefix}blocks.0.attn.qkv.weight"][0] // 3
    gains = checkpoint.shapes.get(f"{prefix}blocks.0.attn.q_norm.weight")
    architecture = str(checkpoint.config.get("architecture", "")).partition(".")[0]
    is_plain = _PLAIN.fullmatch(architecture) is not None
    heads = known_heads(_timm_heads(checkpoint, width, gains, is_plain), width)
    block = prefix + "blocks.{i}.attn."
    attention = fused(f"{block}qkv.weight", f"{block}qkv.bias", f"{block}proj.weight:1", width=width, heads=heads)
    if not is_plain:
        attention = attention._replace(fixed_within="places may turn these units: the architecture is not known")
    if gains and heads and is_plain:
        shared = cut([*attention.queries, *attention.keys], (heads, attention.size), 1)
        shared += [f"{block}{kind}_norm.{name}:0?" for kind in "qk" for name in ("weight", "bias")]
        draft.group("qk.{i}", shared, kind="within-heads")
        return attention._replace(fixed_within="all heads share the gains of these units")
    draft.stays("all heads share these gains", [f"{prefix}blocks.*.attn.{kind}_norm.*" for kind in "qk"])
    return attention


def _timm_heads(checkpoint: Checkpoint, width: int, gains: tuple[int, ...] | None, is_plain: bool) -> int | None:
    """Return the number of heads that gains, the configuration or the name of the architecture tell."""
    stated = checkpoint.number("model_args.num_heads", "num_heads")
    if gains and gains[0]:
        return width // gains[0]
    return stated or (_HEADS.get(width) if is_plain else None)


def hf_vit(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of transformers' ViT and DeiT, or None where the names are others."""
    prefix = checkpoint.prefix_of("embeddings.patch_embeddings.projection.weight")
    found = [names for names in (_NEW, _OLD) if prefix is not None and _query(names, prefix) in checkpoint.shapes]
    if prefix is None or not found:
        return None
    layers, projections, inner, up, down = found[0]
    draft = Draft("transformers' ViT")
    names = [inner + name for name in projections]
    filled = dict(zip("qkvo", names, strict=True)) | {"up": up, "down": down}
    stream = _EMBEDDINGS + [f"{layers}.*.{text.format(**filled)}" for text in _BLOCK]
    mlp = [f"{layers}.{{i}}.{text}" for text in (f"{up}.weight:0", f"{up}.bias:0?", f"{down}.weight:1")]
    attention = _attention(checkpoint, prefix, [f"{layers}.{{i}}.{name}" for name in names])
    add_tower(draft, Tower(prefix, stream, _READERS, attention, mlp), checkpoint.shapes)
    draft.stays("the model's outputs", [text.replace("weight:1?", "*:0") for text in _READERS])
    draft.stays("the pooled output is the model's", [f"{prefix}pooler.dense.*:0"])
    return draft


def _query(names: tuple[str, tuple[str, ...], str, str, str], prefix: str) -> str:
    layers, projections, inner, *_ = names
    return f"{prefix}{layers}.0.{inner}{projections[0]}.weight"


def _attention(checkpoint: Checkpoint, prefix: str, names: list[str]) -> Attention:
    full = [prefix + name for name in names]
    width = checkpoint.shapes[f"{full[0].replace('{i}', '0')}.weight"][0]
    return separate(full, width=width, heads=known_heads(checkpoint.number("num_attention_heads"), width))
