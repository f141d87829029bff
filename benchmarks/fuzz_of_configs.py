"""Targets: what config.json says of a model, and of 8-bit floats with scales."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from fuzz_forms import JSON
from fuzz_of_checkpoints import read_checkpoint
from fuzz_target import Target, write, write_json

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 10,
    "tie_word_embeddings": False,
    "max_position_embeddings": 32,
    "head_dim": 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "torch_dtype": "float32",
    "dtype": "float32",
    "layer_types": ["full_attention", "full_attention"],
    "text_config": {"num_hidden_layers": 2, "vocab_size": 10},
}
FINE = {"quant_method": "fp8", "weight_block_size": [4, 4], "activation_scheme": "dynamic", "fmt": "e4m3"}
COMPRESSED = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "config_groups": {
        "group_0": {
            "weights": {
                "type": "float",
                "num_bits": 8,
                "symmetric": True,
                "strategy": "block",
                "block_structure": [4, 4],
            },
            "input_activations": {"dynamic": True, "num_bits": 8},
            "targets": ["Linear"],
        }
    },
    "ignore": ["lm_head"],
    "sparsity_config": {"format": "dense"},
}


def llama(seed: int = 0) -> dict[str, Any]:
    """Return the tensors of a tiny Llama."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (10, 8), "lm_head.weight": (10, 8)}
    shapes["model.norm.weight"] = (8,)
    for layer in range(2):
        inner = {"self_attn.q_proj": (8, 8), "self_attn.k_proj": (4, 8), "self_attn.v_proj": (4, 8)}
        inner |= {
            "self_attn.o_proj": (8, 8),
            "mlp.gate_proj": (12, 8),
            "mlp.up_proj": (12, 8),
            "mlp.down_proj": (8, 12),
        }
        norms = {"input_layernorm": (8,), "post_attention_layernorm": (8,)}
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in (inner | norms).items()}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _model(folder: Path) -> None:
    for seed, name in enumerate(("model", "other")):
        write(folder / name / "model.safetensors", llama(seed))
        write_json(folder / name / "config.json", LLAMA)


def _read_model(folder: Path) -> None:
    """Plan what takes something from config.json: an average, a stack of layers, groups of units."""
    from merge.alignment.templates import groups_of
    from merge.checkpoints.resolve import open_checkpoint
    from merge.grammar import parse_recipe
    from merge.plan import make_plan

    opened = open_checkpoint("model")
    try:
        groups_of(opened)
    finally:
        opened.close()
    stack = "merge: stack\nmodels: [{model: model, layer_range: '0:2'}, {model: other, layer_range: '1:'}]\n"
    for recipe in ("merge: soup\nmodels: [model, other]\n", stack):
        plan = make_plan(parse_recipe(recipe + "output: {path: out}\n", "recipe.yaml", folder))
        assert plan.beside is not None
        plan.close()


def _scaled(folder: Path, *, settings: dict[str, Any]) -> None:
    import torch

    weight = torch.ones(8, 8).to(torch.float8_e4m3fn)
    end = "weight_scale_inv" if settings is FINE else "weight_scale"
    tensors = {"a.weight": weight, f"a.{end}": torch.full((2, 2), 0.5), "b.weight": torch.ones(8).to(torch.bfloat16)}
    write(folder / "model" / "model.safetensors", tensors)
    write_json(
        folder / "model" / "config.json", {"model_type": "x", "dtype": "bfloat16", "quantization_config": settings}
    )


_read = partial(read_checkpoint, "model")
_SOUP = ("soup", "model", "other", "--dry-run", "-o", "out")
CONFIGS = (
    Target(
        "model-config",
        "model/config.json",
        JSON,
        _model,
        _read_model,
        ("soup", "model", "other", "--dry-run", "-o", "out"),
    ),
    Target("config-of-scales", "model/config.json", JSON, partial(_scaled, settings=FINE), _read),
    Target("config-of-groups", "model/config.json", JSON, partial(_scaled, settings=COMPRESSED), _read),
)
