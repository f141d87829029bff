"""Targets: what the user writes: recipes, benchmarks, groups, what names data, single settings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fuzz_forms import BYTES, YAML
from fuzz_of_tokens import models
from fuzz_target import CORPUS, Target, state, three, write

GROUPS = """\
groups:
  hidden.{i}:
    size: 4
    kind: mlp
    members: ["layers.{i}.w:0", "layers.{i}.norm:0"]
  heads: {size: 2, kind: heads, members: ["embed.weight:1[2,*]/0"]}
  within: {kind: within-heads, parent: heads, members: ["embed.weight:1[2,*]/1"]}
"""
BENCHMARK = """\
kind: classification
name: digits
data: {path: builtin:digits, split: test}
normalize: {mean: [0.1, 0.2, 0.3], std: 0.5}
head: heads.st#scale
"""


def _text(name: str, text: str, folder: Path) -> None:
    three(folder)
    for seed, model in enumerate(("one", "two")):
        write(folder / model / "model.safetensors", {f"model.{name}": found for name, found in state(seed).items()})
    models(folder)
    write(folder / "heads.st", {"head": state()["embed.weight"]})
    (folder / name).write_text(text)


def _kept(name: str, target: str, folder: Path) -> None:
    _text(name, (CORPUS / target / f"valid{Path(name).suffix}").read_text(), folder)


def _read_recipe(folder: Path) -> None:
    """Read a recipe, say it again and plan it."""
    from merge.grammar import read_recipe
    from merge.plan import make_plan
    from merge.recipe_text import recipe_as_yaml

    recipe = read_recipe(Path("recipe.yaml"))
    make_plan(recipe).close()
    recipe_as_yaml(recipe)


def _read_search(folder: Path) -> None:
    from merge.search.problem import OpenRecipe

    OpenRecipe(Path("recipe.yaml")).example()


def _read_benchmark(folder: Path) -> None:
    from merge.evaluation.specification import read_benchmarks

    read_benchmarks(["benchmark.yaml"])


def _read_groups(folder: Path) -> None:
    from merge.alignment.groups_file import read_groups

    read_groups(Path("groups.yaml"), {name: tuple(tensor.shape) for name, tensor in state().items()})


def _word(folder: Path) -> str:
    return (folder / "word.txt").read_bytes().decode("utf-8", "surrogateescape")


def _read_setting(folder: Path) -> None:
    from merge.grammar import parse_recipe
    from merge.plan import make_plan

    text = "merge: ties\nbase: base.st\nmodels: [a.st, {model: b.st, weight: 0.5}]\noutput: {path: out.st}\n"
    make_plan(parse_recipe(text, "recipe.yaml", folder, [_word(folder)])).close()


def _read_data_name(folder: Path) -> None:
    from merge.calibration.data import read_each

    read_each(_word(folder))


def _read_location(folder: Path) -> None:
    from merge.checkpoints.resolve import open_checkpoint

    open_checkpoint(_word(folder)).close()


def _read_member(folder: Path) -> None:
    from merge.alignment.patterns import parse_member

    parse_member(_word(folder), "groups.yaml:1:1")


def _data(folder: Path) -> None:
    (folder / "texts.jsonl").write_text('{"text": "a"}\n')
    (folder / "word.txt").write_text("texts.jsonl, digits")


def _location(folder: Path) -> None:
    import torch

    three(folder)
    torch.save({"one": state(), "two": state(1)}, folder / "both.pt")
    (folder / "word.txt").write_text("both.pt#two")


def _member(folder: Path) -> None:
    (folder / "word.txt").write_text("blocks.{i}.attn.qkv.weight:0[3,12,64]/1")


REQUESTS = (
    Target(
        "recipe",
        "recipe.yaml",
        YAML,
        partial(_kept, "recipe.yaml", "recipe"),
        _read_recipe,
        ("run", "recipe.yaml", "--dry-run"),
    ),
    Target("recipe-to-search", "recipe.yaml", YAML, partial(_kept, "recipe.yaml", "recipe-to-search"), _read_search),
    Target("recipe-setting", "word.txt", BYTES, partial(_text, "word.txt", "models.1.weight=0.7"), _read_setting),
    Target(
        "mergekit-recipe",
        "recipe.yaml",
        YAML,
        partial(_kept, "recipe.yaml", "mergekit-recipe"),
        _read_recipe,
        ("run", "recipe.yaml", "--dry-run", "-o", "out"),
    ),
    Target("benchmark", "benchmark.yaml", YAML, partial(_kept, "benchmark.yaml", "benchmark"), _read_benchmark),
    Target(
        "groups",
        "groups.yaml",
        YAML,
        partial(_text, "groups.yaml", GROUPS),
        _read_groups,
    ),
    Target("group-member", "word.txt", BYTES, _member, _read_member),
    Target("data-name", "word.txt", BYTES, _data, _read_data_name),
    Target("location", "word.txt", BYTES, _location, _read_location),
)
