"""The recipe that `merge new` prints runs as it is, for every method."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import save

from merge.registry import method_names


@pytest.mark.parametrize("method", method_names())
def test_the_printed_recipe_runs(cli, tmp_path, method):
    torch.manual_seed(0)
    for name in ("base", "tuned-1", "tuned-2", "tuned-3"):
        names = [f"model.layers.{number}.mlp.weight" for number in range(3)] + ["lm_head.weight"]
        save(tmp_path / name / "model.safetensors", {name: torch.randn(6, 6) for name in names})
    text = cli("new", method).out
    (tmp_path / "recipe.yaml").write_text(text)
    result = cli("run", tmp_path / "recipe.yaml")
    assert result.code == 0, result.err
    assert (tmp_path / "merged" / "model.safetensors").is_file()
