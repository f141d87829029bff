from __future__ import annotations

from pathlib import Path

import pytest
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
