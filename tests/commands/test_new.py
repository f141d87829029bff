"""The recipe that `merge new` prints runs as it is, for every method."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import save
from made_statistics import statistics_of

from merge.registry import find_method, method_names

# What runs the models, or must know their architecture, has tests with such models: tests/calibration,
# tests/alignment, tests/scaling, tests/pleas.
RUNNING = ("sequential", "aligns", "learns_together", "widens")
PLAIN = [name for name in method_names() if not any(getattr(find_method(name), one) for one in RUNNING)]


@pytest.mark.parametrize("method", PLAIN)
def test_the_printed_recipe_runs(cli, tmp_path, method):
    torch.manual_seed(0)
    for name in ("base", "tuned-1", "tuned-2", "tuned-3"):
        names = [f"model.layers.{number}.mlp.weight" for number in range(3)] + ["lm_head.weight"]
        state = {name: torch.randn(6, 6) for name in names}
        save(tmp_path / name / "model.safetensors", state)
        for kind, made in statistics_of(method, state, 0).items():
            save(tmp_path / f"{kind}-{name.removeprefix('tuned-')}.st", made)
    text = cli("new", method).out
    (tmp_path / "recipe.yaml").write_text(text)
    result = cli("run", tmp_path / "recipe.yaml")
    assert result.code == 0, result.err
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_a_recipe_names_nothing_that_its_method_refuses(cli):
    text = cli("new", "pleas").out
    assert "joint: from an earlier run" in text
    assert not any(word in text for word in ("base:", "keep:", "merge calibrate"))
