"""The recipes of mergekit's examples over models of the right depth: they plan, run, load, and are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import State, load
from example_recipes import EXAMPLES, GRADIENT_SLERP, LINEAR, STACK, STAGES, SUMMED_TIES, TIES, narrow_llama
from model_families.outcomes import arc, close
from reference import largest, ties

DEPTH = 40
MODELS = ("base", "one", "two", "three")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(MODELS):
        narrow_llama(DEPTH, 24, seed).save_pretrained(folder / name)
    return folder


@pytest.fixture
def outcome(cli, models, monkeypatch, tmp_path):
    """Run a recipe over the models in float32, and return the tensors of its outcome."""
    monkeypatch.chdir(models)

    def run(text: str) -> State:
        narrow = [line for line in text.splitlines() if line.startswith("dtype:")]
        (tmp_path / "old.yml").write_text("\n".join(line for line in text.splitlines() if line not in narrow))
        result = cli("run", tmp_path / "old.yml", "-o", tmp_path / "out")
        assert result.code == 0, result.err
        return load(tmp_path / "out")

    return run


def inputs(models: Path, *names: str) -> list[State]:
    return [load(models / name) for name in names]


def layer(name: str) -> int | None:
    return int(name.split(".")[2]) if ".layers." in name else None


def along(values: list[float], name: str) -> float:
    """Return what a list over the layers says of a tensor: a line from value to value; outside them the first."""
    number = layer(name)
    if number is None:
        return values[0]
    place = number / (DEPTH - 1) * (len(values) - 1)
    below = min(int(place), len(values) - 2)
    return values[below] + (place - below) * (values[below + 1] - values[below])


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_plan_run_and_write(cli, models, monkeypatch, tmp_path, example):
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(models)
    recipe = tmp_path / "old.yml"
    recipe.write_text(EXAMPLES[example])
    planned = cli("run", recipe, "-o", tmp_path / "out", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert not (tmp_path / "out").exists()
    done = cli("run", recipe, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    found = load(tmp_path / "out")
    assert found.keys() == {row["name"] for row in json.loads(planned.out)["tensors"]}
    kind = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(EXAMPLES[example].split()[-1], torch.float32)
    assert {tensor.dtype for tensor in found.values()} == {kind}
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    assert model.config.num_hidden_layers == (44 if example == "stack" else DEPTH)
    start = torch.tensor([[3, 4, 5]])
    options = {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 0}
    assert model.generate(start, attention_mask=torch.ones_like(start), **options).shape[1] > 3


def test_the_mean_has_its_weights(models, outcome):
    found, (one, two, three) = outcome(LINEAR), inputs(models, "one", "two", "three")
    for name, tensor in found.items():
        assert close(tensor, (one[name].double() + 0.3 * two[name].double() + 0.5 * three[name].double()) / 1.8)


def test_the_arc_follows_its_lists(models, outcome):
    found, (one, two) = outcome(GRADIENT_SLERP), inputs(models, "one", "two")
    for name, tensor in found.items():
        filters = {"self_attn": [0, 0.5, 0.3, 0.7, 1], "mlp": [1, 0.5, 0.7, 0.3, 0]}
        t = next((along(values, name) for part, values in filters.items() if part in name), 0.5)
        assert close(tensor, arc(one[name], two[name], t)), name
    assert torch.equal(found["model.layers.0.self_attn.q_proj.weight"], one["model.layers.0.self_attn.q_proj.weight"])


def test_ties_follows_its_lists(models, outcome):
    found, (base, *tuned) = outcome(TIES), inputs(models, *MODELS)
    for name, tensor in found.items():
        densities = [along([1, 0.7, 0.1], name), 0.5, 0.33]
        weights = [1.0, along([0, 0.3, 0.7, 1], name), 0.5 if "mlp" in name else 0.0]
        assert close(tensor, _ties(base[name], [each[name] for each in tuned], weights, densities, True)), name


def test_summed_ties_are_not_divided(models, outcome):
    found, (base, *tuned) = outcome(SUMMED_TIES), inputs(models, *MODELS)
    for name, tensor in found.items():
        expected = _ties(base[name], [each[name] for each in tuned], [0.4, 0.3, 0.4], [0.53] * 3, False)
        assert close(tensor, expected), name


def _ties(base: torch.Tensor, tuned: list, weights: list, densities: list, normalize: bool) -> torch.Tensor:
    masks = [
        largest((each.double() - base.double()).abs().numpy().reshape(-1), density)
        for each, density in zip(tuned, densities, strict=True)
    ]
    return ties(base, tuned, weights, normalize=normalize, masks=masks)


def test_the_stack_has_44_layers(models, outcome):
    found, (one, two) = outcome(STACK), inputs(models, "one", "two")
    assert max(layer(name) or 0 for name in found) == 43
    for name, tensor in found.items():
        number = layer(name)
        if number is None:
            assert torch.equal(tensor, (one if "embed" in name else two)[name])
        elif number < 24:
            assert torch.equal(tensor, one[name])
        else:
            assert torch.equal(tensor, two[name.replace(f".{number}.", f".{number - 4}.")])


def test_stages_build_on_each_other(models, outcome):
    found, (base, one, two, three) = outcome(STAGES), inputs(models, *MODELS)
    for name, tensor in found.items():
        first = arc(one[name], two[name], 0.5)
        second = 0.6 * first + 0.4 * three[name].double()
        start = base[name].double()
        assert close(tensor, start + 0.7 * (second - start) + 0.3 * (first - start)), name


def test_stages_leave_only_the_last_outcome(models, outcome, tmp_path):
    before = sorted(models.iterdir())
    outcome(STAGES)
    assert sorted(models.iterdir()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.yml", "out"]
