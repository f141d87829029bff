"""Every command of the page "Merging with data", in its order, on small models and data that stand in for real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from documentation.blocks import Block
from documentation.play import Cli, play
from evaluation.tiny_clip import make_clip
from evaluation.tiny_language_models import make_gpt2, save

from merge.calibration.data import read_each

CLASSES = 3


def make_classifier(seed: int, moved: float) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    model = ViTForImageClassification(
        ViTConfig(image_size=8, patch_size=4, num_channels=1, num_labels=CLASSES, **sizes)
    )
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += moved * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(("base", "a", "b", "c")):
        make_classifier(seed, 0.1 * bool(seed)).save_pretrained(folder / name)
    for seed, name in enumerate(("a", "b", "c", "held-out", "test")):
        draw = np.random.default_rng(seed)
        images, labels = draw.integers(0, 256, (70, 8, 8), dtype=np.uint8), draw.integers(0, CLASSES, 70)
        np.savez(folder / f"{name}.npz", images=images, labels=labels)
        (folder / f"{name}.yaml").write_text(f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n")
    save(make_gpt2(), folder / "gpt-a")
    make_clip(folder / "clip")
    (folder / "translations.jsonl").write_text('{"english": "a cat", "german": "eine Katze"}\n')
    (folder / "texts.txt").write_text("\n".join(f"a photo of {number} small things" for number in range(20)))
    return folder


def data(block: Block, _: Cli) -> None:
    """A file of data: it is understood."""
    Path("data.yaml").write_text(block.text)
    assert read_each("data.yaml")


def test_the_page(folder, monkeypatch, cli, short_demo):
    monkeypatch.chdir(folder)
    play("merging-with-data.md", cli, "regmean.yaml", data, data)
