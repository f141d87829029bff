"""Names of outputs that would surprise: a folder under the name of another program's file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import save
from command_line import Result

Cli = Callable[..., Result]


@pytest.mark.parametrize(
    ("name", "warns"), [("mix.ckpt", True), ("mix.pt", True), ("mix.st", False), ("mix", False), ("mix-1.5", False)]
)
def test_a_folder_named_like_a_file_is_pointed_out(cli: Cli, tmp_path: Path, name: str, warns: bool) -> None:
    model = save(tmp_path / "a.st", {"w": torch.ones(2, 2)})
    result = cli("passthrough", model, "-o", tmp_path / name)
    assert result.code == 0, result.err
    assert (f"{name} will be a folder" in result.err + result.out) is warns
    assert (tmp_path / name).is_dir() is not name.endswith(".st")
