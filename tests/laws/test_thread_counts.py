"""Every number of threads gives the same bytes, with equal magnitudes everywhere, in both scopes."""

from __future__ import annotations

import numpy as np
import pytest
from in_memory import recipe_of, run_recipe

from merge.engine import RunSettings
from merge.errors import UsageError


def state(seed):
    import torch

    random = np.random.default_rng(seed)
    return {name: torch.from_numpy(random.integers(-1, 2, 300_000).astype("f4")) for name in ("a", "b")}


@pytest.mark.parametrize("scope", ["tensor", "checkpoint"])
def test_ties_with_many_equal_magnitudes(scope):
    recipe = recipe_of("ties", [state(1), state(2)], state(3), density=0.3, trim_scope=scope)
    found = {run_recipe(recipe, RunSettings(threads=threads))[2].output_id for threads in range(1, 9)}
    assert len(found) == 1


@pytest.mark.parametrize("elements", [0, -65536, 1, 65537, 174762])
def test_a_chunk_that_is_no_whole_number_of_blocks_is_refused(elements):
    with pytest.raises(UsageError, match="multiple"):
        RunSettings(chunk_elements=elements)
