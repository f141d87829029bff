"""Worlds that several tests play in, built once."""

from __future__ import annotations

from pathlib import Path

import pytest
from documentation import worlds


@pytest.fixture(scope="session")
def readme_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the README names."""
    folder = tmp_path_factory.mktemp("readme")
    worlds.readme(folder)
    return folder
