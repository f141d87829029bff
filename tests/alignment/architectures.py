"""Small networks of many architectures, each with what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
VOCABULARY = 50
VISION = SIZES | {"image_size": 8, "patch_size": 4}
TEXT = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 16}


def timm_model(name: str, size: int = 32, **options: Any) -> Any:
    import timm
    import torch

    torch.manual_seed(0)
    return timm.create_model(name, num_classes=5, **options).eval(), (torch.randn(2, 3, size, size),)


def of_transformers(architecture: str, configuration: str, **options: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, architecture)(getattr(transformers, configuration)(**options)).eval()
    model.config.use_cache = False
    return model


def text_model(architecture: str, configuration: str, **options: Any) -> Any:
    import torch

    model = of_transformers(architecture, configuration, **options)
    tokens = torch.randint(3, VOCABULARY, (2, 5), generator=torch.Generator().manual_seed(0))
    return model, {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def image_model(architecture: str, configuration: str, **options: Any) -> Any:
    import torch

    return of_transformers(architecture, configuration, **options), {"pixel_values": torch.randn(2, 3, 8, 8)}


def whole_clip() -> Any:
    import torch

    model, inputs = text_model("CLIPModel", "CLIPConfig", text_config=TEXT, vision_config=VISION, projection_dim=6)
    return model, {**inputs, "pixel_values": torch.randn(2, 3, 8, 8)}


def open_clip_model(whole: bool = False, **vision: Any) -> Any:
    import open_clip
    import torch

    torch.manual_seed(0)
    text = open_clip.CLIPTextCfg(context_length=12, vocab_size=64, width=8, heads=2, layers=1)
    model = open_clip.CLIP(embed_dim=6, vision_cfg=open_clip.CLIPVisionCfg(**vision), text_cfg=text).eval()
    pixels = torch.randn(2, 3, vision["image_size"], vision["image_size"])
    return (model, (pixels, torch.randint(1, 60, (2, 12)))) if whole else (model.visual, (pixels,))


def perceptron(width: int = 12) -> Any:
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 3)).eval(), (torch.randn(4, 8),)


def llama(**options: Any) -> Any:
    return text_model("LlamaForCausalLM", "LlamaConfig", **TEXT, num_key_value_heads=2, **options)


GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 16, "vocab_size": VOCABULARY}
GPT2 |= {"bos_token_id": 0, "eos_token_id": 0}
PATCHES = {"image_size": 8, "layers": 1, "width": 8, "head_width": 4, "patch_size": 4}
CONVOLUTIONS = {"image_size": 32, "layers": (1, 1, 1, 1), "width": 8, "head_width": 8}

# By name: what makes the network, how many groups it has, and which tensors are in none: outputs' biases, mostly.
MAKERS: dict[str, tuple[Callable[[], Any], int, set[str]]] = {
    "perceptron": (perceptron, 2, {"4.bias"}),
    "resnet18": (lambda: timm_model("resnet18"), 12, {"fc.bias"}),
    "resnext50": (lambda: timm_model("resnext50_32x4d"), 53, {"fc.bias"}),
    "mobilenetv2": (lambda: timm_model("mobilenetv2_050"), 25, {"classifier.bias"}),
    "convnext": (lambda: timm_model("convnext_atto"), 16, {"head.fc.bias"}),
    "densenet": (
        lambda: timm_model("densenet121", block_config=(2, 2, 2, 2), growth_rate=8, bn_size=2),
        20,
        {"classifier.bias"},
    ),
    "vit": (lambda: timm_model("vit_tiny_patch16_224", img_size=32, depth=2), 9, {"head.bias"}),
    "bert": (lambda: text_model("BertForSequenceClassification", "BertConfig", **TEXT), 10, {"classifier.bias"}),
    "bert tied": (
        lambda: text_model("BertForMaskedLM", "BertConfig", **TEXT),
        9,
        {"cls.predictions.bias", "cls.predictions.decoder.bias"},
    ),
    "hf vit": (lambda: image_model("ViTForImageClassification", "ViTConfig", **VISION), 9, {"classifier.bias"}),
    "hf clip vision": (
        lambda: image_model("CLIPVisionModelWithProjection", "CLIPVisionConfig", **VISION, projection_dim=6),
        9,
        set(),
    ),
    "hf clip": (whole_clip, 18, {"logit_scale"}),
    "gpt2": (lambda: text_model("GPT2LMHeadModel", "GPT2Config", **GPT2), 9, set()),
    "llama": (llama, 9, set()),
    "llama tied": (lambda: llama(tie_word_embeddings=True), 9, set()),
    "llama eager": (lambda: llama(attn_implementation="eager"), 9, set()),
    "qwen3": (
        lambda: text_model("Qwen3ForCausalLM", "Qwen3Config", **TEXT, num_key_value_heads=2, head_dim=4),
        9,
        {f"model.layers.{layer}.self_attn.{part}_norm.weight" for layer in range(2) for part in "qk"},
    ),
    "open_clip vit": (lambda: open_clip_model(**PATCHES), 5, set()),
    "open_clip resnet": (lambda: open_clip_model(**CONVOLUTIONS), 18, {"attnpool.c_proj.bias"}),
    "open_clip": (lambda: open_clip_model(whole=True, **PATCHES), 10, {"logit_scale"}),
}


def places(module: Any) -> dict[str, Any]:
    """Parameters and buffers by name, as they would be in a checkpoint; tied ones under each name."""
    return {name: one for name, one in module.state_dict(keep_vars=True).items() if one.is_floating_point()}
