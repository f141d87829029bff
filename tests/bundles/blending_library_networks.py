"""Tiny networks of transformers, timm and open_clip, and some of our own, to be run as the interpolation of two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from tests.bundles.blending_networks import SMALL, VOCABULARY, Case, of_class, of_images, of_texts


def clip_vision() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(**SMALL, image_size=16, patch_size=4, projection_dim=6))


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(**SMALL, image_size=16, patch_size=4, num_labels=4))


def dinov2() -> nn.Module:
    from transformers import Dinov2Config, Dinov2ForImageClassification

    settings = SMALL | {"mlp_ratio": 2, "layerscale_value": 0.5, "image_size": 16, "patch_size": 4, "num_labels": 4}
    settings.pop("intermediate_size")
    return Dinov2ForImageClassification(Dinov2Config(**settings))


def resnet() -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2]))


def swin() -> nn.Module:
    from transformers import SwinConfig, SwinForImageClassification

    settings = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2]}
    return SwinForImageClassification(SwinConfig(**settings, window_size=4, num_labels=4))


def convnext() -> nn.Module:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    settings = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "layer_scale_init_value": 0.5}
    return ConvNextForImageClassification(ConvNextConfig(**settings, num_labels=4))


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**SMALL, vocab_size=VOCABULARY, num_labels=3))


def distilbert() -> nn.Module:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    settings = {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2, "vocab_size": VOCABULARY}
    return DistilBertForSequenceClassification(DistilBertConfig(**settings, num_labels=3))


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2ForSequenceClassification

    settings = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": VOCABULARY, "n_positions": 20}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    return GPT2ForSequenceClassification(GPT2Config(**settings, **tokens, num_labels=3))


def t5() -> nn.Module:
    from transformers import T5Config, T5ForSequenceClassification

    settings = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": VOCABULARY}
    return T5ForSequenceClassification(T5Config(**settings, decoder_start_token_id=0, num_labels=3))


_TEXTS = SMALL | {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "num_labels": 3}
_IMAGES = SMALL | {"image_size": 32, "patch_size": 8}
# What is peculiar: layers used twice, relative positions of several kinds, key heads in groups, attention as pooling.
FURTHER: list[tuple[str, dict[str, Any]]] = [
    ("AlbertForSequenceClassification", _TEXTS | {"embedding_size": 8}),
    ("DebertaV2ForSequenceClassification", _TEXTS | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    ("MPNetForSequenceClassification", _TEXTS),
    ("LlamaForSequenceClassification", _TEXTS | {"num_key_value_heads": 1}),
    ("XLNetForSequenceClassification", _TEXTS | {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}),
    ("SiglipForImageClassification", {"vision_config": _IMAGES, "num_labels": 3}),
    ("BeitForImageClassification", _IMAGES | {"use_relative_position_bias": True, "num_labels": 3}),
]


def of_transformers(name: str, settings: dict[str, Any]) -> nn.Module:
    import transformers

    config = getattr(transformers, name.partition("For")[0] + "Config")(**settings)
    return getattr(transformers, name)(config)


def of_timm(name: str, **settings: Any) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=4, **settings)


def open_clip_vit() -> nn.Module:
    from open_clip.transformer import VisionTransformer

    return VisionTransformer(image_size=16, patch_size=4, width=16, layers=2, heads=2, mlp_ratio=2.0, output_dim=6)


def open_clip_resnet() -> nn.Module:
    from open_clip.modified_resnet import ModifiedResNet

    return ModifiedResNet(layers=(1, 1, 1, 1), output_dim=6, heads=4, image_size=32, width=8)


class Encoder(nn.Module):
    """Torch's own transformer, with the batch first or second."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.embedding = nn.Embedding(VOCABULARY, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=batch_first)
        self.head = nn.Linear(16, 3)

    def forward(self, tokens: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        hidden = self.embedding(tokens)
        hidden = hidden if self.batch_first else hidden.transpose(0, 1)
        hidden = self.layers(hidden, src_key_padding_mask=padding)
        return self.head(hidden[:, 0] if self.batch_first else hidden[0])


class Recurrent(nn.Module):
    """A layer whose weights torch keeps in a list of its own, and that vmap does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.layer = nn.LSTM(8, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, tokens: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.embedding(tokens))[0].mean(1))


class Bare(nn.Module):
    """Matrices and a number without a layer around them, and a layer whose weight is read beside being called."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(VOCABULARY, 8))
        self.matrix = nn.Parameter(torch.randn(8, 8))
        self.layer = nn.Linear(8, 8)
        self.last = nn.Parameter(torch.randn(3, 8))
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, tokens: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.embedding(tokens, self.table).mean(1)
        hidden = torch.tanh(hidden @ self.matrix)
        hidden = torch.relu(self.layer(hidden) + nn.functional.linear(hidden, self.layer.weight))
        return self.scale * nn.functional.linear(hidden, weight=self.last)


class Curved(Bare):
    """The same with a matrix that is not used in a product as it is."""

    def forward(self, tokens: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.embedding(tokens, self.table).mean(1)
        return torch.tanh(hidden @ torch.exp(self.matrix)) @ self.last.T * self.scale.exp()


def cases() -> Iterator[tuple[str, Case, str]]:
    """Yield name, case and how it is expected to be run."""
    plain: list[tuple[Callable[[], nn.Module], Callable[..., Case]]] = [
        (clip_vision, of_images),
        (vit, of_images),
        (dinov2, of_images),
        (resnet, partial(of_images, size=32)),
        (swin, partial(of_images, size=32)),
        (convnext, partial(of_images, size=32)),
        (bert, of_texts),
        (distilbert, of_texts),
        (gpt2, of_texts),
        (t5, partial(of_texts, masked=False)),
        (open_clip_vit, of_images),
        (open_clip_resnet, partial(of_images, size=32)),
    ]
    for build, case in plain:
        yield build.__name__, case(build), "modules"
    for name, settings in FURTHER:
        build = partial(of_transformers, name, settings)
        yield name.partition("For")[0], of_images(build, 32) if "Image" in name else of_texts(build), "modules"
    for name, size, settings in TIMM:
        yield f"timm-{name}", of_images(partial(of_timm, name, **settings), size), "modules"
    for batch_first in (True, False):
        yield f"encoder-{batch_first}", of_class(partial(Encoder, batch_first)), "modules"
    yield "bare", of_class(Bare), "modules"
    yield "curved", of_class(Curved), "vmap"
    yield "recurrent", of_class(Recurrent), "one by one"


_SWIN = {"img_size": 56, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 16}
TIMM: list[tuple[str, int, dict[str, Any]]] = [
    ("vit_tiny_patch16_224", 32, {"img_size": 32, "depth": 2}),
    ("resnet18", 32, {}),
    ("convnext_atto", 32, {"depths": (1, 1, 1, 1)}),
    ("convnextv2_atto", 32, {"depths": (1, 1, 1, 1)}),
    ("swin_tiny_patch4_window7_224", 56, _SWIN),
    ("mobilenetv3_small_050", 32, {}),
    ("test_efficientnet", 32, {}),
    ("tf_mobilenetv3_small_minimal_100", 32, {}),
    ("beit_base_patch16_224", 32, {"img_size": 32, "depth": 2, "embed_dim": 32, "num_heads": 2}),
]
