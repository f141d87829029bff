"""The recipes that mergekit's own examples and pages show, told anew, and the models that they merge."""

from __future__ import annotations

from typing import Any

LINEAR = """
merge_method: linear
models:
  - {model: one, parameters: {weight: 1.0}}
  - {model: two, parameters: {weight: 0.3}}
  - {model: three, parameters: {weight: 0.5}}
dtype: float16
"""
GRADIENT_SLERP = """
slices:
  - sources:
      - {model: one, layer_range: [0, 40]}
      - {model: two, layer_range: [0, 40]}
merge_method: slerp
base_model: one
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: float16
"""
TIES = """
models:
  - model: one
    parameters:
      density: [1, 0.7, 0.1]
      weight: 1.0
  - model: two
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1]
  - model: three
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float16
"""
SUMMED_TIES = """
models:
  - {model: base}
  - {model: one, parameters: {density: 0.53, weight: 0.4}}
  - {model: two, parameters: {density: 0.53, weight: 0.3}}
  - {model: three, parameters: {density: 0.53, weight: 0.4}}
merge_method: ties
base_model: base
parameters: {int8_mask: true, normalize: false}
dtype: bfloat16
"""
STACK = """
slices:
  - sources: [{model: one, layer_range: [0, 24]}]
  - sources: [{model: two, layer_range: [20, 40]}]
merge_method: passthrough
dtype: float16
"""
FUSION = """
models:
  - {model: one}
merge_method: arcee_fusion
base_model: base
dtype: bfloat16
"""
STAGES = """
name: first
merge_method: slerp
base_model: one
models: [{model: one}, {model: two}]
parameters: {t: 0.5}
---
name: second
merge_method: linear
models:
  - {model: first, parameters: {weight: 0.6}}
  - {model: three, parameters: {weight: 0.4}}
---
merge_method: task_arithmetic
base_model: base
models:
  - {model: second, parameters: {weight: 0.7}}
  - {model: first, parameters: {weight: 0.3}}
"""
TOKENS = """
merge_method: linear
base_model: base
models:
  - {model: base}
  - {model: chat}
  - {model: tools}
parameters: {weight: 1}
tokenizer:
  source: union
  tokens:
    "<|im_start|>":
      source: chat
    "<|start|>":
      source: tools
      force: true
    "<|end|>":
      source: {kind: model_token, model: base, token: "</s>"}
    "<|spare|>":
      source: {kind: zero}
  pad_to_multiple_of: 16
chat_template: auto
"""
EXAMPLES = {
    "linear": LINEAR,
    "gradient slerp": GRADIENT_SLERP,
    "ties": TIES,
    "summed ties": SUMMED_TIES,
    "stack": STACK,
    "fusion": FUSION,
    "stages": STAGES,
}


def narrow_llama(layers: int, rows: int, seed: int) -> Any:
    """Return a narrow Llama: all seeds share a base, from which those above 0 are moved away."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=rows, num_hidden_layers=layers, **sizes))
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters() if seed else ():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model
