"""Tiny Stable Diffusion models with the complete, real names."""

from __future__ import annotations

from pathlib import Path

import pytest
from diffusion_layouts import write_model

MODELSPEC = {
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1",
    "modelspec.hash_sha256": "0x12ab",
    "modelspec.date": "2023-07-16",
    "ss_output_name": "first",
}


@pytest.fixture
def trained(here: Path) -> Path:
    """Three fine-tuned models of Stable Diffusion 1, ``a.safetensors`` …, in the current folder."""
    for seed, name in enumerate("abc"):
        metadata = MODELSPEC | {"modelspec.title": f"Model {name.upper()}"}
        write_model(here / f"{name}.safetensors", "sd1", seed=seed, metadata=metadata)
    return here


@pytest.fixture
def large(here: Path) -> Path:
    """Two fine-tuned models of SDXL, ``x.safetensors`` and ``y.safetensors``, in the current folder."""
    for seed, name in enumerate("xy"):
        write_model(here / f"{name}.safetensors", "sdxl", seed=seed)
    return here
