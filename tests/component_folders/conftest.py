from __future__ import annotations

from pathlib import Path

import pytest
from component_models import write_pipeline


@pytest.fixture
def pipelines(here: Path) -> tuple[Path, Path]:
    """Two pipelines, the first with a safety checker, in the test's own folder, which is the current one."""
    write_pipeline(here / "a", 0, without=())
    write_pipeline(here / "b", 1)
    return Path("a"), Path("b")
