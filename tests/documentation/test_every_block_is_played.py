"""No example stands in a page that no test runs; a list names the commands that cannot be run, with reasons."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from command_line import ROOT
from documentation.blocks import blocks, pages, path_of
from documentation.not_run import NOT_RUN, SCRIPTS_ALONE


def played() -> Counter[str]:
    """Count the blocks that the tests' calls of `play` are for, by their page."""
    sources = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    trees = [ast.parse(source) for source in sources if "play(" in source]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = Counter({page: len(blocks(page)) for page in SCRIPTS_ALONE if path_of(page).exists()})
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id == "play" and isinstance(call.args[0], ast.Constant):
            numbers = [key.value for key in call.keywords if key.arg == "only"]
            one = bool(numbers) and isinstance(numbers[0], ast.Constant)
            found[call.args[0].value] += 1 if one else len(blocks(call.args[0].value))
    return found


@pytest.fixture(scope="module")
def counted() -> Counter[str]:
    return played()


@pytest.mark.parametrize("page", pages())
def test_every_block_of_a_page_is_played_by_one_test(page: str, counted: Counter[str]) -> None:
    assert counted[page] == len(blocks(page)), [block.where for block in blocks(page)]


def test_what_is_not_run_stands_in_a_page_and_has_a_reason() -> None:
    commands = {command for page in pages() for block in blocks(page) for command in block.commands}
    assert NOT_RUN.keys() <= commands
    assert all(reason for reason in NOT_RUN.values())
