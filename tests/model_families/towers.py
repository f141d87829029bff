"""Encoders, encoder-decoders and models of two kinds of data."""

from __future__ import annotations

from typing import Any

import torch
from model_families.family import Family, Inputs, text

_SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
_WORDS = {"vocab_size": 48, "max_position_embeddings": 64, **_SIZES}
_PIXELS = {"image_size": 16, "patch_size": 8, **_SIZES}
_IMAGE = 47  # the token that stands for a piece of an image


def _bert(layers: int) -> Any:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(num_hidden_layers=layers, **_WORDS))


def _roberta(layers: int) -> Any:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    return RobertaForSequenceClassification(RobertaConfig(num_hidden_layers=layers, pad_token_id=1, **_WORDS))


def _t5(layers: int) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 16, "d_ff": 24, "d_kv": 8, "num_heads": 2, "num_layers": layers, "num_decoder_layers": 3}
    return T5ForConditionalGeneration(T5Config(vocab_size=48, decoder_start_token_id=0, **sizes))


def _clip(layers: int) -> Any:
    from transformers import CLIPConfig, CLIPModel

    words = {"num_hidden_layers": 3, "bos_token_id": 7, "eos_token_id": 8, **_WORDS}
    return CLIPModel(
        CLIPConfig(text_config=words, vision_config={"num_hidden_layers": layers, **_PIXELS}, projection_dim=8)
    )


def _vit(layers: int) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(num_hidden_layers=layers, **_PIXELS))


def _whisper(layers: int) -> Any:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    sizes = {"d_model": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_mel_bins": 4}
    wide = {"encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_source_positions": 8, "max_target_positions": 16}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    depths = {"encoder_layers": layers, "decoder_layers": 3}
    return WhisperForConditionalGeneration(WhisperConfig(vocab_size=48, **sizes, **wide, **special, **depths))


def _llava(layers: int) -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    words = LlamaConfig(num_hidden_layers=layers, num_key_value_heads=1, **_WORDS)
    vision = CLIPVisionConfig(num_hidden_layers=3, **_PIXELS)
    return LlavaForConditionalGeneration(
        LlavaConfig(text_config=words, vision_config=vision, image_token_index=_IMAGE, image_seq_length=4)
    )


def _qwen2_vl(layers: int) -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    rotary = {"rope_type": "default", "mrope_section": [1, 1, 2]}
    special = {"bos_token_id": 1, "eos_token_id": 2, "num_key_value_heads": 1}
    words = {**_WORDS, **special, "num_hidden_layers": layers, "rope_parameters": rotary}
    vision = {"depth": 3, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4}
    tokens = {"image_token_id": _IMAGE, "video_token_id": 44, "vision_start_token_id": 45, "vision_end_token_id": 46}
    return Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=words, vision_config=vision, **tokens))


def _pixels() -> Inputs:
    return {"pixel_values": torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)}


def _pair() -> Inputs:
    return {**text(), **_pixels()}


def _mel() -> Inputs:
    return {"input_features": torch.linspace(-1, 1, 4 * 16).reshape(1, 4, 16)}


def _illustrated(pieces: int) -> Inputs:
    numbers = torch.tensor([[3, *[_IMAGE] * pieces, 4, 5]])
    return {"input_ids": numbers, "attention_mask": torch.ones_like(numbers)}


def _patches() -> Inputs:
    """Return an image of 4 x 4 patches, of which 2 x 2 are one piece."""
    pixels = torch.linspace(-1, 1, 16 * 3 * 2 * 4 * 4).reshape(16, -1)
    kinds = {"mm_token_type_ids": (_illustrated(4)["input_ids"] == _IMAGE).long()}
    return {**_illustrated(4), "pixel_values": pixels, "image_grid_thw": torch.tensor([[1, 4, 4]]), **kinds}


TOWERS = {
    "bert": Family(_bert, "AutoModelForMaskedLM", generates=False, tied=True),
    "roberta": Family(_roberta, "AutoModelForSequenceClassification", generates=False),
    "t5": Family(_t5, "AutoModelForSeq2SeqLM", tied=True),
    "clip": Family(_clip, "AutoModel", _pair, generates=False),
    "vit": Family(_vit, "AutoModelForImageClassification", _pixels, generates=False),
    "whisper": Family(_whisper, "AutoModelForSpeechSeq2Seq", _mel, tied=True),
    "llava": Family(_llava, "AutoModelForImageTextToText", lambda: {**_illustrated(4), **_pixels()}),
    "qwen2-vl": Family(_qwen2_vl, "AutoModelForImageTextToText", _patches),
}
