"""Networks of random weights on which ``bundles.py`` measures, and what they are run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

CLASSES = 10


class Size(NamedTuple):
    """How large networks and inputs are."""

    depth: int  # layers of transformers; of a ResNet's stages, a quarter of it
    pixels: int
    tokens: int


FULL, QUICK = Size(12, 224, 128), Size(2, 64, 16)


class Subject(NamedTuple):
    """A network and its inputs.

    Attributes:
        build: Makes the network.
        inputs: Makes a batch [batch, ...].
        logits: Runs a network on a batch.
    """

    build: Callable[[Size], nn.Module]
    inputs: Callable[[Size, int], Tensor]
    logits: Callable[[nn.Module, Tensor], Tensor]


def vit(size: Size) -> nn.Module:
    """Return a ViT of the size called tiny, from transformers."""
    from transformers import ViTConfig, ViTForImageClassification

    widths = {"hidden_size": 192, "intermediate_size": 768, "num_attention_heads": 3}
    config = ViTConfig(**widths, num_hidden_layers=size.depth, image_size=size.pixels, num_labels=CLASSES)
    return ViTForImageClassification(config)


def timm_vit(size: Size) -> nn.Module:
    """Return the same from timm."""
    import timm

    network: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", num_classes=CLASSES, depth=size.depth, img_size=size.pixels
    )
    return network


def clip_vision(size: Size) -> nn.Module:
    """Return an image tower of CLIP's with large patches, of width 384."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    widths = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6, "projection_dim": 256}
    config = CLIPVisionConfig(**widths, num_hidden_layers=size.depth, image_size=size.pixels, patch_size=32)
    return CLIPVisionModelWithProjection(config)


def open_clip_vision(size: Size) -> nn.Module:
    """Return the same from open_clip, with attention by ``torch.nn.MultiheadAttention``."""
    from open_clip.transformer import VisionTransformer

    network: nn.Module = VisionTransformer(
        image_size=size.pixels, patch_size=32, width=384, layers=size.depth, heads=6, mlp_ratio=4.0, output_dim=256
    )
    return network


def resnet(size: Size) -> nn.Module:
    """Return a ResNet-50 from timm, or one that is less deep."""
    import timm

    name = "resnet50" if size.depth >= 12 else "resnet26"
    network: nn.Module = timm.create_model(name, num_classes=CLASSES)
    return network


def bert(size: Size) -> nn.Module:
    """Return a BERT of width 384."""
    from transformers import BertConfig, BertForSequenceClassification

    widths = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6, "vocab_size": 30522}
    return BertForSequenceClassification(BertConfig(**widths, num_hidden_layers=size.depth, num_labels=CLASSES))


def _images(size: Size, batch: int) -> Tensor:
    return torch.randn(batch, 3, size.pixels, size.pixels)


def _half_images(size: Size, batch: int) -> Tensor:
    return torch.randn(batch, 3, size.pixels // 2, size.pixels // 2)


def _texts(size: Size, batch: int) -> Tensor:
    return torch.randint(1000, 30000, (batch, size.tokens))


def _logits(network: nn.Module, batch: Tensor) -> Tensor:
    output: Any = network(batch)
    found: Tensor = output if isinstance(output, Tensor) else output[0]
    return found


SUBJECTS = {
    "ViT tiny/16 (transformers)": Subject(vit, _images, _logits),
    "ViT tiny/16 (timm)": Subject(timm_vit, _images, _logits),
    "CLIP image tower/32 (transformers)": Subject(clip_vision, _images, _logits),
    "CLIP image tower/32 (open_clip)": Subject(open_clip_vision, _images, _logits),
    "ResNet-50 (timm)": Subject(resnet, _half_images, _logits),
    "BERT, width 384 (transformers)": Subject(bert, _texts, _logits),
}


def pair_of(name: str, size: Size, device: str) -> tuple[nn.Module, nn.Module]:
    """Return two networks that differ in every tensor."""
    networks = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = SUBJECTS[name].build(size).eval()
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                if tensor.is_floating_point():
                    tensor.add_(torch.rand_like(tensor), alpha=0.02)
        networks.append(network.to(device))
    return networks[0], networks[1]
