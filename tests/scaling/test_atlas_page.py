"""What docs/atlas.md shows runs as it is written."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest
from command_line import ROOT

from merge.cli import main

PAGE = (ROOT / "docs" / "atlas.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.strip().splitlines()]
RECIPES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
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


def test_the_page_has_commands_and_a_recipe():
    assert len(COMMANDS) >= 9
    assert len(RECIPES) == 1


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=lambda number: COMMANDS[number][:60])
def test_a_command_runs(folder, monkeypatch, capsys, number):
    monkeypatch.chdir(folder)
    words = shlex.split(COMMANDS[number])[1:]
    assert main(words) == 0, (COMMANDS[number], capsys.readouterr().err)


def test_the_recipe_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "atlas.yaml").write_text(RECIPES[0])
    assert main(["run", "atlas.yaml"]) == 0, capsys.readouterr().err
