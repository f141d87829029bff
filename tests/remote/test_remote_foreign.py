"""Packed weights and files of other programs on the hub: refused by name, before any weight is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import Result, assert_refused
from scaled_models import save_model
from stand_in import Repository, StandIn, repository

Cli = Callable[..., Result]
FILES = {
    "model-Q4.gguf": "a GGUF file",
    "flax_model.msgpack": "weights of Flax",
    "tf_model.h5": "an HDF5 file",
    "model.onnx": "an ONNX file",
}


def test_on_the_hub_before_any_weight_is_read(hub: StandIn, here: Path, cli: Cli) -> None:
    config = {"quantization_config": {"quant_method": "gptq"}}
    state = {"a.qweight": torch.zeros(2**20, dtype=torch.int32)}
    hub.models["me/packed"] = repository(save_model(here / "packed", state, config))
    assert_refused(cli("soup", "me/packed", "me/packed", "-o", "out"), 1, "(gptq)", "GPTQModel")
    assert hub.sent() < 2**20


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_programs(hub: StandIn, here: Path, cli: Cli, name: str) -> None:
    hub.models = {"me/other": Repository({"main": {name: b"\x81" * 100, "README.md": b""}})}
    assert_refused(cli("inspect", "me/other"), 1, "me/other", FILES[name])
    assert_refused(cli("inspect", f"hf://me/other/{name}"), 1, name, FILES[name])
