"""Models to merge into places elsewhere, and a look at what stands there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from checkpoint_files import random_state, save
from fake_hub import files_in


def model_folder(folder: Path, seed: int) -> Path:
    """Write a model: weights, config, tokenizer."""
    generator = torch.Generator().manual_seed(seed)
    state = random_state(seed)
    for layer in range(3):
        state[f"layers.{layer}.big.weight"] = torch.randn((301, 257), generator=generator).bfloat16()
    save(folder / "model.safetensors", dict(sorted(state.items())), {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"architectures": ["Tiny"], "hidden_size": 16}))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    return folder


def stored(filesystem: Any, folder: str) -> dict[str, bytes]:
    """Return the objects below a folder by their names."""
    found = filesystem.call_s3("list_objects_v2", Bucket="place", Prefix=folder).get("Contents", [])
    return {one["Key"].removeprefix(f"{folder}/"): filesystem.cat_file(f"place/{one['Key']}") for one in found}


def assert_like(found: dict[str, bytes], local: Path) -> None:
    """Assert that files are those of a local output, but for the card."""
    assert {**found, "README.md": b""} == {**files_in(local), "README.md": b""}


def uploads(filesystem: Any) -> list[tuple[str, str]]:
    """Return key and id of the uploads that were not ended."""
    found = filesystem.call_s3("list_multipart_uploads", Bucket="place").get("Uploads", [])
    return [(one["Key"], one["UploadId"]) for one in found]


def random_matrix(seed: int) -> torch.Tensor:
    """Return 18 MB of numbers."""
    return torch.randn((3000, 3000), generator=torch.Generator().manual_seed(seed)).bfloat16()
