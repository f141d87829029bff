"""Recipes of mergekit's other commands are told what there is instead."""

from __future__ import annotations

import pytest
from command_line import assert_refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "base_model: a\ngate_mode: hidden\nexperts: [{source_model: b}]\n",
            ("recipe.yml:3:1", "mergekit-moe", "merge moe"),
        ),
        ("genome: {models: [a]}\ntasks: []\n", ("recipe.yml:1:1", "mergekit-evolve", "merge search")),
    ],
)
def test_another_tools_recipe_is_named(here, cli, text, words):
    (here / "recipe.yml").write_text(text)
    assert_refused(cli("run", "recipe.yml", "-o", "out"), 2, *words)
