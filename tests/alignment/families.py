"""Tiny models of the families that have templates, each with its configuration and a way to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

SIZES: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
}
DECODER = SIZES | {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 50}
DECODER |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
VISION = {"image_size": 16, "patch_size": 4}
IMAGES = torch.randn(3, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
WORDS = torch.randint(3, 50, (2, 9), generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Family(NamedTuple):
    """A way to make a model and what its checkpoint should be taken for.

    Attributes:
        make: Returns the module and the configuration beside the checkpoint.
        inputs: What the model is called with.
        groups: How many groups there are.
        stays: Patterns of the names of all floating tensors of which no axis moves.
    """

    make: Callable[[], tuple[nn.Module, Mapping[str, Any]]]
    inputs: tuple[torch.Tensor, ...]
    groups: int
    stays: tuple[str, ...] = ()


def run(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return all that a model gives out as one row of numbers."""
    return torch.cat([part.flatten() for part in _tensors(module(*inputs))])


def _tensors(found: Any) -> Iterator[torch.Tensor]:
    if isinstance(found, torch.Tensor):
        if found.is_floating_point():
            yield found
    elif isinstance(found, Mapping):
        for name, part in found.items():
            if name not in ("past_key_values", "text_model_output", "vision_model_output") and not (
                name == "last_hidden_state" and "image_embeds" in found
            ):
                yield from _tensors(part)
    elif isinstance(found, tuple | list):
        for part in found:
            yield from _tensors(part)


def _hf(model: str, config: str, sizes: Mapping[str, Any]) -> Callable[[], tuple[nn.Module, Mapping[str, Any]]]:
    def make() -> tuple[nn.Module, Mapping[str, Any]]:
        import transformers

        made = getattr(transformers, config)(**sizes)
        return getattr(transformers, model)(made), made.to_dict() | {"architectures": [model]}

    return make


def _timm_vit(**more: Any) -> Callable[[], tuple[nn.Module, Mapping[str, Any]]]:
    def make() -> tuple[nn.Module, Mapping[str, Any]]:
        from timm.models.vision_transformer import VisionTransformer

        sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 5}
        return VisionTransformer(**sizes | more), {
            "architecture": "vit_tiny_patch16_224",
            "model_args": {"num_heads": 3},
        }

    return make


def _resnet(block: str, **more: Any) -> Callable[[], tuple[nn.Module, Mapping[str, Any]]]:
    def make() -> tuple[nn.Module, Mapping[str, Any]]:
        from timm.models import resnet

        sizes = {"layers": (2, 1, 1, 2), "channels": (8, 12, 16, 20), "stem_width": 8, "num_classes": 5}
        return resnet.ResNet(getattr(resnet, block), **sizes | more), {}

    return make


def _open_clip(name: str) -> Callable[[], tuple[nn.Module, Mapping[str, Any]]]:
    def make() -> tuple[nn.Module, Mapping[str, Any]]:
        from open_clip import model

        sizes: dict[str, Any] = {
            "embed_dim": 16,
            "vision_cfg": {"image_size": 16, "patch_size": 4, "layers": 2, "width": 48, "head_width": 16},
            "text_cfg": {"context_length": 9, "vocab_size": 50, "width": 48, "heads": 3, "layers": 2},
        }
        return getattr(model, name)(**sizes), {"model_cfg": sizes}

    return make


def _plain(*layers: nn.Module, **named: nn.Module) -> Callable[[], tuple[nn.Module, Mapping[str, Any]]]:
    if not named:
        return lambda: (nn.Sequential(*layers), {})
    return lambda: (Chain(named), {})


class Chain(nn.Module):
    """Modules under these names, one after the other; the image is flattened before the first linear layer."""

    def __init__(self, named: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, module in named.items():
            self.add_module(name, module)
        self._order = list(named)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self._order:
            module = self.get_submodule(name)
            first = module[0] if isinstance(module, nn.Sequential) else module
            x = module(x.flatten(1) if isinstance(first, nn.Linear) else x)
            if isinstance(module, nn.Linear | nn.Conv2d) and name != self._order[-1]:
                x = torch.tanh(x)
        return x


_CLIP = {
    "text_config": SIZES | {"vocab_size": 50, "eos_token_id": 49, "max_position_embeddings": 12},
    "vision_config": SIZES | VISION,
    "projection_dim": 16,
}
_BERT = SIZES | {"vocab_size": 50, "max_position_embeddings": 20}
_GPT2 = {"n_embd": 48, "n_layer": 2, "n_head": 3, "n_positions": 12, "vocab_size": 50, "pad_token_id": 0}
_GPT2 |= {"bos_token_id": 1, "eos_token_id": 2}
_GAINS = "*.self_attn.[qk]_norm.weight"

FAMILIES: dict[str, Family] = {
    "timm-vit": Family(_timm_vit(), (IMAGES,), 1 + 2 * 4, ("head.bias",)),
    "timm-vit-more": Family(
        _timm_vit(init_values=0.1, reg_tokens=2, pre_norm=True, qkv_bias=False, global_pool="avg"),
        (IMAGES,),
        1 + 2 * 4,
        ("head.bias",),
    ),
    "timm-vit-qk-norm": Family(_timm_vit(qk_norm=True), (IMAGES,), 1 + 2 * 4, ("head.bias",)),
    "hf-vit": Family(
        _hf("ViTForImageClassification", "ViTConfig", SIZES | VISION | {"num_labels": 5}),
        (IMAGES,),
        1 + 2 * 4,
        ("classifier.bias",),
    ),
    "bert-classifier": Family(
        _hf("BertForSequenceClassification", "BertConfig", _BERT), (WORDS,), 2 + 2 * 4, ("classifier.bias",)
    ),
    "bert-tokens": Family(
        _hf("BertForTokenClassification", "BertConfig", _BERT), (WORDS,), 1 + 2 * 4, ("classifier.bias",)
    ),
    "bert-words": Family(_hf("BertForMaskedLM", "BertConfig", _BERT), (WORDS,), 1 + 2 * 4, ("cls.predictions.bias",)),
    "bert-words-untied": Family(
        _hf("BertForMaskedLM", "BertConfig", _BERT | {"tie_word_embeddings": False}),
        (WORDS,),
        2 + 2 * 4,
        ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ),
    "bert-pretraining": Family(
        _hf("BertForPreTraining", "BertConfig", _BERT),
        (WORDS,),
        2 + 2 * 4,
        ("cls.predictions.bias", "cls.seq_relationship.bias"),
    ),
    "roberta-classifier": Family(
        _hf("RobertaForSequenceClassification", "RobertaConfig", _BERT), (WORDS,), 2 + 2 * 4, ("*.out_proj.bias",)
    ),
    "roberta-words": Family(_hf("RobertaForMaskedLM", "RobertaConfig", _BERT), (WORDS,), 1 + 2 * 4, ("lm_head.bias",)),
    "gpt2": Family(_hf("GPT2LMHeadModel", "GPT2Config", _GPT2), (WORDS,), 1 + 2 * 4),
    "gpt2-classifier": Family(_hf("GPT2ForSequenceClassification", "GPT2Config", _GPT2), (WORDS,), 1 + 2 * 4),
    "llama": Family(_hf("LlamaForCausalLM", "LlamaConfig", DECODER), (WORDS,), 1 + 2 * 4),
    "llama-tied": Family(
        _hf("LlamaForCausalLM", "LlamaConfig", DECODER | {"tie_word_embeddings": True}), (WORDS,), 1 + 2 * 4
    ),
    "llama-all-heads": Family(
        _hf("LlamaForCausalLM", "LlamaConfig", DECODER | {"num_key_value_heads": 6}), (WORDS,), 1 + 2 * 3
    ),
    "mistral": Family(_hf("MistralForCausalLM", "MistralConfig", DECODER), (WORDS,), 1 + 2 * 4),
    "qwen2": Family(_hf("Qwen2ForCausalLM", "Qwen2Config", DECODER), (WORDS,), 1 + 2 * 4),
    "qwen3": Family(_hf("Qwen3ForCausalLM", "Qwen3Config", DECODER), (WORDS,), 1 + 2 * 4, (_GAINS,)),
    "hf-clip": Family(_hf("CLIPModel", "CLIPConfig", _CLIP), (WORDS, IMAGES), 2 * (1 + 2 * 4), ("logit_scale",)),
    "hf-clip-image": Family(
        _hf("CLIPVisionModelWithProjection", "CLIPVisionConfig", _CLIP["vision_config"]), (IMAGES,), 1 + 2 * 4
    ),
    "open-clip": Family(_open_clip("CLIP"), (IMAGES, WORDS), 2 * (1 + 2 * 4), ("logit_scale",)),
    "open-clip-custom-text": Family(_open_clip("CustomTextCLIP"), (IMAGES, WORDS), 18, ("logit_scale",)),
    "resnet-basic": Family(_resnet("BasicBlock", channels=(64, 12, 16, 20)), (IMAGES,), 4 + 6, ("fc.bias",)),
    "resnet-bottleneck": Family(_resnet("Bottleneck"), (IMAGES,), 5 + 12, ("fc.bias",)),
    "resnet-grouped": Family(_resnet("Bottleneck", cardinality=4, base_width=16), (IMAGES,), 5 + 18, ("fc.bias",)),
    "resnet-deep-stem": Family(
        _resnet("Bottleneck", stem_type="deep", avg_down=True), (IMAGES,), 5 + 12 + 2, ("fc.bias",)
    ),
    "mlp": Family(
        _plain(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5)),
        (ROWS,),
        2,
        ("4.bias",),
    ),
    "mlp-norms": Family(
        _plain(
            nn.BatchNorm1d(12),
            nn.Linear(12, 20),
            nn.BatchNorm1d(20),
            nn.Linear(20, 20, bias=False),
            nn.LayerNorm(20),
            nn.Linear(20, 5),
        ),
        (ROWS,),
        2,
        ("0.*", "5.bias"),
    ),
    "mlp-named": Family(
        _plain(fc1=nn.Linear(12, 20), fc2=nn.Linear(20, 20), fc10=nn.Linear(20, 16), head=nn.Linear(16, 5)),
        (ROWS,),
        3,
        ("head.bias",),
    ),
    "vgg": Family(
        _plain(
            features=nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=4)),
            classifier=nn.Sequential(nn.Linear(72, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 5)),
        ),
        (IMAGES,),
        3,
        ("classifier.3.bias",),
    ),
    "lenet": Family(
        _plain(
            conv1=nn.Conv2d(3, 6, 3),
            bn1=nn.BatchNorm2d(6),
            conv2=nn.Conv2d(6, 8, 3, stride=4),
            fc1=nn.Linear(72, 20),
            fc2=nn.Linear(20, 5),
        ),
        (IMAGES,),
        3,
        ("fc2.bias",),
    ),
    "group-norm": Family(
        _plain(nn.Conv2d(3, 6, 3), nn.GroupNorm(3, 6), nn.Conv2d(6, 8, 3, stride=4), nn.Flatten(), nn.Linear(72, 5)),
        (IMAGES,),
        1,
        ("0.*", "1.*", "4.bias"),
    ),
}
