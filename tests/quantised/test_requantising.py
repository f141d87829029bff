"""Merges of 8-bit floats with scales that write such again: against the definition, and bit for bit where copied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, assert_same, load, save
from command_line import Result
from eight_bit_oracle import mean, requantised
from safetensors import safe_open
from scaled_models import CONFIG, SHAPES, plain, random_scaled, save_model

from merge.checkpoints.writer import MemorySink
from merge.engine import RunSettings, run
from merge.plan import make_plan
from merge.recipe import Merge, Model, Recipe

Cli = Callable[..., Result]
BLOCK = (128, 128)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two scaled models; the second one has scales of another type, in another file."""
    one = save_model(tmp_path / "one", random_scaled(1))
    return one, save_model(tmp_path / "two", random_scaled(2, torch.bfloat16), apart=True)


def names_in(path: Path) -> list[str]:
    with safe_open(path, "pt") as opened:
        return list(opened.offset_keys())


def wanted_soup(one: State, two: State, block: tuple[int, int] = BLOCK) -> State:
    """Return what the soup of two scaled models is, by definition."""
    first, second = plain(one, block), plain(two, block)
    found: State = {}
    for name in one:
        if f"{name}_scale_inv" in one:
            found[name], found[f"{name}_scale_inv"] = requantised(mean(first[name], second[name]), block)
        elif name in first:
            found[name] = mean(first[name], second[name]).bfloat16()
    return found


def test_a_soup_is_quantised_from_what_was_computed(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("soup", *pair, "-o", tmp_path / "out").code == 0
    assert_same(load(tmp_path / "out"), wanted_soup(random_scaled(1), random_scaled(2, torch.bfloat16)))


def test_the_layout_is_the_first_models(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    result = cli("soup", *pair, "-o", tmp_path / "out")
    assert "6 weights stay 8-bit floats with scales" in result.out
    out = tmp_path / "out"
    assert names_in(out / "model.safetensors") == names_in(pair[0] / "model.safetensors")
    assert (out / "config.json").read_text() == (pair[0] / "config.json").read_text()
    dtypes = {name: tensor.dtype for name, tensor in load(out).items()}
    assert dtypes == {name: tensor.dtype for name, tensor in random_scaled(1).items()}


@pytest.mark.parametrize("block", [(64, 32), (1, 128), (100, 7), (300, 256)])
def test_blocks_of_any_size_and_ragged_edges(cli: Cli, tmp_path: Path, block: tuple[int, int]) -> None:
    config = {**CONFIG, "quantization_config": {**CONFIG["quantization_config"], "weight_block_size": list(block)}}
    states = [random_scaled(seed, block=block) for seed in (3, 4)]
    models = [save_model(tmp_path / str(number), state, config) for number, state in enumerate(states)]
    assert cli("soup", *models, "-o", tmp_path / "out").code == 0
    assert_same(load(tmp_path / "out"), wanted_soup(*states, block))


def test_a_type_that_is_asked_for_dequantises(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    result = cli("soup", *pair, "-o", tmp_path / "out", "--dtype", "bfloat16")
    assert "without scales, which takes twice the room" in result.out
    assert {tensor.dtype for tensor in load(tmp_path / "out").values()} == {torch.bfloat16}
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_plain_base_decides(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", plain(random_scaled(0)), {"torch_dtype": "bfloat16"})
    assert cli("ties", *pair, "--base", base, "-o", tmp_path / "out").code == 0
    assert load(tmp_path / "out").keys() == plain(random_scaled(0)).keys()


@pytest.mark.parametrize("method", ["soup", "ties", "slerp", "della", "dare"])
def test_the_same_bytes_for_any_chunk_and_thread_count(tmp_path: Path, pair: tuple[Path, Path], method: str) -> None:
    base = save_model(tmp_path / "base", random_scaled(7))
    outcomes = set()
    for chunk in (2**16, 2**17, 2**20):
        for threads in (1, 3):
            models = tuple(Model(str(model)) for model in pair)
            task = method in ("ties", "della", "dare")
            plan = make_plan(Recipe(Merge(method, models, Model(str(base)) if task else None)))
            sink = MemorySink(plan.files)
            found = run(plan, sink, RunSettings(threads=threads, chunk_elements=chunk, device="cpu"))
            outcomes.add((found.output_id, bytes(sink._buffers[0])))
            plan.close()
    assert len(outcomes) == 1


def test_the_same_bytes_by_several_processes(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("soup", *pair, "-o", tmp_path / "alone").code == 0
    assert cli("soup", *pair, "-o", tmp_path / "shared", "--workers", 2).code == 0
    files = [tmp_path / name / "model.safetensors" for name in ("alone", "shared")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_shards_hold_weights_with_their_scales(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("soup", *pair, "-o", tmp_path / "whole").code == 0
    assert cli("soup", *pair, "-o", tmp_path / "out", "--max-shard-size", "200KB").code == 0
    weight_map = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())["weight_map"]
    assert weight_map.keys() == random_scaled(1).keys()
    assert len(set(weight_map.values())) > 1
    assert all(weight_map[f"{name}.weight"] == weight_map[f"{name}.weight_scale_inv"] for name in SHAPES)
    assert_same(load(tmp_path / "out"), load(tmp_path / "whole"))


COPIES: dict[str, list[Any]] = {
    "cast": ["cast", "one"],
    "passthrough": ["passthrough", "one"],
    "kept": ["soup", "one", "two", "--keep", "*"],
    "the base of a merge that changes nothing": ["task-arithmetic", "two", "--base", "one", "--keep", "*.weight"],
}


@pytest.mark.parametrize("case", COPIES)
def test_copies_are_bit_for_bit(
    cli: Cli, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli(*COPIES[case], "-o", "out").code == 0
    assert_same(load(tmp_path / "out"), random_scaled(1))
    assert names_in(tmp_path / "out" / "model.safetensors") == names_in(pair[0] / "model.safetensors")


def test_what_only_one_model_has_keeps_its_bytes(cli: Cli, tmp_path: Path) -> None:
    one, two = random_scaled(1), random_scaled(2)
    other = {name: tensor for name, tensor in two.items() if not name.startswith("d.")}
    models = [save_model(tmp_path / "one", one), save_model(tmp_path / "two", other)]
    assert cli("soup", *models, "-o", tmp_path / "out", "--missing", "average-present").code == 0
    found = load(tmp_path / "out")
    for name in ("d.weight", "d.weight_scale_inv"):
        assert torch.equal(found[name].view(torch.uint8), one[name].view(torch.uint8))
    assert not torch.equal(found["a.weight"].view(torch.uint8), one["a.weight"].view(torch.uint8))


def test_a_block_of_zeros_has_the_scale_1(cli: Cli, tmp_path: Path) -> None:
    state = random_scaled(1)
    state["d.weight"] = state["d.weight"].clone()
    state["d.weight"][:128, 128:] = 0
    model = save_model(tmp_path / "model", state)
    assert cli("soup", model, model, "-o", tmp_path / "out", "--weights", "0.25,0.5").code == 0
    found = load(tmp_path / "out")
    assert found["d.weight_scale_inv"][0, 1] == 1
    assert not found["d.weight"][:128, 128:].float().any()


def test_verify_repeats_and_finds_a_changed_scale(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("soup", *pair, "-o", tmp_path / "out").code == 0
    assert "14 tensors" in cli("verify", tmp_path / "out").out
    state = load(tmp_path / "out")
    state["a.weight_scale_inv"] = state["a.weight_scale_inv"] * 2
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as opened:
        metadata = opened.metadata()
    save(tmp_path / "out" / "model.safetensors", state, metadata=metadata)
    found = cli("verify", tmp_path / "out", "--json")
    assert found.code == 1
    assert json.loads(found.out)["differing_tensors"] == ["a.weight_scale_inv"]


def test_the_plan_lists_scales(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    plan = json.loads(cli("soup", *pair, "-o", tmp_path / "out", "--dry-run", "--json").out)
    listed = {tensor["name"]: tensor for tensor in plan["tensors"]}
    assert listed.keys() == random_scaled(1).keys()
    assert listed["a.weight_scale_inv"]["reason"] == "scales of 'a.weight'"
    assert plan["bytes_written"] == sum(tensor.nbytes for tensor in random_scaled(1).values())
    assert "6 F8_E4M3" in cli("soup", *pair, "-o", tmp_path / "out", "--dry-run").out


def test_outputs_are_inputs_again(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("soup", *pair, "-o", tmp_path / "out").code == 0
    assert cli("soup", tmp_path / "out", pair[0], "-o", tmp_path / "again").code == 0
    assert cli("verify", tmp_path / "again").code == 0


def test_a_model_with_an_adapter_is_quantised_again(cli: Cli, tmp_path: Path) -> None:
    state = random_scaled(1)
    base = save_model(tmp_path / "base", state)
    generator = torch.Generator().manual_seed(2)
    factors = {
        "base_model.model.a.lora_A.weight": torch.randn(2, 200, generator=generator) / 9,
        "base_model.model.a.lora_B.weight": torch.randn(300, 2, generator=generator) / 9,
    }
    save(tmp_path / "adapter" / "adapter_model.safetensors", factors)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["a"], "base_model_name_or_path": "x"}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    assert cli("cast", f"{base}+{tmp_path / 'adapter'}", "-o", tmp_path / "out").code == 0
    found = load(tmp_path / "out")
    added = factors["base_model.model.a.lora_B.weight"] @ factors["base_model.model.a.lora_A.weight"]
    baked = (plain(state)["a.weight"].float() + added).bfloat16()
    codes, scales = requantised(baked.float(), BLOCK)
    assert torch.equal(found["a.weight_scale_inv"], scales)
    assert (found["a.weight"].view(torch.uint8) != codes.view(torch.uint8)).float().mean() < 0.01  # of the last bit
    assert torch.equal(found["b.weight"].view(torch.uint8), state["b.weight"].view(torch.uint8))
