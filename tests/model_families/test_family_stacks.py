"""Layers of two fine-tunes of every decoder on top of each other: deeper and shallower models that load and write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from model_families.decoders import DECODERS
from model_families.family import Family, write
from model_families.outcomes import state

LAYERS = 4
# Model, first layer, the layer after the last one.
STACKS = {
    "deeper": (("a", 0, 3), ("b", 1, 4)),
    "shallower": (("a", 0, 1), ("b", 3, 4)),
    "other layers, as many": (("a", 1, 3), ("b", 0, 2)),
    "on top of itself": (("a", 0, 4), ("a", 1, 3)),
}
LAYER = re.compile(r"(.*\.(?:layers|h))\.(\d+)\.(.*)")
AFTER = ("norm.", "final_layernorm.", "ln_f.", "final_layer_norm.", "lm_head.", "embed_out.")


def theirs(parts: tuple[tuple[str, int, int], ...]) -> str:
    """Return the recipe in mergekit's grammar."""
    listed = "".join(f"- sources: [{{model: {name}, layer_range: [{first}, {last}]}}]\n" for name, first, last in parts)
    return f"merge_method: passthrough\nslices:\n{listed}"


def ours(parts: tuple[tuple[str, int, int], ...]) -> str:
    """Return the recipe in our own grammar."""
    listed = "".join(f'- {{model: {name}, layer_range: "{first}:{last}"}}\n' for name, first, last in parts)
    return f"merge: stack\nmodels:\n{listed}"


@pytest.fixture(scope="module", params=DECODERS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Family, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    write(DECODERS[request.param], folder, LAYERS)
    return DECODERS[request.param], folder


@pytest.mark.parametrize("stack", STACKS)
def test_stacks_load_and_write(cli, made, tmp_path, monkeypatch, stack):
    family, folder = made
    monkeypatch.chdir(folder)
    for name, grammar in (("ours", ours), ("theirs", theirs)):
        recipe = folder / f"{name}.yml"
        recipe.write_text(grammar(STACKS[stack]))
        result = cli("run", recipe, "-o", tmp_path / name, "--no-fsync")
        assert result.code == 0, result.err
        model = family.load(tmp_path / name)
        _assert_stacked(family, folder, STACKS[stack], model)
        assert family.run(model).shape[1] > 4


def _assert_stacked(family: Family, folder: Path, parts: tuple[tuple[str, int, int], ...], model: Any) -> None:
    """Assert that every tensor is the one of its part, and that the configuration tells of these layers."""
    places = [(name, number) for name, first, last in parts for number in range(first, last)]
    inputs = {name: family.load(folder / name) for name in "ab"}
    states = {name: state(loaded) for name, loaded in inputs.items()}
    found = state(model)
    assert {int(match[2]) for name in found if (match := LAYER.fullmatch(name))} == set(range(len(places)))
    for name, tensor in found.items():
        assert torch.equal(tensor, _expected(family, name, places, states)), name
    assert model.config.num_hidden_layers == len(places)
    for key, every in _by_layer(inputs["a"].config).items():
        assert getattr(model.config, key) == [every[number] for _, number in places], key
    dense = getattr(inputs["a"].config, "mlp_only_layers", None)
    if dense:
        assert model.config.mlp_only_layers == [new for new, (_, number) in enumerate(places) if number in dense]


def _expected(family: Family, name: str, places: list[tuple[str, int]], states: Any) -> torch.Tensor:
    match = LAYER.fullmatch(name)
    if match:
        model, number = places[int(match[2])]
        return states[model][f"{match[1]}.{number}.{match[3]}"]
    shared = family.tied and name.startswith("lm_head.")
    last = any(part in name for part in AFTER) and not shared
    return states[places[-1 if last else 0][0]][name]


def _by_layer(config: Any) -> dict[str, list[Any]]:
    """Return what a configuration says of each of its layers."""
    return {key: value for key, value in config.to_dict().items() if isinstance(value, list) and len(value) == LAYERS}
