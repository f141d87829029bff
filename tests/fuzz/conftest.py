"""The fuzzer's own modules, and folders in which the file of every target is sound."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from fuzz_run import warm_up
from fuzz_target import Target, within


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], Any]:
    """Make the folder of a target the current one; it is made once, and its file is sound again afterwards."""
    made: dict[str, tuple[Path, list[bytes]]] = {}

    def make(target: Target) -> tuple[Path, list[bytes]]:
        folder = tmp_path_factory.mktemp("fuzz") / "work"
        folder.mkdir()
        with within(folder):
            target.make(folder)
            seeds = target.seeds(folder)
            assert warm_up(target, folder, seeds) == []
        return folder, seeds

    @contextmanager
    def enter(target: Target) -> Iterator[tuple[Path, list[bytes]]]:
        if target.name not in made:
            made[target.name] = make(target)
        folder, seeds = made[target.name]
        with within(folder):
            yield folder, seeds
            (folder / target.file).write_bytes(seeds[0])

    return enter
