"""GPT-2, whose linear layers are stored as (in, out)."""

from __future__ import annotations

from .attention import fused, known_heads
from .draft import Checkpoint, Draft, listed
from .transformer import Tower, add_tower

_STREAM = listed("""
    wte.weight:1 wpe.weight:1 ln_f.weight:0 ln_f.bias:0
    h.*.ln_1.weight:0 h.*.ln_1.bias:0 h.*.ln_2.weight:0 h.*.ln_2.bias:0
    h.*.attn.c_attn.weight:0 h.*.attn.c_proj.weight:1 h.*.attn.c_proj.bias:0
    h.*.mlp.c_fc.weight:0 h.*.mlp.c_proj.weight:1 h.*.mlp.c_proj.bias:0
""")
_MLP = ["h.{i}.mlp.c_fc.weight:1", "h.{i}.mlp.c_fc.bias:0", "h.{i}.mlp.c_proj.weight:0"]


def gpt2(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of transformers' GPT-2, or None where the names are others."""
    prefix = checkpoint.prefix_of("h.0.attn.c_attn.weight")
    if prefix is None or not checkpoint.has(f"{prefix}wte.weight"):
        return None
    draft = Draft("transformers' GPT-2")
    width = checkpoint.shapes[f"{prefix}h.0.attn.c_attn.weight"][1] // 3
    heads = known_heads(checkpoint.number("n_head", "num_attention_heads"), width)
    block = prefix + "h.{i}.attn."
    names = f"{block}c_attn.weight", f"{block}c_attn.bias", f"{block}c_proj.weight:0"
    attention = fused(*names, width=width, heads=heads, axis=1)
    # Under a prefix the network is part of another, whose head, if it is not here, is the embeddings'.
    read = bool(prefix) or any("LMHead" in str(name) for name in checkpoint.config.get("architectures") or ())
    readers = ["lm_head.weight:1?", "score.weight:1?", "classifier.weight:1?"]
    add_tower(draft, Tower(prefix, _STREAM, readers, attention, _MLP, read), checkpoint.shapes)
    draft.stays("the model's outputs", ["score.*:0", "classifier.*:0"])
    draft.stays("a mask", [f"{prefix}h.*.attn.bias", f"{prefix}h.*.attn.masked_bias"])
    return draft
