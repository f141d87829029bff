from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import ray_nodes
from several_shards import make_model
from small_classifiers import make_classifiers


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and three fine-tuned models of three shards each."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("base", "a", "b", "c")):
        make_model(folder / name, seed)
    return folder


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny classifier, three that are tuned from it, and two benchmarks."""
    return make_classifiers(tmp_path_factory.mktemp("classifiers"))


@pytest.fixture
def classifiers_here(classifiers: Path, here: Path) -> Path:
    """The test's own folder, the current one, with links to all of them."""
    for path in classifiers.iterdir():
        (here / path.name).symlink_to(path)
    return here


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of Ray of two nodes; each module has its own, since some of its tests remove a node."""
    with ray_nodes(tmp_path_factory.mktemp("home")) as found:
        yield found
