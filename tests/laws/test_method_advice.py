"""Every method says when to use it and when not, and its page has formula, options, source and a recipe."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
from command_line import ROOT

from merge.bundles.rules import rule_names
from merge.method import Method
from merge.options import Options
from merge.recipe_template import recipe_template
from merge.registry import built_in_names, find_declared

NAMES = (*built_in_names(), *rule_names())


def page_of(name: str) -> str:
    return (ROOT / "docs" / "methods" / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_note_ends_in_when_to_use_it_and_when_not(name):
    found = find_declared(name)
    assert [part.split()[0] for part in found.advice] == ["Use", "Not"]
    assert found.note.endswith("\n\n".join(found.advice))
    for part in found.advice:
        assert part.endswith(".")
        assert 1 <= len(part.splitlines()) <= 3


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_whole(name):
    source, _, rest = page_of(name).partition("\n## When to use it\n")
    advice, _, use = rest.partition("\n## On the command line\n")
    flags, _, recipe = use.partition("\n## As a recipe\n")
    assert re.search(r"^ {4}.*=", source, re.MULTILINE), "no formula"
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|\b(19|20)\d\d\b", source), "no source"
    assert "\nUse it " in advice
    assert "\nNot " in advice
    assert f"    merge {name} " in flags
    declared = find_declared(name).options.declarations
    assert [f"| `{option}`" in flags for option in declared] == [True] * len(declared)
    assert declared or "It has no options of its own." in flags
    assert re.search(rf"^merge: {name}$|^ *- {name}: ", recipe, re.MULTILINE)  # LiNeS stands under then:


@pytest.mark.parametrize("name", NAMES)
def test_links_of_the_advice_lead_to_pages(name):
    for link in re.findall(r"\]\(\.\./([\w-]+\.md)\)", page_of(name)):
        assert (ROOT / "docs" / link).is_file(), link


@pytest.mark.parametrize("name", ["ties", "t3"])
def test_commands_show_it(cli, name):
    use, no = find_declared(name).advice
    assert f"{use}\n\n{no}\n" in cli("methods", name).out
    printed = cli("new", name).out
    assert all(f"# {line}\n" in printed for line in (use + "\n" + no).splitlines())


def test_a_method_from_elsewhere_may_say_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "elsewhere", ModuleType("elsewhere"))
    own = {"__doc__": "Something else.", "__module__": "elsewhere", "options": Options, "merge": lambda *_: None}
    found = type("Elsewhere", (Method,), own)()
    assert (found.note, found.advice, found.paper) == ("", (), "")
    assert recipe_template(found).startswith("# Something else.\n# Run it with: merge run elsewhere.yaml\n")
