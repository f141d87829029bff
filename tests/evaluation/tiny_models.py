"""Tiny models and arrays that the tests of this folder make on the spot."""

from __future__ import annotations

from typing import Any

import numpy as np

CLASSES = 3


def make_classifier(seed: int, **changes: Any) -> Any:
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    settings = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings |= {"image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": CLASSES}
    torch.manual_seed(seed)
    return ViTForImageClassification(ViTConfig(**(settings | changes))).eval()


def make_clip_config(**changes: Any) -> Any:
    from transformers import CLIPVisionConfig

    settings = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings |= {"image_size": 8, "patch_size": 4, "num_channels": 3, "projection_dim": 4}
    return CLIPVisionConfig(**(settings | changes))


def example_arrays(n: int = 12, channels: int | None = None) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    shape = (n, 8, 8) if channels is None else (n, 8, 8, channels)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    return {"images": images, "labels": np.arange(n) % CLASSES}
