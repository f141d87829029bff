"""Tiny models with two towers, their image towers alone, and zero-shot benchmarks over one file of images."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tiny_clip import make_clip, make_open_clip
from tiny_models import example_arrays


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MERGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "heads"


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "clip"
    return folder, make_clip(folder)


@pytest.fixture(scope="session")
def siglip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "siglip"
    return folder, make_clip(folder, sigmoid=True)


@pytest.fixture(scope="session")
def open_clip_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open_clip")
    return folder / "open_clip.safetensors", make_open_clip(folder)


@pytest.fixture
def write(tmp_path):
    def write(more: str, arrays: dict | None = None) -> str:
        np.savez(tmp_path / "data.npz", **(arrays or example_arrays(channels=3)))
        path = tmp_path / "bench.yaml"
        path.write_text(f"name: tiny\nkind: zero-shot\ndata: {{path: data.npz}}\n{more}")
        return str(path)

    return write


@pytest.fixture
def towers(clip, tmp_path):
    """Image towers of the CLIP: with and without their projection, with their prefix and bare."""
    tensors = load_file(clip[0] / "model.safetensors")
    vision = {name: tensor for name, tensor in tensors.items() if name.startswith("vision_model.")}
    contents = {
        "projected": {**vision, "visual_projection.weight": tensors["visual_projection.weight"]},
        "pooled": vision,
        "bare": {name.removeprefix("vision_model."): tensor for name, tensor in vision.items()},
    }
    for name, content in contents.items():
        save_file(content, tmp_path / f"{name}.st")
    return [tmp_path / f"{name}.st" for name in contents]


@pytest.fixture
def architecture(clip, tmp_path):
    """A folder that says what the CLIP is, without weights."""
    folder = tmp_path / "architecture"
    folder.mkdir()
    for file in clip[0].glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    return str(folder)
