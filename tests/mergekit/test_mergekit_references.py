"""What stands in the place of a model, and what becomes of tokenizers and templates, in mergekit's recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from checkpoint_files import random_state, save

from merge.errors import UsageError
from merge.grammar import parse_recipe
from merge.mergekit.references import read_reference
from merge.recipe import Recipe
from merge.recipe_text import recipe_as_yaml
from merge.schema import recipe_schema
from merge.section import parse_section
from merge.vocabulary.request import TokenRule

LINEAR = "merge_method: linear\nbase_model: a.st\nmodels: [{model: a.st}, {model: b.st}]\nparameters: {weight: 1}\n"


@pytest.fixture(autouse=True)
def models(here: Path) -> Path:
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", random_state(seed))
    return here


def read(text: str) -> Recipe:
    """Read a recipe, and what it is in our own grammar, which must be the same."""
    recipe = parse_recipe(text, "old.yml")
    printed = recipe_as_yaml(recipe)
    assert recipe_as_yaml(parse_recipe(printed, "ours.yaml", Path("elsewhere"))) == printed
    return recipe


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("a.st", "a.st"),
        ("org/name@main", "org/name@main"),
        ("base@v1+adapter@v2", "base@v1+adapter@v2"),
        ("{model: base}", "base"),
        ("{model: {path: base}}", "base"),
        ("{model: {path: base, revision: v1}}", "base@v1"),
        ("{model: {path: base, revision: null}, lora: null, override_architecture: null}", "base"),
        ("{model: {path: base, revision: v1}, lora: {path: adapter, revision: v2}}", "base@v1+adapter@v2"),
        ("{model: base, lora: adapter}", "base+adapter"),
    ],
)
def test_locations(text, location):
    assert read_reference(parse_section(f"m: {text}", "x").mapping["m"], "x:1:1", "x") == location


def test_another_architecture_changes_nothing(cli):
    recipe = read(LINEAR.replace("model: b.st", "model: {model: b.st, override_architecture: LlamaForCausalLM}"))
    assert any("'override_architecture' changes nothing" in note for note in recipe.notes)
    assert not any("override_architecture" in note for note in read(LINEAR).notes)


@pytest.mark.parametrize("source", ["union", "base", "b.st"])
@pytest.mark.parametrize("key", ["tokenizer_source: {}", "tokenizer: {{source: {}}}"])
def test_sources_of_the_tokenizer(source, key):
    assert read(f"{LINEAR}{key.format(source)}\n").output.tokenizer.source.endswith(source)


def test_a_mapping_for_the_tokenizers_model():
    recipe = read(f"{LINEAR}tokenizer_source: {{model: {{path: b.st}}}}\n")
    assert recipe.output.tokenizer.source == "b.st"


TOKENS = """\
tokenizer:
  source: union
  pad_to_multiple_of: 16
  tokens:
    <one>: {source: b.st, force: true}
    <two>: {source: {kind: zero}}
    <three>: {source: {kind: model_token, model: {model: {path: b.st}}, token_id: 3}}
    <four>: {source: {kind: model_token, model: a.st, token: <s>}}
    <five>: {source: {model: {path: a.st}}}
chat_template: chatml
"""


def test_the_schema_knows_what_is_printed():
    jsonschema = pytest.importorskip("jsonschema")
    for more in (TOKENS, "tokenizer_source: union\n"):
        printed = recipe_as_yaml(read(LINEAR + more))
        jsonschema.validate(yaml.safe_load(printed), recipe_schema())


def test_rules_for_tokens_and_the_template():
    output = read(LINEAR + TOKENS).output
    assert output.tokenizer.pad_to_multiple_of == 16
    rules = {name: rule.__class__(**{**vars(rule), "where": None}) for name, rule in output.tokenizer.tokens.items()}
    assert rules == {
        "<one>": TokenRule("model", "b.st", force=True),
        "<two>": TokenRule("zero"),
        "<three>": TokenRule("token", "b.st", 3),
        "<four>": TokenRule("token", "a.st", "<s>"),
        "<five>": TokenRule("model", "a.st"),
    }
    assert output.chat_template == "chatml"


def test_a_filter_that_fits_nothing_is_named(cli):
    text = LINEAR.replace("weight: 1", "weight: [{filter: self_atn, value: 2}, {filter: w, value: 3}, {value: 1}]")
    notes = read(text).notes
    assert sum("the filter 'self_atn' (old.yml:4:" in note for note in notes) == 1
    assert not any("'w'" in note for note in notes)


def test_a_list_of_more_values_than_layers_is_named(cli):
    for values, told in (("[1, 2, 3]", True), ("[1, 2]", False)):
        notes = read(LINEAR.replace("weight: 1", f"weight: {values}")).notes
        assert any("has 3 values for 2 layers" in note for note in notes) is told


@pytest.mark.parametrize(
    "wrong", [{"sourse": "union"}, {"tokens": {"<a>": {"source": {"kind": "none"}}}}, {"pad_to_multiple_of": 0}, 3]
)
def test_the_schema_refuses_what_the_reader_does(wrong):
    jsonschema = pytest.importorskip("jsonschema")
    recipe = {"merge": "soup", "models": ["a.st"], "output": {"tokenizer": wrong}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(recipe, recipe_schema())
    with pytest.raises(UsageError):
        parse_recipe(yaml.safe_dump(recipe), "ours.yaml")
