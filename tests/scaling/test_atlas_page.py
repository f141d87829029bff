"""What docs/atlas.md shows runs as it is written."""

from __future__ import annotations

import shutil

import pytest
from documentation.play import play, printed, recipe

NAMES = {"learn": "one", "select": "two", "mixed": "both", "report": "test"}


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """Return a folder with the page's models and data, in which its commands run one after another."""
    folder = tmp_path_factory.mktemp("page")
    for path in tiny.iterdir():
        name = NAMES.get(path.stem, path.stem) + path.suffix
        shutil.copytree(path, folder / name) if path.is_dir() else shutil.copy(path, folder / name)
    for old, new in NAMES.items():
        file = folder / f"{new}.yaml"
        file.write_text(file.read_text().replace(f"name: {old}", f"name: {new}").replace(f"{old}.npz", f"{new}.npz"))
    return folder


def test_the_page(folder, monkeypatch, cli):
    monkeypatch.chdir(folder)
    play("atlas.md", cli, recipe, printed)
