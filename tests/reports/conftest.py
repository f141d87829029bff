"""One real evaluation of two tiny models on two benchmarks, reported; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from page_tables import Page

CLASSES = 4


def _save_classifier(folder: Path, seed: int) -> str:
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=8,
        patch_size=4,
        num_channels=1,
        num_labels=CLASSES,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ViTForImageClassification(config).save_pretrained(folder)
    return str(folder)


def _save_benchmark(folder: Path, name: str, seed: int, n: int) -> str:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    np.savez(folder / f"{name}.npz", images=images, labels=generator.integers(0, CLASSES, n))
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n")
    return str(path)


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory):
    """Folders of two tiny models, ``one`` and ``two``."""
    folder = tmp_path_factory.mktemp("models")
    return [_save_classifier(folder / name, seed) for seed, name in enumerate(("one", "two"))]


@pytest.fixture(scope="session")
def evaluated(tiny_folders, tmp_path_factory):
    """A report of both models and their ensemble on ``red`` and ``blue``, with the second model as red's expert."""
    from merge.evaluation import evaluate

    folder = tmp_path_factory.mktemp("evaluated")
    benchmarks = [_save_benchmark(folder, name, seed, n) for seed, (name, n) in enumerate((("red", 60), ("blue", 37)))]
    report = folder / "report"
    evaluate(tiny_folders, benchmarks, report=report, ensemble="logits", experts={"red": tiny_folders[1]}, seed=5)
    texts = {name: (report / f"report.{name}").read_text(encoding="utf-8") for name in ("html", "md")}
    document = json.loads((report / "results.json").read_text(encoding="utf-8"))
    return SimpleNamespace(document=document, page=Page(texts["html"]), html=texts["html"], markdown=texts["md"])
