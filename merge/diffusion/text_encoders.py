"""How the tensors of text encoders are called: CLIP as transformers saves it, and OpenCLIP. Data only; see `table`."""

from __future__ import annotations

from .section import Section

_LAYERS = 64  # at most

CLIP = Section(
    places={},  # transformers' own in both layouts; some versions save them without their first word
    older={part: f"text_model.{part}" for part in ("embeddings", "encoder", "final_layer_norm")},
)
OPEN_CLIP = Section(
    places={
        "token_embedding": "text_model.embeddings.token_embedding",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final": "text_model.final_layer_norm",
        "text_projection": "text_projection.weight",
        **{f"transformer.resblocks.{layer}": f"text_model.encoder.layers.{layer}" for layer in range(_LAYERS)},
    },
    leaves={
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
        "attn.out_proj": "self_attn.out_proj",
    },
    fused={
        f"attn.in_proj_{kind}": tuple(f"self_attn.{letter}_proj.{kind}" for letter in "qkv")
        for kind in ("weight", "bias")
    },
    transposed=frozenset({"text_projection"}),
)
