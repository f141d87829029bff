"""Which tensors have a row per token, compared with what transformers says its models' embeddings are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from merge.checkpoints.memory import MemoryCheckpoint
from merge.errors import MergeError
from merge.vocabulary.tensors import token_rows, token_tensors

ROWS = 24
SMALL = {"hidden_size": 8, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
GPT2 = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": ROWS}  # 3 · 8 biases, as many positions as tokens
T5 = {"d_model": 8, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
BART = {
    "d_model": 8,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": ROWS,
}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", SMALL | {"hidden_size": 24}),  # a width that is the number of tokens
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", SMALL | {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", SMALL | {"num_key_value_heads": 1, "num_local_experts": 2}),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", SMALL | {"head_dim": 4, "num_key_value_heads": 1}),
    "phi": ("PhiForCausalLM", "PhiConfig", SMALL),
    "neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", SMALL),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT2),
    "bert": ("BertForMaskedLM", "BertConfig", SMALL | {"hidden_size": 24, "max_position_embeddings": ROWS}),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", SMALL | {"max_position_embeddings": ROWS}),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5),
    "bart": ("BartForConditionalGeneration", "BartConfig", BART),
}


def llava() -> Any:
    """A vision-language model: its text part has the vocabulary, and its picture tower as many positions."""
    text = transformers.LlamaConfig(**SMALL, vocab_size=ROWS)
    vision = transformers.CLIPVisionConfig(**SMALL, image_size=8, patch_size=2, projection_dim=8)
    config = transformers.LlavaConfig(text_config=text, vision_config=vision, image_token_index=5)
    return transformers.LlavaForConditionalGeneration(config)


def saved(model: Any) -> dict[str, torch.Tensor]:
    """The tensors as they are saved: of tied ones, the first."""
    seen: set[int] = set()
    found = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            found[name] = tensor
    return found


def by_token(model: Any) -> set[str]:
    """The tensors that change when transformers gives the model one token more."""
    before = {name: tuple(tensor.shape) for name, tensor in saved(model).items()}
    model.resize_token_embeddings(ROWS + 1, mean_resizing=False)
    return {name for name, tensor in saved(model).items() if tuple(tensor.shape) != before[name]}


def build(family: str) -> Any:
    architecture, config, settings = MODELS[family]
    settings = settings | {"vocab_size": ROWS, "pad_token_id": 0}
    return getattr(transformers, architecture)(getattr(transformers, config)(**settings))


@pytest.mark.parametrize("family", [*MODELS, "llava"])
def test_they_are_the_tensors_that_transformers_resizes(family: str) -> None:
    model = llava() if family == "llava" else build(family)
    source = MemoryCheckpoint(family, dict(saved(model)))
    assert token_rows(source) == ROWS
    found = token_tensors(source, ROWS)
    assert set(found) == by_token(model)
    assert {name: axis for name, axis in found.items() if axis} == (
        {"final_logits_bias": 1} if family == "bart" else {}
    )


def test_a_size_that_no_other_part_has_tells_tensors_of_unknown_names() -> None:
    state = {"model.embed_tokens.weight": np.zeros((2000, 2), "f4"), "odd.weight": np.zeros((2000, 3), "f4")}
    source = MemoryCheckpoint("m", state)
    source.config = {"vocab_size": 2000, "eos_token_id": 2000}
    assert set(token_tensors(source, 2000)) == set(state)
    source.config = {"vocab_size": 2000, "intermediate_size": 2000}
    assert set(token_tensors(source, 2000)) == {"model.embed_tokens.weight"}


def test_a_model_without_an_embedding_is_refused() -> None:
    with pytest.raises(MergeError, match="no embedding of tokens"):
        token_rows(MemoryCheckpoint("m", {"vision.patch_embed.weight": np.zeros((4, 2), "f4")}))


def test_a_second_table_of_tokens_is_refused() -> None:
    state = {name: np.zeros((4, 2), "f4") for name in ("embed_tokens.weight", "embed_tokens_per_layer.weight")}
    with pytest.raises(MergeError, match="second embedding"):
        token_rows(MemoryCheckpoint("m", state))
