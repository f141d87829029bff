"""Tiny image classifiers near one another, unlabelled and labelled images, and benchmarks of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tiny_models import CLASSES, make_classifier


def make_classifiers(folder: Path) -> Path:
    """Write ``base``, ``one``, ``two``, ``three``, ``images.npz`` and the benchmarks ``first`` and ``second``."""
    base = make_classifier(0, initializer_range=0.5)
    base.save_pretrained(folder / "base")
    for seed, name in enumerate(("one", "two", "three"), start=1):
        tuned = make_classifier(0, initializer_range=0.5)
        generator = torch.Generator().manual_seed(seed)
        for parameter in tuned.parameters():
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
        tuned.save_pretrained(folder / name)
    generator = np.random.default_rng(0)
    for name, seed in (("first", 1), ("second", 2)):
        images = np.random.default_rng(seed).integers(0, 256, (24, 8, 8), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=generator.integers(0, CLASSES, 24))
        text = f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n"
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder
