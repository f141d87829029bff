"""The page on hostile files: every promise names tests that there are, and every test of this folder is named."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from command_line import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
REFERENCE = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
# What they show is that sound files pass, or how this page is kept.
NO_PROMISES = ("test_aliases_that_save_typing", "test_a_torch_that_loads_safely", "test_an_index_that_is_far_too_large")


def names_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_promise_names_tests_that_there_are() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "| tests |" not in line]
    assert len(rows) > 20
    for row in rows:
        found = REFERENCE.findall(row)
        assert found, row
        for file, name in found:
            assert (ROOT / file).is_file(), row
            assert not name or name in names_of(ROOT / file), (file, name)


def test_every_attack_of_this_folder_is_on_the_page() -> None:
    named = {name for _, name in REFERENCE.findall(PAGE)} | set(NO_PROMISES)
    here = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    assert {name for path in here for name in names_of(path)} <= named
