"""A small share of the campaign of ``benchmarks/faults.py``; its scripts import each other as neighbours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # at the end: no name of a test's helper is hidden


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Tiny models, and a process that runs the tool on them with a fault at any of its calls to the system."""
    from faults_forks import Forks, why_not
    from faults_workshop import Workshop

    if problem := why_not():
        pytest.skip(problem)
    folder = tmp_path_factory.mktemp("faults").resolve()
    with Forks(folder / "server") as forks:
        yield Workshop(folder / "shop", forks)
