"""Llama, Mistral, Qwen and others with their names: grouped queries, rotated places, gated feed-forward layers."""

from __future__ import annotations

from .attention import Attention, separate
from .draft import Checkpoint, Draft, listed
from .transformer import Tower, add_tower

_STREAM = listed("""
    embed_tokens.weight:1 norm.weight:0 layers.*.input_layernorm.weight:0
    layers.*.post_attention_layernorm.weight:0 layers.*.pre_feedforward_layernorm.weight:0?
    layers.*.post_feedforward_layernorm.weight:0?
    layers.*.self_attn.q_proj.weight:1 layers.*.self_attn.k_proj.weight:1 layers.*.self_attn.v_proj.weight:1
    layers.*.self_attn.o_proj.weight:0 layers.*.self_attn.o_proj.bias:0?
    layers.*.mlp.gate_proj.weight:1 layers.*.mlp.up_proj.weight:1
    layers.*.mlp.down_proj.weight:0 layers.*.mlp.down_proj.bias:0?
""")
_MLP = listed("""
    layers.{i}.mlp.gate_proj.weight:0 layers.{i}.mlp.gate_proj.bias:0? layers.{i}.mlp.up_proj.weight:0
    layers.{i}.mlp.up_proj.bias:0? layers.{i}.mlp.down_proj.weight:1
""")


def llama(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of transformers' Llama and its like, or None where the names are others."""
    prefix = checkpoint.prefix_of("layers.0.self_attn.q_proj.weight")
    if prefix is None or not checkpoint.has(f"{prefix}layers.0.mlp.gate_proj.weight"):
        return None
    draft = Draft("transformers' Llama")
    attention = _attention(checkpoint, prefix)
    if checkpoint.has(f"{prefix}layers.0.self_attn.q_norm.weight"):
        gains = [f"{prefix}layers.*.self_attn.{kind}_norm.weight" for kind in "qk"]
        draft.stays("all heads share these gains", gains)
    # Under a prefix the network is part of another, whose head, if it is not here, is the embeddings'.
    readers = ["lm_head.weight:1?", "score.weight:1?"]
    add_tower(draft, Tower(prefix, _STREAM, readers, attention, _MLP, bool(prefix)), checkpoint.shapes)
    draft.stays("the model's outputs", ["score.*:0"])
    draft.stays("how places turn", [f"{prefix}*rotary_emb.inv_freq"])
    return draft


def _attention(checkpoint: Checkpoint, prefix: str) -> Attention:
    """Return the heads; how many units one has is in the configuration, or told by the gains of queries."""
    block = f"{prefix}layers.{{i}}.self_attn."
    first = block.replace("{i}", "0")
    queries, keys = (checkpoint.shapes[f"{first}{kind}_proj.weight"][0] for kind in "qk")
    found = separate([f"{block}{kind}_proj" for kind in "qkvo"], width=queries, heads=None)._replace(
        fixed_within="places turn pairs of these units"
    )
    number = checkpoint.number("num_attention_heads", "text_config.num_attention_heads")
    gains = checkpoint.shapes.get(f"{first}q_norm.weight")
    size = gains[0] if gains else queries // number if number and queries % number == 0 else 0
    # Gains may be of all heads at once, as in OLMo 2; then they do not tell how many heads there are.
    is_told = size * number == queries if number else size < queries
    if size < 1 or keys % size or queries % keys or not is_told:
        return found
    return found._replace(size=size, heads=keys // size, shared_by=queries // keys)
