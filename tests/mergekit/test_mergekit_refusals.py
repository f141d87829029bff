"""What is wrong with a recipe of mergekit, or not read yet: one message, with the place, before any weight is read."""

from __future__ import annotations

import pytest
from checkpoint_files import random_state, save
from command_line import assert_refused

LINEAR = "merge_method: linear\nmodels:\n- model: a.st\n- model: b.st\nparameters: {weight: 1}\n"
TIES = "merge_method: ties\nbase_model: base.st\nmodels:\n- model: a.st\n- model: b.st\nparameters:\n  weight: 1\n"
ONE = "merge_method: ties\nbase_model: base.st\nmodels: [{model: a.st}]\nparameters: {weight: 1}\n"
SLERP = "merge_method: slerp\nbase_model: a.st\nmodels: [{model: b.st}]\n"
SOURCES = "slices:\n- sources:\n  - {model: a.st, layer_range: [0, 2]}\n"

# Text, the place of the complaint, and words of it.
CASES = {
    "models and slices": (LINEAR + SOURCES, "6:1", "'models' and 'slices' exclude each other"),
    "both tokenizers": (LINEAR + "tokenizer_source: union\ntokenizer: {source: union}\n", "7:1", "exclude each other"),
    "the tokenizer of no base": (LINEAR + "tokenizer_source: base\n", "6:1", "there is no base"),
    "the tokenizer of no base, in a mapping": (LINEAR + "tokenizer: {source: base}\n", "6:1", "there is no base"),
    "a misspelt source of the tokenizer": (LINEAR + "tokenizer_source: unoin\n", "6:1", "did you mean 'union'?"),
    "a key of the tokenizer": (LINEAR + "tokenizer: {sorce: union}\n", "6:13", "did you mean 'source'?"),
    "a chat template": (LINEAR + "chat_template: llama4\n", "6:1", "did you mean 'llama3'?"),
    "several documents without names": (LINEAR + "---\n" + LINEAR, "7:1", "two documents have no name"),
    "an adapter": (LINEAR.replace("b.st", "b.st+lora"), "4:3", "lora", "no such"),
    "an adapter in a mapping": (
        LINEAR.replace("model: b.st", "model: {model: {path: b.st}, lora: {path: lora}}"),
        "4:3",
        "lora",
        "no such",
    ),
    "a key of an adapter": (
        LINEAR.replace("model: b.st", "model: {model: b.st, lora: {path: a, revison: b}}"),
        "4:40",
        "did you mean 'revision'?",
    ),
    "another architecture that is no name": (
        LINEAR.replace("model: b.st", "model: {model: b.st, override_architecture: 3}"),
        "4:24",
        "must be a text",
    ),
    "a misspelt key": (LINEAR + "dtyp: float32\n", "6:1", "did you mean 'dtype'?"),
    "a misplaced key": (LINEAR + "normalize: false\n", "6:1", "unknown key 'normalize'"),
    "a key of a model": (
        LINEAR.replace("- model: b.st", "- model: b.st\n  layer_range: [0, 2]"),
        "5:3",
        "unknown key 'layer_range'",
    ),
    "a misspelt method": (LINEAR.replace("linear", "liner"), "1:1", "no method 'liner'", "did you mean 'linear'?"),
    "a method of ours": (LINEAR.replace("linear", "fisher"), "1:1", "no method 'fisher'"),
    "no method": (LINEAR.replace("linear", "[linear]"), "1:1", "must be a text"),
    "no models": ("merge_method: linear\n", "1:1", "'models' is missing"),
    "an empty list of models": ("merge_method: linear\nmodels: []\n", "1:1", "at least one model", "none"),
    "models that are no list": ("merge_method: linear\nmodels: a.st\n", "2:1", "must be a list"),
    "a model that is no mapping": ("merge_method: linear\nmodels: [a.st]\n", "2:10", "is a mapping"),
    "a model that is no text": ("merge_method: linear\nmodels: [{model: 3}]\n", "2:11", "path or a hub id"),
    "a model without a path": (
        "merge_method: linear\nmodels: [{model: {model: {revision: main}}}]\n",
        "2:26",
        "'path' is missing",
    ),
    "a model listed twice": (LINEAR.replace("b.st", "a.st"), "4:3", "'a.st' is listed twice"),
    "a folder that is not there": (LINEAR.replace("b.st", "./gone"), "4:3", "no such file or folder"),
    "a reference that is needed for filters": (
        LINEAR.replace("a.st", "./gone").replace("weight: 1", "weight: [0, 1]"),
        "3:3",
        "no such file or folder",
    ),
    "no base": (TIES.replace("base_model: base.st\n", ""), "1:1", "ties needs a base"),
    "three models for slerp": (
        "merge_method: slerp\nbase_model: base.st\nmodels: [{model: a.st}, {model: b.st}]\nparameters: {t: 0.5}\n",
        "1:1",
        "exactly one model besides base_model",
        "here are 2",
    ),
    "one model for model_stock": (
        "merge_method: model_stock\nbase_model: base.st\nmodels: [{model: a.st}, {model: base.st}]\n",
        "1:1",
        "at least 2 models besides base_model",
        "here is 1",
    ),
    "passthrough with a base of its own": (
        "merge_method: passthrough\nbase_model: base.st\nmodels: [{model: a.st}]\n",
        "1:1",
        "exactly one model",
        "base_model counts",
    ),
    "a misspelt parameter": (TIES + "  densty: 0.5\n", "8:3", "did you mean 'density'?"),
    "a parameter of another method": (LINEAR.replace("weight: 1", "weight: 1, t: 1"), "5:25", "has no parameter 't'"),
    "a parameter where it is not looked for": (
        TIES.replace("- model: b.st", "- model: b.st\n  parameters: {normalize: false}"),
        "6:16",
        "'normalize'",
        "at the top",
    ),
    "no t": (SLERP, "1:1", "slerp needs 't'"),
    "no weight": (LINEAR.replace("parameters: {weight: 1}", ""), "3:3", "linear needs 'weight' of a.st"),
    "no weight of a base that becomes a model": (
        "merge_method: linear\nbase_model: base.st\nmodels: [{model: a.st, parameters: {weight: 1}}]\n",
        "2:1",
        "'weight' of base.st",
        "base_model is one more model",
    ),
    "filters that fit no tensor": (
        SLERP + "parameters:\n  t:\n  - {filter: body, value: 0.5}\n",
        "6:20",
        "no filter of 't' fits tensor 'head",
        "end the list",
    ),
    "an empty gradient": (LINEAR.replace("weight: 1", "weight: []"), "5:14", "empty list"),
    "a gradient of words": (LINEAR.replace("weight: 1", "weight: [a, b]"), "5:14", "must be a number, not 'a'"),
    "a gradient of words for switches": (TIES + "  normalize: [true, maybe]\n", "8:3", "true or false, not 'maybe'"),
    "a gradient in a gradient": (LINEAR.replace("weight: 1", "weight: [0, [1, 2]]"), "5:14", "must be a number"),
    "values beside filters": (
        LINEAR.replace("weight: 1", "weight: [{filter: x, value: 1}, 2]"),
        "5:46",
        "mixes values with filters",
    ),
    "a filter without a value": (LINEAR.replace("weight: 1", "weight: [{filter: x}]"), "5:23", "'value' is missing"),
    "a misspelt filter": (
        LINEAR.replace("weight: 1", "weight: [{fliter: x, value: 1}]"),
        "5:24",
        "did you mean 'filter'?",
    ),
    "a filter that is no text": (
        LINEAR.replace("weight: 1", "weight: {filter: 3, value: 1}"),
        "5:23",
        "must be a text",
    ),
    "parameters that are no mapping": (LINEAR.replace("{weight: 1}", "[1]"), "5:1", "must be a mapping"),
    "a word for a number": (LINEAR.replace("weight: 1", "weight: heavy"), "5:14", "must be a number, not 'heavy'"),
    "a switch for a number": (LINEAR.replace("weight: 1", "weight: true"), "5:14", "must be a number"),
    "a number for a switch": (TIES + "  normalize: 2\n", "8:3", "true or false, not 2"),
    "infinity": (LINEAR.replace("weight: 1", "weight: .inf"), "5:14", "must be a number"),
    "weights that sum to 0": (
        "merge_method: linear\nmodels:\n- {model: a.st, parameters: {weight: 1}}\n"
        "- {model: b.st, parameters: {weight: -1}}\n",
        "1:1",
        "sum to 0",
    ),
    "a density below 0": (TIES + "  density: -0.3\n", "8:3", "density must be >= 0"),
    "an epsilon that leaves no share": (
        ONE.replace("ties", "della").replace("weight: 1", "weight: 1, density: 0.5, epsilon: 1.35"),
        "1:1",
        "density 0.5 and epsilon 1.35",
    ),
    "a default epsilon that does": (
        ONE.replace("ties", "della").replace("weight: 1", "weight: 1, density: 0.9"),
        "1:1",
        "density 0.9 and epsilon 0.15",
    ),
    "t beyond the arc": (SLERP + "parameters: {t: 1.5}\n", "4:14", "t must be >= 0 and <= 1"),
    "an unknown type": (LINEAR + "dtype: float23\n", "6:1", "did you mean 'float32'?"),
    "a type that mergekit calls otherwise": (LINEAR + "dtype: bf16\n", "6:1", "did you mean 'bfloat16'?"),
    "whole numbers": (LINEAR + "out_dtype: int64\n", "6:1", "'out_dtype' must be a floating type"),
}


@pytest.mark.parametrize("case", CASES)
def test_message_and_place(cli, here, case):
    for seed, name in enumerate(("base", "a", "b")):
        tensors = zip(("head", "body", "tail"), random_state(seed).values(), strict=False)
        save(here / f"{name}.st", {f"{part}.weight": tensor for part, tensor in tensors})
    text, place, *words = CASES[case]
    (here / "old.yml").write_text(text)
    before = sorted(path.name for path in here.iterdir())
    assert_refused(cli("run", "old.yml", "-o", "out.st"), 2, f"merge: old.yml:{place}: ", *words)
    assert sorted(path.name for path in here.iterdir()) == before
    assert_refused(cli("run", "old.yml", "--print-recipe"), 2, f"merge: old.yml:{place}: ", *words)


def test_a_local_path_with_a_plus_is_no_adapter(cli, here):
    for seed, name in enumerate(("a", "c++")):
        save(here / f"{name}.st", random_state(seed))
    (here / "old.yml").write_text(LINEAR.replace("b.st", "c++.st"))
    assert cli("run", "old.yml", "-o", "out.st").code == 0


@pytest.mark.parametrize("more", [["--json"], ["other.yml"], ["--set", "parameters.weight=0:1:0.5"]])
def test_one_recipe_is_printed(cli, here, more):
    (here / "old.yml").write_text(LINEAR)
    (here / "other.yml").write_text(LINEAR)
    assert_refused(cli("run", "old.yml", *more, "--print-recipe"), 2, "--print-recipe")
