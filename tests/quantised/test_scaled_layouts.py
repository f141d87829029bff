"""Layouts of 8-bit floats with scales beside DeepSeek's: read by definition, written in the same layout again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, assert_same, load, save
from command_line import Result, assert_refused
from eight_bit_oracle import LARGEST, mean, quantised, requantised
from scaled_models import CONFIG, exact, nearest, save_model

from merge.checkpoints.writer import MemorySink
from merge.engine import RunSettings, run
from merge.plan import make_plan
from merge.recipe import Merge, Model, Recipe

Cli = Callable[..., Result]
ROWS, COLUMNS = 300, 200
FLOAT_8 = {"num_bits": 8, "type": "float", "symmetric": True, "dynamic": False}
DYNAMIC = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}


def compressed(strategy: str, **more: Any) -> dict[str, Any]:
    """Return a config.json of compressed-tensors."""
    group = {"weights": {**FLOAT_8, "strategy": strategy, **more}, "input_activations": DYNAMIC, "targets": ["Linear"]}
    settings = {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": group}}
    return {"dtype": "bfloat16", "quantization_config": settings}


PER_TENSOR = {"quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic"}}
ROWWISE = {"quantization_config": {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}}
# config.json, shape of the scales, its block, and how the scale's name goes on from `proj.`
LAYOUTS: dict[str, tuple[dict[str, Any], list[int], tuple[int, int], str]] = {
    "a row, compressed-tensors": (compressed("channel"), [ROWS, 1], (1, COLUMNS), "weight_scale"),
    "a tensor, compressed-tensors": (compressed("tensor"), [1], (ROWS, COLUMNS), "weight_scale"),
    "blocks, compressed-tensors": (
        compressed("block", block_structure=[128, 64]),
        [3, 4],
        (128, 64),
        "weight_scale",
    ),
    "a row, FBGEMM": (ROWWISE, [ROWS, 1], (1, COLUMNS), "weight_scale"),
    "a column": (PER_TENSOR, [1, COLUMNS], (ROWS, 1), "weight_scale"),
    "a number": (PER_TENSOR, [], (ROWS, COLUMNS), "weight_scale"),
    "ComfyUI": ({}, [], (ROWS, COLUMNS), "scale_weight"),
    "ComfyUI, another": ({}, [1], (ROWS, COLUMNS), "weight_scale"),
}


def state_of(case: str, seed: int, scale_type: torch.dtype = torch.float32) -> State:
    """Return a model in a layout: its scale first, so that its place among the names is seen."""
    _, shape, _, name = LAYOUTS[case]
    generator = torch.Generator().manual_seed(seed)
    state: State = {"norm.weight": torch.randn(64, generator=generator).bfloat16()}
    state[f"proj.{name}"] = (torch.rand(shape, generator=generator) * 0.01 + 1e-4).to(scale_type)
    weight = torch.randn(ROWS, COLUMNS, generator=generator) * 60
    state["proj.weight"] = weight.clamp(-448, 448).to(torch.float8_e4m3fn)
    if case.startswith("ComfyUI"):
        state["scaled_fp8"] = torch.empty(2 if seed else 0, dtype=torch.float8_e4m3fn).zero_()
    return state


def values_of(case: str, state: State) -> torch.Tensor:
    """Return the weight that a state stands for."""
    _, _, block, name = LAYOUTS[case]
    scale = state[f"proj.{name}"]
    return nearest(exact(state["proj.weight"], scale if scale.dim() == 2 else scale.reshape(1, 1), block))


def models_of(tmp_path: Path, case: str, *states: State) -> list[Path]:
    return [save_model(tmp_path / f"m{number}", state, LAYOUTS[case][0]) for number, state in enumerate(states)]


@pytest.mark.parametrize("case", LAYOUTS)
def test_read_and_written_again(cli: Cli, tmp_path: Path, case: str) -> None:
    states = [state_of(case, seed) for seed in (1, 2)]
    models = models_of(tmp_path, case, *states)
    block, name = LAYOUTS[case][2:]
    assert cli("soup", *models, "-o", tmp_path / "out").code == 0
    found = load(tmp_path / "out")
    assert found.keys() == states[0].keys()
    codes, scales = requantised(mean(*(values_of(case, state) for state in states)), block)
    assert torch.equal(found[f"proj.{name}"], scales.reshape(LAYOUTS[case][1]))
    assert torch.equal(found["proj.weight"].view(torch.uint8), codes.view(torch.uint8))
    if LAYOUTS[case][0]:
        assert json.loads((tmp_path / "out" / "config.json").read_text()) == LAYOUTS[case][0]
    assert cli("verify", tmp_path / "out").code == 0


@pytest.mark.parametrize("case", LAYOUTS)
def test_copied_and_dequantised(cli: Cli, tmp_path: Path, case: str) -> None:
    state = state_of(case, 1)
    (model,) = models_of(tmp_path, case, state)
    assert cli("cast", model, "-o", tmp_path / "copy").code == 0
    assert_same(load(tmp_path / "copy"), state)
    assert cli("cast", model, "-o", tmp_path / "plain", "--dtype", "bfloat16").code == 0
    wanted = {"norm.weight": state["norm.weight"], "proj.weight": values_of(case, state)}
    assert_same(load(tmp_path / "plain"), wanted)


@pytest.mark.parametrize("case", LAYOUTS)
def test_any_chunk(tmp_path: Path, case: str) -> None:
    """Chunks far smaller than the tensor: a single scale is then found in a pass of its own."""
    wide = {key: tensor.repeat(1, 20) if key == "proj.weight" else tensor for key, tensor in state_of(case, 1).items()}
    wide |= {k: t.repeat(1, 20) for k, t in wide.items() if t.dim() == 2 and t.shape[1] == COLUMNS}
    if "blocks" in case:
        wide["proj.weight_scale"] = torch.rand(3, -(-20 * COLUMNS // 64))
    (model,) = models_of(tmp_path, case, wide)
    outcomes = set()
    for chunk in (2**16, 2**18, 2**22):
        models = tuple(Model(str(model), {"weight": weight}) for weight in (0.3, 0.4))
        plan = make_plan(Recipe(Merge("soup", models)))
        sink = MemorySink(plan.files)
        outcomes.add((run(plan, sink, RunSettings(chunk_elements=chunk)).output_id, bytes(sink._buffers[0])))
        plan.close()
    assert len(outcomes) == 1


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("scale_type", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_every_type_of_weights_and_scales(cli: Cli, tmp_path: Path, kind: torch.dtype, scale_type: torch.dtype) -> None:
    """The scale is the nearest number of its type, and entries go with the rounded one; none is cut off."""
    state = state_of("a row, FBGEMM", 1, scale_type)
    state["proj.weight"] = state["proj.weight"].float().to(kind)
    (model,) = models_of(tmp_path, "a row, FBGEMM", state)
    assert cli("soup", model, model, "-o", tmp_path / "out", "--weights", "0.3,0.4").code == 0
    found, plain = load(tmp_path / "out"), values_of("a row, FBGEMM", state).float()
    outcome = plain * torch.tensor(0.3) + plain * torch.tensor(0.4)
    exact_scale = outcome.double().abs().amax(1, keepdim=True) / LARGEST[kind]
    scale = exact_scale.to(scale_type) if scale_type != torch.bfloat16 else nearest(exact_scale)
    if scale_type == torch.float16:
        scale = scale.clamp(min=2.0**-14)  # smaller ones would have fewer digits
    assert torch.equal(found["proj.weight_scale"], scale)
    codes = quantised(outcome, scale, (1, COLUMNS), kind)
    assert torch.equal(found["proj.weight"].view(torch.uint8), codes.view(torch.uint8))


@pytest.mark.parametrize("stored", [torch.float32, torch.float8_e8m0fnu])
def test_scales_that_are_powers_of_two(cli: Cli, tmp_path: Path, stored: torch.dtype) -> None:
    config = {"quantization_config": {**CONFIG["quantization_config"], "scale_fmt": "ue8m0"}}
    generator = torch.Generator().manual_seed(0)
    state: State = {"w": (torch.randn(300, 200, generator=generator) * 60).to(torch.float8_e4m3fn)}
    powers = torch.exp2(torch.randint(-9, 3, (3, 2), generator=generator).float())
    state["w_scale_inv"] = powers.to(stored)
    model = save_model(tmp_path / "model", state, config)
    assert cli("cast", model, "-o", tmp_path / "copy").code == 0
    assert_same(load(tmp_path / "copy"), state)
    assert cli("soup", model, model, "-o", tmp_path / "out", "--weights", "0.3,0.4").code == 0
    found, plain = load(tmp_path / "out"), exact(state["w"], powers).float()
    outcome = plain * torch.tensor(0.3) + plain * torch.tensor(0.4)
    scales = found["w_scale_inv"].float()
    for number, rows in enumerate(outcome.split(128)):
        for other, part in enumerate(rows.split(128, 1)):
            wanted = 2.0 ** torch.ceil(torch.log2(part.abs().max().double() / 448))
            assert scales[number, other] == wanted
    codes = quantised(outcome, scales, (128, 128))
    assert torch.equal(found["w"].view(torch.uint8), codes.view(torch.uint8))


def test_experts_whose_last_blocks_are_cut_off(cli: Cli, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    states = [
        {
            "up": (torch.randn(3, 130, 200, generator=generator) * 50).to(torch.float8_e4m3fn),
            "up_scale_inv": torch.rand(3, 2, 2, generator=generator),
        }
        for _ in range(2)
    ]
    models = [save_model(tmp_path / str(number), state) for number, state in enumerate(states)]
    assert cli("soup", *models, "-o", tmp_path / "out").code == 0
    found = load(tmp_path / "out")
    for expert in range(3):
        values = [nearest(exact(state["up"][expert], state["up_scale_inv"][expert])) for state in states]
        codes, scales = requantised(mean(*values), (128, 128))
        assert torch.equal(found["up_scale_inv"][expert], scales)
        assert torch.equal(found["up"][expert].view(torch.uint8), codes.view(torch.uint8))


def test_plain_8_bit_files_merge_like_any_float(cli: Cli, tmp_path: Path) -> None:
    """As A1111 saves them: values without scales, rounded to the nearest 8-bit float."""
    states = [{"w": torch.linspace(-3, seed, 99).to(torch.float8_e4m3fn)} for seed in (1, 2)]
    for number, state in enumerate(states):
        save(tmp_path / f"{number}.st", state)
    assert cli("soup", tmp_path / "0.st", tmp_path / "1.st", "-o", tmp_path / "out.st").code == 0
    wanted = mean(*(state["w"].float() for state in states)).to(torch.float8_e4m3fn)
    assert torch.equal(load(tmp_path / "out.st")["w"].view(torch.uint8), wanted.view(torch.uint8))


def _without_scale(state: State) -> State:
    second = {"more.weight": state["proj.weight"].clone()}
    return state | second


REFUSED: dict[str, tuple[str, Callable[[State], State], dict[str, Any], list[str]]] = {
    "a scale is missing": (
        "a row, FBGEMM",
        _without_scale,
        ROWWISE,
        ["'more.weight' is F8_E4M3 and has no scale", "'more.weight_scale' is expected"],
    ),
    "one of ComfyUI is missing": ("ComfyUI", _without_scale, {}, ["'more.scale_weight' is expected"]),
    "whole numbers": (
        "a row, compressed-tensors",
        lambda state: state,
        compressed("channel", type="int"),
        ["compressed-tensors", "CompressedTensorsConfig(dequantize=True)"],
    ),
    "groups": ("a number", lambda state: state, compressed("group", group_size=32), ["compressed-tensors"]),
    "static activations": (
        "a number",
        lambda state: state | {"proj.input_scale": torch.ones(1)},
        compressed("tensor"),
        ["'proj.input_scale' scales activations"],
    ),
    "inputs of ComfyUI": (
        "ComfyUI",
        lambda state: state | {"proj.scale_input": torch.ones(1)},
        {},
        ["'proj.scale_input' scales activations"],
    ),
    "a scale of no weight": (
        "ComfyUI",
        lambda state: state | {"more.scale_weight": torch.ones(1)},
        {},
        ["'more.scale_weight' belongs to no tensor"],
    ),
    "half as many rows": (
        "a row, FBGEMM",
        lambda state: state | {"proj.weight_scale": torch.ones(ROWS // 2, 1)},
        ROWWISE,
        ["does not fit 'proj.weight', [300, 200]"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(cli: Cli, tmp_path: Path, case: str) -> None:
    layout, change, config, words = REFUSED[case]
    model = save_model(tmp_path / "model", change(state_of(layout, 1)), config)
    assert_refused(cli("soup", model, model, "-o", tmp_path / "out"), 1, *words)
