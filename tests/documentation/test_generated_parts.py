"""What the docs print of declarations is what the declarations say."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from command_line import ROOT, environment
from documentation.blocks import blocks
from documentation.play import parse

from merge.bundles.rules import rule_names
from merge.cli import command_names
from merge.registry import built_in_names

PAGES = ("README.md", "docs/methods.md", "docs/commands.md")


@pytest.mark.skipif(find_spec("cogapp") is None, reason="needs cogapp")
@pytest.mark.parametrize("page", PAGES)
def test_generated_blocks_are_fresh(page: str) -> None:
    command = [sys.executable, "-m", "cogapp", "--check", "-I", ".", page]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, f"run: cog -r -I . {' '.join(PAGES)}\n{done.stdout}{done.stderr}"


def test_pages_with_generated_blocks_are_those() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    assert {str(page.relative_to(ROOT)) for page in pages if "[[[cog" in page.read_text("utf-8")} == set(PAGES)


def test_there_is_a_page_for_each_method_and_no_other() -> None:
    """tests/laws/test_method_contract.py and tests/bundles/test_bundle_folder.py compare what stands in them."""
    pages = {path.stem for path in (ROOT / "docs" / "methods").iterdir()}
    assert pages == {*built_in_names(), *rule_names()}


def test_every_command_is_listed() -> None:
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert [name for name in command_names() if f"`merge {name}`" not in text] == []


@pytest.mark.parametrize("name", [*built_in_names(), *rule_names()])
def test_the_page_of_a_method_shows_commands_that_parse_and_its_recipe(name: str) -> None:
    """The recipes themselves are run by tests/planning/test_recipes.py and the tests of the methods that learn."""
    found = blocks(f"methods/{name}.md")
    commands = [(command, block) for block in found for command in block.commands]
    assert any(command.startswith(f"merge {name} ") for command, _ in commands)
    for command, block in commands:
        parse(re.sub(r"\[(.*?)\]", r"\1", command).replace("…", ""), block)
    recipe = (ROOT / "recipes" / f"{name}.yaml").read_text("utf-8").strip()
    assert recipe in [block.text.strip() for block in found if block.language == "yaml"]
