"""The scripts import each other as neighbours."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark_modules(monkeypatch):
    """Let a test import the scripts."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
