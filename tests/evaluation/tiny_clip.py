"""Tiny models of images and texts, made on the spot: CLIP and SigLIP of transformers, and a CLIP of open_clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TOWER = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SPECIAL = {"start": "<|startoftext|>", "end": "<|endoftext|>"}
LETTERS = [chr(code) for code in range(33, 127)]
OPEN_CLIP_NAME = "merge-tiny-clip"


def make_tokenizer(folder: Path, longest: int = 24) -> Any:
    """Save CLIP's tokenizer with letters for words."""
    from transformers import CLIPTokenizer

    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), SPECIAL["start"], SPECIAL["end"]]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=longest)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_processor(folder: Path, mean: float = 0.5) -> Any:
    """Save a processor that only scales and normalises 8 x 8 images."""
    from transformers import CLIPImageProcessor

    processor = CLIPImageProcessor(
        size={"height": 8, "width": 8}, do_center_crop=False, image_mean=[mean] * 3, image_std=[0.25] * 3
    )
    processor.save_pretrained(folder)
    return processor


def make_clip(folder: Path, seed: int = 0, sigmoid: bool = False, longest: int = 24) -> Any:
    """Save a whole CLIP or SigLIP with tokenizer and processor, and return it; texts have so many letters at most."""
    import torch
    import transformers

    tokenizer = make_tokenizer(folder, longest)
    make_processor(folder)
    end = tokenizer.convert_tokens_to_ids(SPECIAL["end"])
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": longest, "eos_token_id": end}
    text |= {"bos_token_id": end - 1, "pad_token_id": end} | ({"projection_size": 8} if sigmoid else {})
    vision = TOWER | {"image_size": 8, "patch_size": 4, "num_channels": 3}
    family = "Siglip" if sigmoid else "CLIP"
    more = {} if sigmoid else {"projection_dim": 6}
    config = getattr(transformers, f"{family}Config")(text_config=text, vision_config=vision, **more)
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family}Model")(config).eval()
    _spread(model)
    model.save_pretrained(folder)
    return model


def make_open_clip(folder: Path, seed: int = 0, bias: float | None = None) -> Any:
    """Register a tiny architecture with open_clip, save weights for it, and return the model."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = {
        "embed_dim": 6,
        "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "head_width": 4, "patch_size": 4},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    } | ({} if bias is None else {"init_logit_bias": bias})
    name = OPEN_CLIP_NAME + ("" if bias is None else "-sigmoid")
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(seed)
    model = open_clip.create_model(name).eval()
    _spread(model)
    save_file(model.state_dict(), folder / "open_clip.safetensors")
    return model


def _spread(model: Any) -> None:
    """Draw larger weights: initial ones make all outputs nearly alike, which would hide mistakes."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
            elif "logit" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
