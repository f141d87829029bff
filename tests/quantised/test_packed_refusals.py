"""Packed weights: every scheme is recognised, by config.json or by names, and refused with the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State
from command_line import Result, assert_refused
from scaled_models import save_model

Cli = Callable[..., Result]
BYTES = torch.zeros(4, 4, dtype=torch.uint8)
WHOLE = torch.zeros(4, 4, dtype=torch.int32)

STATED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "GPTQ": ({"quant_method": "gptq", "bits": 4}, ["(gptq)", "GPTQModel"]),
    "AWQ": ({"quant_method": "awq", "bits": 4}, ["(awq)", "llm-compressor"]),
    "bitsandbytes, 4 bits": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        ["(bitsandbytes 4 bit)", ".dequantize().save_pretrained(OUT)"],
    ),
    "bitsandbytes, 8 bits": (
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        ["(bitsandbytes 8 bit)", ".dequantize().save_pretrained(OUT)"],
    ),
    "HQQ": ({"quant_method": "hqq"}, ["(hqq)", "HqqConfig"]),
    "EETQ": ({"quant_method": "eetq"}, ["(eetq)", "EetqConfig"]),
    "AQLM": ({"quant_method": "aqlm"}, ["(aqlm)", "codebooks"]),
    "torchao": ({"quant_method": "torchao"}, ["(torchao)", "weight.dequantize()"]),
    "quanto": ({"quant_method": "quanto"}, ["(quanto)", "QuantoConfig"]),
    "MXFP4": ({"quant_method": "mxfp4"}, ["(mxfp4)", "Mxfp4Config(dequantize=True)"]),
    "NVFP4": ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, ["(modelopt)", "blocks of 16"]),
    "NVFP4, compressed": (
        {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
        ["(compressed-tensors)", "blocks of 16"],
    ),
    "packed integers": (
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        ["(compressed-tensors)", "CompressedTensorsConfig(dequantize=True)"],
    ),
    "unheard of": ({"quant_method": "zip2"}, ["(zip2)", "not known here"]),
}


@pytest.mark.parametrize("case", STATED)
def test_what_config_json_states(cli: Cli, tmp_path: Path, case: str) -> None:
    stated, words = STATED[case]
    model = save_model(tmp_path / "model", {"a.weight": BYTES}, {"quantization_config": stated})
    assert_refused(cli("soup", model, model, "-o", tmp_path / "out"), 1, "states quantised weights", *words)
    assert cli("inspect", model).code == 0


NAMES: dict[str, tuple[State, list[str]]] = {
    "GPTQ or AWQ": ({"a.qweight": WHOLE, "a.scales": torch.ones(2)}, ["'a.qweight'", "GPTQ or AWQ"]),
    "bitsandbytes, 4 bits": (
        {"a.weight": BYTES, "a.weight.absmax": torch.ones(2), "a.weight.quant_state.bitsandbytes__nf4": BYTES + 1},
        ["'a.weight.absmax'", "bitsandbytes", ".dequantize()"],
    ),
    "bitsandbytes, 8 bits": ({"a.weight": BYTES.char(), "a.SCB": torch.ones(4)}, ["'a.SCB'", "bitsandbytes"]),
    "HQQ": ({"a.W_q": BYTES}, ["'a.W_q'", "HQQ"]),
    "AQLM": ({"a.codes": WHOLE, "a.codebooks": torch.ones(2)}, ["'a.codebooks'", "AQLM"]),
    "quanto": ({"a.weight._data": BYTES.char(), "a.weight._scale": torch.ones(2)}, ["'a.weight._data'", "quanto"]),
    "MXFP4": (
        {"e.gate_up_proj_blocks": BYTES, "e.gate_up_proj_scales": BYTES + 1},
        ["'e.gate_up_proj_blocks'", "MXFP4", "two a byte"],
    ),
    "NVFP4": ({"a.weight": BYTES, "a.weight_scale_2": torch.ones(())}, ["'a.weight_scale_2'", "NVFP4"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_what_names_tell(cli: Cli, tmp_path: Path, case: str) -> None:
    state, words = NAMES[case]
    model = save_model(tmp_path / "model", state, {})
    assert_refused(cli("soup", model, model, "-o", tmp_path / "out"), 1, "looks like packed weights", *words)


def test_names_that_others_have_too(cli: Cli, tmp_path: Path) -> None:
    """Codebooks without codes, and blocks that are floats."""
    state = {"q.codebooks": torch.ones(2, 2), "body_blocks": torch.ones(2), "body_scales": torch.ones(2)}
    model = save_model(tmp_path / "model", state, {})
    assert cli("soup", model, model, "-o", tmp_path / "out").code == 0
