"""A tiny image classifier, two models tuned from it, and data whose labels some of both task vectors explain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

CLASSES = 3
COEFFICIENTS = (0.6, -0.4)  # those of the model that gives the labels
SPLITS = {"learn": slice(0, 60), "select": slice(60, 120), "mixed": slice(90, 150), "report": slice(120, 180)}


def make_models():
    from transformers import ViTConfig, ViTForImageClassification

    settings = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings |= {"image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": CLASSES, "initializer_range": 0.5}
    torch.manual_seed(0)
    models = [ViTForImageClassification(ViTConfig(**settings)).eval() for _ in range(4)]
    base = models[0].state_dict()
    generator = torch.Generator().manual_seed(1)
    spread = {name: 0.5 if tensor.ndim == 2 else 0.02 for name, tensor in base.items()}
    vectors = [{n: spread[n] * torch.randn(t.shape, generator=generator) for n, t in base.items()} for _ in range(2)]
    for number, vector in enumerate(vectors):
        models[number + 1].load_state_dict({n: base[n] + vector[n] for n in base})
    pairs = list(zip(COEFFICIENTS, vectors, strict=True))
    models[3].load_state_dict({n: base[n] + sum(c * vector[n] for c, vector in pairs) for n in base})
    return models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``base``, ``one``, ``two``; benchmarks ``learn``, ``select``, ``report``, ``mixed``, ``bare``."""
    folder = tmp_path_factory.mktemp("tiny")
    *models, teacher = make_models()
    for name, model in zip(("base", "one", "two"), models, strict=True):
        model.save_pretrained(folder / name)
    images = np.random.default_rng(0).standard_normal((180, 1, 8, 8), dtype=np.float32)
    with torch.no_grad():
        labels = teacher(torch.from_numpy(images)).logits.argmax(1).numpy()
    for name, part in SPLITS.items():
        np.savez(folder / f"{name}.npz", images=images[part], labels=labels[part])
        text = f"name: {name}\nkind: classification\ndata: {{path: {name}.npz, split: {name}}}\n"
        (folder / f"{name}.yaml").write_text(text)
    np.savez(folder / "bare.npz", images=images[:60])
    (folder / "bare.yaml").write_text("name: bare\nkind: classification\ndata: {path: bare.npz, split: test}\n")
    return folder


@pytest.fixture
def at(tiny, tmp_path, monkeypatch):
    """Return a folder with links to models and data, as the current one."""
    for path in tiny.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
