"""Folders of tiny models, and benchmark files; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import example_arrays, make_classifier, make_clip_config


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two ViT folders, ``one`` and ``two``, with classes of their own."""
    folder = tmp_path_factory.mktemp("classifiers")
    for seed, name in enumerate(("one", "two")):
        make_classifier(seed).save_pretrained(folder / name)
    return [folder / "one", folder / "two"]


@pytest.fixture(scope="session")
def projected_tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP image tower with a projection to 4 features."""
    import torch
    from transformers import CLIPVisionModelWithProjection

    folder = tmp_path_factory.mktemp("towers") / "projected"
    torch.manual_seed(0)
    CLIPVisionModelWithProjection(make_clip_config()).save_pretrained(folder)
    return folder


@pytest.fixture
def write_benchmark(tmp_path: Path) -> Callable[..., str]:
    """Write ``bench.yaml`` and ``data.npz`` into the test's folder; ``more`` is YAML text after the data."""

    def write(more: str = "", *, text: str | None = None, **arrays: Any) -> str:
        arrays = arrays or example_arrays()
        np.savez(tmp_path / "data.npz", **arrays)
        path = tmp_path / "bench.yaml"
        path.write_text(text or f"name: tiny\nkind: classification\ndata: {{path: data.npz}}\n{more}")
        return str(path)

    return write
