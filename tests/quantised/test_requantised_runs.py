"""8-bit outputs with scales by other ways of running: continued runs, torch's backend, evaluation in memory, stacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import State, assert_same, load
from command_line import Result
from scaled_models import CONFIG, plain, random_scaled, save_model

from merge import engine
from merge.checkpoints.writer import MemorySink
from merge.engine import RunSettings, run
from merge.evaluation.locate import merge_in_memory
from merge.plan import make_plan
from merge.planning.layout import nbytes_of
from merge.recipe import Merge, Model, Recipe
from merge.streaming.journal import Journal
from merge.streaming.torch_backend import TorchBackend

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of three pieces each."""
    folder, found = tmp_path_factory.mktemp("pair"), []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        state: State = random_scaled(seed)
        for name in "gh":
            weight = torch.randn(2100, 2048, generator=generator) * 60
            state[f"{name}.weight"] = weight.clamp(-448, 448).to(torch.float8_e4m3fn)
            state[f"{name}.weight_scale_inv"] = torch.rand(17, 16, generator=generator)
        found.append(save_model(folder / str(seed), state))
    return found


def soup(pair: list[Path]) -> Recipe:
    return Recipe(Merge("soup", tuple(Model(str(path)) for path in pair)))


def test_a_run_is_continued(pair: list[Path], tmp_path: Path) -> None:
    plan = make_plan(soup(pair))
    journal, whole = Journal(tmp_path / "journal", "one"), MemorySink(plan.files)
    journal.start()
    first = run(plan, whole, RunSettings(threads=1), journal)
    journal.close()
    lines = (tmp_path / "journal").read_text().splitlines(keepends=True)
    assert len(lines) > 2
    for kept in range(2, len(lines)):
        (tmp_path / "journal").write_text("".join(lines[:kept]))
        again, sink = Journal(tmp_path / "journal", "one"), MemorySink(plan.files)
        assert again.take_over() is None
        found = run(plan, sink, RunSettings(threads=1), again)
        assert found.pieces_reused == kept - 1
        assert (found.output_id, found.input_ids) == (first.output_id, first.input_ids)
        last = plan.rows[-1]
        assert sink.bytes_of(last, nbytes_of(last.dtype, last.shape)) == whole.bytes_of(
            last, nbytes_of(last.dtype, last.shape)
        )
    plan.close()


@pytest.mark.parametrize("method", ["soup", "slerp"])
def test_torch_gives_the_same_bytes(pair: list[Path], monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    plan = make_plan(Recipe(Merge(method, tuple(Model(str(path)) for path in pair), options={})))
    sinks = [MemorySink(plan.files) for _ in range(2)]
    run(plan, sinks[0], RunSettings(threads=1))
    backend = lambda plan, settings, threads: (lambda: TorchBackend("cpu"), 2**22)  # noqa: E731
    monkeypatch.setattr(engine, "choose_backend", backend)
    run(plan, sinks[1], RunSettings(threads=1))
    assert sinks[0]._buffers == sinks[1]._buffers
    plan.close()


def test_a_network_in_memory_is_built_from_plain_weights(pair: list[Path]) -> None:
    plan = make_plan(soup(pair))
    found = merge_in_memory(plan, "soup").tensors
    plan.close()
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    assert not [name for name in found if "scale" in name]


def _stack(tmp_path: Path, one: Path, two: Path) -> Path:
    recipe = {
        "slices": [
            {"sources": [{"model": str(one), "layer_range": [0, 1]}]},
            {"sources": [{"model": str(two), "layer_range": [0, 1]}]},
        ],
        "merge_method": "passthrough",
        "dtype": None,
    }
    path = tmp_path / "recipe.yml"
    path.write_text(json.dumps({key: value for key, value in recipe.items() if value is not None}))
    return path


def layered(seed: int) -> State:
    """Return a model of one layer in a stack."""
    state = random_scaled(seed)
    names = {name: f"model.layers.0.{name}" for name in state if name[0] in "abde" and not name.startswith("embed")}
    rest = {"embed.weight": "model.embed_tokens.weight", "norm.weight": "model.norm.weight"}
    return {new: state[old] for old, new in (names | rest).items()}


LAYERED = {**CONFIG, "model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1}


def test_layers_of_scaled_models_are_stacked_bit_for_bit(cli: Cli, tmp_path: Path) -> None:
    states = [layered(seed) for seed in (1, 2)]
    models = [save_model(tmp_path / f"m{number}", state, LAYERED) for number, state in enumerate(states)]
    result = cli("run", _stack(tmp_path, *models), "-o", tmp_path / "out")
    assert result.code == 0, result.err
    found = load(tmp_path / "out")
    for number, state in enumerate(states):
        for name in ("a.weight", "a.weight_scale_inv", "d.weight", "d.weight_scale_inv"):
            one, other = found[f"model.layers.{number}.{name}"], state[f"model.layers.0.{name}"]
            assert torch.equal(one.view(torch.uint8), other.view(torch.uint8))
    assert "quantization_config" in json.loads((tmp_path / "out" / "config.json").read_text())


def test_layers_of_models_that_store_them_in_different_ways_lose_their_scales(cli: Cli, tmp_path: Path) -> None:
    plain_config = {key: value for key, value in LAYERED.items() if key != "quantization_config"}
    one = save_model(tmp_path / "m0", layered(1), LAYERED)
    two = save_model(tmp_path / "m1", plain(layered(2)), plain_config)
    result = cli("run", _stack(tmp_path, one, two), "-o", tmp_path / "out")
    assert "store their weights in different ways" in result.out
    found = load(tmp_path / "out")
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    assert_same({"w": found["model.layers.0.a.weight"]}, {"w": plain(layered(1))["model.layers.0.a.weight"]})
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
