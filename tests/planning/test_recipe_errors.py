"""What is wrong with a recipe is said with its place: file, line, column."""

from __future__ import annotations

import pytest
from checkpoint_files import random_state, save
from command_line import assert_refused

HEAD = "merge: soup\nmodels: [a.st, b.st]\n"
TIES = "merge: ties\nbase: a.st\nmodels: [b.st]\n"

# The text, the place that the message must begin with (line:column, or nothing), and words that it must hold.
CASES = {
    "unknown key": (HEAD + "bsae: x\n", "3:1", "did you mean 'base'?"),
    "unknown key in output": (HEAD + "output: {path: x, dtpye: bf16}\n", "3:19", "did you mean 'dtype'?"),
    "unknown key in layers": (HEAD + "layers:\n  - match: a\n    option: {}\n", "5:5", "did you mean 'options'?"),
    "unknown option": (TIES + "options:\n  desnity: 0.3\n", "5:3", "did you mean 'density'?"),
    "option out of range": (TIES + "options:\n    density: 1.5\n", "5:5", "density must be"),
    "option of another type": (TIES + "options: {density: high}\n", "4:11", "a number, not 'high'"),
    "option is a number as a key": (TIES + "options: {1: 2}\n", "4:11", "no option '1'"),
    "unknown option of a model": ("merge: soup\nmodels:\n  - {model: a.st, wieght: 1}\n  - b.st\n", "3:19", "weight"),
    "shared option beside a model": (
        "merge: soup\nmodels:\n  - {model: a.st, normalize: true}\n  - b.st\n",
        "3:19",
        "options:",
    ),
    "numeric key beside a model": ("merge: soup\nmodels:\n  - {model: a.st, 1: 1}\n  - b.st\n", "3:19", "'1'"),
    "per-model option as shared": (HEAD + "options: {weight: 1}\n", "3:11", "beside each model"),
    "weight is not finite": ("merge: soup\nmodels:\n  - {model: a.st, weight: .nan}\n  - b.st\n", "3:19", "finite"),
    "unknown method": ("models: [a.st, b.st]\nmerge: sopu\n", "2:1", "did you mean 'soup'?"),
    "unknown nested method": ("merge: soup\nmodels:\n  - {merge: tise, models: [a.st]}\n  - b.st\n", "3:6", "'ties'"),
    "unknown method under then": (TIES + "then:\n  - lins: {alpha: 1}\n", "1:1", "lins"),
    "several keys under then": (TIES + "then:\n  - {ties: {}, soup: {}}\n", "5:5", "then:"),
    "method with several models under then": (TIES + "then:\n  - soup: {}\n", "1:1", "soup"),
    "option under then": (TIES + "then:\n  - ties: {desnity: 1}\n", "5:12", "density"),
    "no merge": ("models: [a.st]\n", "1:1", "'merge'"),
    "no models": ("merge: soup\n", "1:1", "'models'"),
    "models is a text": ("merge: soup\nmodels: a.st\n", "2:1", "list"),
    "models holds a number": ("merge: soup\nmodels: [a.st, 3]\n", "2:16", "3"),
    "models holds nothing": ("merge: soup\nmodels:\n  - a.st\n  -\n", "4:4", "None"),
    "a model is a list": ("merge: soup\nmodels: [a.st, [b.st]]\n", "2:16", "b.st"),
    "an empty mapping as model": ("merge: soup\nmodels: [a.st, {}]\n", "2:16", "model:"),
    "a mapping without model": ("merge: soup\nmodels: [a.st, {modl: b.st}]\n", "2:16", "did you mean 'model'?"),
    "a mapping with a number": ("merge: soup\nmodels: [a.st, {1: b.st}]\n", "2:16", "model:"),
    "one model": ("merge: soup\nmodels: [a.st]\n", "1:1", "at least 2"),
    "no base": ("merge: ties\nmodels: [a.st]\n", "1:1", "base"),
    "a missing file": ("merge: soup\nmodels:\n  - a.st\n  - nope.st\n", "4:5", "nope.st"),
    "merge is a list": ("merge: [soup]\nmodels: [a.st, b.st]\n", "1:1", "'merge'"),
    "merge is nothing": ("merge:\nmodels: [a.st, b.st]\n", "1:1", "'merge'"),
    "keep in a layer": (HEAD + "layers:\n  - {match: a, keep: first}\n", "4:16", "`base`"),
    "keep in a layer is a list": (HEAD + "layers:\n  - {match: a, keep: [base]}\n", "4:16", "`base`"),
    "keep and options": (HEAD + "layers:\n  - {match: a, keep: base, options: {normalize: true}}\n", "4:28", "kept"),
    "a layer without match": (HEAD + "layers:\n  - {keep: base}\n", "4:5", "'match'"),
    "a layer that matches nothing": (HEAD + "layers:\n  - {match: zzz, keep: base}\n", "4:5", "zzz"),
    "a broken expression": (HEAD + "layers:\n  - {match: '/(/', keep: base}\n", "4:5", "regular expression"),
    "an unknown policy": (HEAD + "missing: skp\n", "3:1", "did you mean 'skip'?"),
    "a policy is a list": (HEAD + "mismatch: [skip]\n", "3:1", "mismatch"),
    "a dtype": (HEAD + "output: {path: x.st, dtype: bf17}\n", "3:22", "bf1"),
    "a size": (HEAD + "output:\n  max_shard_size: big\n", "4:3", "no size"),
    "an immense weight": (
        f"merge: soup\nmodels:\n  - {{model: a.st, weight: {'9' * 400}}}\n  - b.st\n",
        "3:19",
        "finite",
    ),
    "an immense option": (TIES + f"options: {{density: {'9' * 400}}}\n", "4:11", "density must be"),
    "an immense size": (HEAD + f"output:\n  max_shard_size: {'9' * 400}\n", "4:3", "no size"),
    "a seed": (HEAD + "seed: -1\n", "3:1", "seed"),
    "a key twice": (HEAD + "merge: ties\n", "3:1", "duplicate"),
    "a tab": ("merge: soup\n\tmodels: [a.st]\n", "2:1", "YAML"),
    "an open bracket": ("merge: soup\nmodels: [a.st\n", "3:1", "YAML"),
    "no mapping": ("- merge\n", "1:1", "mapping"),
    "empty": ("", "1:1", "mapping"),
    "two documents": (HEAD + "---\n" + HEAD, "4:1", "another"),
    "not text": ("merge: soup\x00\n", "", "YAML"),
    "a merge that holds itself": (
        "merge: soup\nmodels:\n- a.st\n- &x\n  merge: soup\n  models:\n  - a.st\n  - *x\n",
        "",
        "recipe.yaml",
    ),
    "mergekit": ("merge_method: linear\nmodels: []\n", "1:1", "mergekit"),
    "a later key": (HEAD + "align: b.st\n", "3:1", "align"),
    "search at the top": (HEAD + "search: {}\n", "3:1", "in the place of a number"),
    "an empty depth list": (TIES + "options: {density: []}\n", "4:11", "density"),
    "a depth list out of range": (TIES + "options: {density: [0.5, 1.5]}\n", "4:11", "density must be"),
    "a depth list for a word": (TIES + "options: {trim_scope: [tensor, checkpoint]}\n", "4:11", "trim_scope"),
    "weights that sum to 0": (
        "merge: soup\noptions: {normalize: true}\nmodels: [{model: a.st, weight: 1}, {model: b.st, weight: -1}]\n",
        "1:1",
        "sum to 0",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message_and_place(cli, here, case):
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", random_state(seed))
    text, place, *words = CASES[case]
    (here / "recipe.yaml").write_text(text)
    before = sorted(path.name for path in here.iterdir())
    start = f"merge: recipe.yaml:{place}: " if place else "merge: "
    assert_refused(cli("run", "recipe.yaml", "-o", "out.st"), 2, start, *words)
    assert sorted(path.name for path in here.iterdir()) == before


def test_a_recipe_that_is_no_text(cli, here):
    (here / "recipe.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert_refused(cli("run", "recipe.yaml", "-o", "out.st"), 2, "recipe.yaml: this is no text", "a YAML file")


def test_a_recipe_that_is_a_folder(cli, here):
    (here / "recipe.yaml").mkdir()
    assert_refused(cli("run", "recipe.yaml", "-o", "out.st"), 2, "recipe.yaml: this is a folder", "a YAML file")


@pytest.mark.parametrize("command", ["run", "search"])
def test_a_recipe_that_is_not_there(cli, here, command):
    (here / "recipe.yaml").touch()
    more = ("--benchmark", "digits") if command == "search" else ()
    result = cli(command, "recipe.yml", "-o", "out.st", *more)
    assert_refused(result, 2, "merge: recipe.yml: no such file (did you mean 'recipe.yaml'?)")


def test_nested_without_end(cli, here):
    deep = "{merge: soup, models: [a.st, " * 400 + "b.st" + "]}" * 400
    (here / "recipe.yaml").write_text(f"merge: soup\nmodels: [a.st, {deep}]\n")
    assert_refused(cli("run", "recipe.yaml", "-o", "out.st"), 2, "recipe.yaml")
