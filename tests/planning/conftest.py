"""Models with the statistics that their merges take."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_files import save
from safetensors.torch import save_file
from statistics_case import FACTS, grams, state


@pytest.fixture
def with_grams(here: Path) -> Path:
    """Two checkpoints, ``a.st`` and ``b.st``, and a file of Gram matrices of each, in the test's own folder."""
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", state(seed))
        save_file(grams(seed), here / f"gram-{name}.st", FACTS.metadata())
    return here
