"""What `merge new` prints runs as it is once the paths exist, for every method."""

from __future__ import annotations

import pytest
from checkpoint_files import load, random_state, save

from merge.registry import method_names


@pytest.mark.parametrize("method", method_names())
def test_a_new_recipe_runs_as_it_is(cli, here, method):
    for seed, name in enumerate(("base", "tuned-1", "tuned-2", "tuned-3")):
        save(here / name / "model.safetensors", random_state(seed))
    (here / "new.yaml").write_text(cli("new", method).out)
    result = cli("run", "new.yaml")
    assert result.code == 0, result.err
    assert load(here / "merged").keys() == random_state(0).keys()
