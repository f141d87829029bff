"""Recipes of mergekit from the command line: what the run says of them, paths, and models of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, random_state, save
from command_line import assert_refused
from evaluation.tiny_language_models import make_gpt2

LINEAR = "merge_method: linear\nmodels: [{model: a.st}, {model: b.st}]\nparameters: {weight: 1}\n"
TASK = "base_model: base.st\nmodels: [{model: a.st}, {model: b.st}]\nparameters: {weight: 1"
FINITE = "a result that is not finite is refused"
SUMS = "sums are in float32"

# Text, words that one note each holds, words that none holds.
NOTES = {
    "linear": (LINEAR, [SUMS, FINITE, "are those of a.st, the first model"], ["dtype", "any)", "masks"]),
    "a base": (LINEAR + "base_model: a.st\n", [SUMS], ["the first model", "one more model"]),
    "a base that is not listed": (LINEAR + "base_model: base.st\n", ["base_model is one more model of linear"], []),
    "a type": (LINEAR + "dtype: float16\n", ["dtype and out_dtype are the type of the output"], []),
    "passthrough": ("merge_method: passthrough\nmodels: [{model: a.st}]\n", [FINITE], [SUMS, "the first model"]),
    "ties that keep all": ("merge_method: ties\n" + TASK + "}\n", [SUMS], ["any)", "int8_mask"]),
    "ties": ("merge_method: ties\n" + TASK + ", density: 0.5}\n", ["of equal magnitudes the lowest"], []),
    "ties, a gradient": ("merge_method: ties\n" + TASK + ", density: [1, 0.5]}\n", ["of equal magnitudes"], []),
    "an arc": (
        "merge_method: slerp\nbase_model: a.st\nmodels: [{model: b.st}]\nparameters: {t: 0.5}\n",
        ["a tensor of zeros has no angle", SUMS],
        ["the first model"],
    ),
    "sce": ("merge_method: sce\n" + TASK.replace("weight: 1", "select_topk: 0.5}\n"), ["equal variances", "1e-6"], []),
    "dare": ("merge_method: dare_ties\n" + TASK + ", density: 0.5}\n", ["masks depend on --seed"], []),
    "dare that keeps all": ("merge_method: dare_ties\n" + TASK + "}\n", [SUMS], ["masks"]),
    "a mask type": (
        "merge_method: ties\n" + TASK + ", int8_mask: true}\n",
        ["'int8_mask' changes nothing in ties"],
        [],
    ),
    "a density of no use": (
        "merge_method: task_arithmetic\n" + TASK + ", density: 0.5}\n",
        ["'density' changes nothing in task_arithmetic"],
        [],
    ),
    "parameters of the base": (
        "merge_method: ties\n" + TASK.replace("[", "[{model: base.st, parameters: {weight: 2}}, ") + "}\n",
        ["the base's own parameters (old.yml:3:11) do nothing"],
        [],
    ),
    "a gradient in single files": (LINEAR.replace("weight: 1", "weight: [1, 2]"), ["layers of single files too"], []),
    "quartiles": (
        "merge_method: arcee_fusion\nbase_model: a.st\nmodels: [{model: b.st}]\n",
        ["divergences are in float64", "quartiles are exact", "the output has the type of the base"],
        [],
    ),
}


@pytest.fixture
def files(here: Path) -> Path:
    for seed, name in enumerate(("base", "a", "b")):
        save(here / f"{name}.st", random_state(seed))
    return here


@pytest.mark.parametrize("case", NOTES)
def test_what_the_run_says(cli, files, case):
    text, told, untold = NOTES[case]
    (files / "old.yml").write_text(text)
    result = cli("run", "old.yml", "-o", "out.st", "--json")
    assert result.code == 0, result.err
    notes = json.loads(result.out)["notes"]
    for words in told:
        assert sum(words in note for note in notes) == 1, notes
    for words in untold:
        assert not any(words in note for note in notes), notes
    kept = [note for note in notes if note.startswith(("unlike mergekit: ", "as in mergekit: "))]
    printed = cli("run", "old.yml", "-o", "out.st", "--force").out
    assert all(f"note: {note}\n" in printed for note in kept)
    assert all(note in cli("run", "old.yml", "-o", "new.st", "--dry-run").out for note in kept)
    assert "mergekit" not in cli("run", "old.yml", "-o", "out.st", "--force", "--quiet").out


def test_our_own_recipes_say_nothing_of_mergekit(cli, files):
    (files / "own.yaml").write_text("merge: soup\nmodels: [a.st, b.st]\n")
    assert "mergekit" not in cli("run", "own.yaml", "-o", "out.st").out


def test_paths_count_from_the_current_folder(cli, files):
    (files / "recipes").mkdir()
    (files / "recipes" / "old.yml").write_text(LINEAR)
    assert cli("run", "recipes/old.yml", "-o", "out.st").code == 0
    assert cli("verify", "out.st").code == 0
    printed = cli("run", "recipes/old.yml", "--print-recipe", "--dtype", "bfloat16").out
    assert f"model: {files / 'a.st'}" in printed
    assert "dtype: BF16" in printed


def test_a_range_gives_one_output_each(cli, files):
    (files / "old.yml").write_text(LINEAR + "base_model: base.st\n")
    result = cli(
        "run", "old.yml", "--set", "models.0.parameters.weight=0,2", "--set", "parameters.weight=1:2:1", "-o", "o"
    )
    assert result.code == 0, result.err
    assert len(list(files.rglob("*.safetensors"))) == 4


def test_random_masks_repeat(cli, files):
    (files / "old.yml").write_text("merge_method: dare_linear\n" + TASK + ", density: 0.5}\n")
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        assert cli("run", "old.yml", "-o", f"{name}.st", "--seed", seed).code == 0
    assert (files / "one.st").read_bytes() == (files / "same.st").read_bytes()
    assert (files / "one.st").read_bytes() != (files / "other.st").read_bytes()
    (files / "ours.yaml").write_text(cli("run", "old.yml", "--seed", 3, "--print-recipe").out)
    assert cli("run", "ours.yaml", "-o", "again.st").code == 0
    assert (files / "one.st").read_bytes() == (files / "again.st").read_bytes()


def test_printing_our_own_recipe_keeps_all_of_it(cli, files):
    (files / "own.yaml").write_text(
        "name: mine\nmerge: ties\nbase: base.st\n"
        "models: [{model: a.st, weight: 0.5}, {merge: soup, models: [a.st, b.st]}]\n"
        "options: {density: 0.4}\nthen: [{lines: {alpha: 0.1, beta: 0.5}}]\nmissing: skip\nseed: 0\n"
        "output: {path: out.st, dtype: bf16, max_shard_size: 1GB}\nevaluate: [digits]\nreport: report\n"
    )
    from merge.grammar import parse_recipe, read_recipe
    from merge.recipe_text import recipe_as_yaml

    recipe = read_recipe(files / "own.yaml")
    text = recipe_as_yaml(recipe)
    again = parse_recipe(text, "again.yaml", files)
    assert recipe_as_yaml(again) == text
    assert again.output.path == files / "out.st"
    assert again.report == files / "report"
    assert (again.output.max_shard_size, again.evaluate, again.name) == (10**9, ("digits",), "mine")
    assert again.merge.then[0][0] == "lines"


def test_printing_a_recipe_with_files_beside_it(files):
    """Statistics, data and groups count from the recipe's folder as models do."""
    from merge.grammar import parse_recipe
    from merge.recipe_text import recipe_as_yaml

    (files / "data.yaml").write_text("")
    (files / "groups.yaml").write_text("")
    text = (
        "merge: regmean\nmodels:\n- {model: a.st, gram: b.st}\n- {model: b.st, data: data.yaml}\n"
        "- model: {align: a.st, to: b.st, data: data.yaml, options: {matching: activations, groups: groups.yaml}}\n"
        "  data: builtin:digits\n"
    )
    printed = recipe_as_yaml(parse_recipe(text, "own.yaml", files))
    for name, count in {"a.st": 2, "b.st": 3, "data.yaml": 2, "groups.yaml": 1}.items():
        assert printed.count(f" {files / name}\n") == count
    assert "data: builtin:digits\n" in printed
    assert recipe_as_yaml(parse_recipe(printed, "printed.yaml", Path("elsewhere"))) == printed


def test_bundles_are_not_printed(cli, files):
    (files / "own.yaml").write_text("merge: moe\nmodels: [a.st, b.st]\n")
    assert_refused(cli("run", "own.yaml", "--print-recipe"), 2, "own.yaml:1:1", "bundle")


# Models of transformers.


def _llama(layers: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, num_hidden_layers=layers, **sizes))


MAKERS = {"llama": lambda: _llama(4), "gpt2": make_gpt2}
EXAMPLES = {
    "linear": """
merge_method: linear
models:
- {model: a, parameters: {weight: 1.0}}
- {model: b, parameters: {weight: 0.3}}
- {model: c, parameters: {weight: 0.5}}
dtype: float16
""",
    "slerp": """
merge_method: slerp
models: [{model: a}, {model: base}]
base_model: base
parameters:
  t:
  - {filter: attn, value: [0, 0.5, 0.3, 0.7, 1]}
  - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
  - value: 0.5
dtype: bfloat16
""",
    "ties": """
merge_method: ties
base_model: base
models:
- {model: a, parameters: {density: [1, 0.7, 0.1], weight: 1}}
- {model: b, parameters: {density: 0.5, weight: [0, 0.3, 0.7, 1]}}
- model: c
  parameters: {density: 0.33, weight: [{filter: mlp, value: 0.5}, {value: 0}]}
parameters: {normalize: true, int8_mask: true}
dtype: float16
""",
    "summed ties": """
merge_method: ties
base_model: base
models:
- {model: a, parameters: {density: 0.53, weight: 0.4}}
- {model: b, parameters: {density: 0.53, weight: 0.3}}
parameters: {normalize: false, int8_mask: true}
""",
    "fusion": """
merge_method: arcee_fusion
base_model: base
models: [{model: a}]
dtype: bfloat16
""",
}


@pytest.fixture(scope="module", params=MAKERS)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    for seed, name in enumerate(("base", "a", "b", "c")):
        torch.manual_seed(0)
        model = MAKERS[request.param]()
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters() if seed else ():
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_give_models_that_generate(cli, family, monkeypatch, tmp_path, example):
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(family)
    (tmp_path / "old.yml").write_text(EXAMPLES[example])
    result = cli("run", tmp_path / "old.yml", "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    inputs, found = load(family / "a"), load(tmp_path / "out")
    assert found.keys() == inputs.keys()
    model, loading = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(loading.values())
    start = torch.tensor([[1, 2, 3]])
    written = model.generate(
        start, attention_mask=torch.ones_like(start), max_new_tokens=4, do_sample=False, pad_token_id=0
    )
    assert written.shape[1] > start.shape[1]


def test_a_scale_of_0_silences_one_projection_only(cli, family, monkeypatch, tmp_path):
    monkeypatch.chdir(family)
    name = "o_proj" if any("o_proj" in key for key in load(family / "a")) else "c_proj"
    scale = f"[{{filter: {name}, value: 0}}, {{value: 1}}]"
    (tmp_path / "old.yml").write_text(
        f"merge_method: passthrough\nmodels:\n- model: a\n  parameters:\n    scale: {scale}\n"
    )
    assert cli("run", tmp_path / "old.yml", "-o", tmp_path / "out").code == 0
    found = load(tmp_path / "out")
    for key, tensor in load(family / "a").items():
        assert torch.equal(found[key], tensor * (name not in key))
