"""Three tiny image classifiers near one another, and benchmarks for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

CLASSES = 3


def make_model(seed: int):
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    settings = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings |= {"image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": CLASSES, "initializer_range": 0.5}
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**settings)).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("members")
    for seed in (1, 2, 3):
        make_model(seed).save_pretrained(folder / f"m{seed}")
    return [str(folder / f"m{seed}") for seed in (1, 2, 3)]


@pytest.fixture(scope="session")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """``select`` and ``report`` on different images, ``mixed`` with some of both."""
    folder: Path = tmp_path_factory.mktemp("benchmarks")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (64, 8, 8), dtype=np.uint8)
    labels = generator.integers(0, CLASSES, 64)
    parts = {"select": slice(0, 32), "report": slice(32, 64), "mixed": slice(16, 48)}
    for name, part in parts.items():
        np.savez(folder / f"{name}.npz", images=images[part], labels=labels[part])
        text = f"name: {name}\nkind: classification\ndata: {{path: {name}.npz, split: {name}}}\n"
        (folder / f"{name}.yaml").write_text(text)
    return {name: str(folder / f"{name}.yaml") for name in parts}
