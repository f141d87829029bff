"""What no single layout of scales can hold, or nothing would state, is written without scales."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import assert_same, load
from command_line import Result
from scaled_models import plain, random_scaled, save_model

Cli = Callable[..., Result]
SMALL = (64, 32)
SMALL_CONFIG = {
    "model_type": "tiny",
    "quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": list(SMALL)},
}


def test_a_tensor_of_another_layout_that_only_one_model_has_takes_the_scales_of_all(cli: Cli, tmp_path: Path) -> None:
    state, other = random_scaled(0), random_scaled(1, block=SMALL)
    weight, scale = other.pop("d.weight"), other.pop("d.weight_scale_inv")
    more = other | {"z.weight": weight, "z.weight_scale_inv": scale}
    del state["d.weight"], state["d.weight_scale_inv"]
    one, two = save_model(tmp_path / "one", state), save_model(tmp_path / "two", more, SMALL_CONFIG)
    result = cli("soup", one, two, "-o", tmp_path / "out", "--missing", "average-present")
    assert result.code == 0, result.err
    assert "the models store their weights in different ways" in result.out
    assert torch.equal(load(tmp_path / "out" / "model.safetensors")["z.weight"], plain(more, SMALL)["z.weight"])
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_single_file_cannot_state_blocks(cli: Cli, tmp_path: Path) -> None:
    state = random_scaled(0, block=SMALL)
    model = save_model(tmp_path / "one", state, SMALL_CONFIG)
    result = cli("cast", model, "-o", tmp_path / "out.safetensors")
    assert result.code == 0, result.err
    assert "a single file cannot say that its blocks are of 64 x 32" in result.out
    assert_same(load(tmp_path / "out.safetensors"), plain(state, SMALL))


@pytest.mark.parametrize("shards", [(), ("--max-shard-size", "100KB")])
def test_a_folder_states_them(cli: Cli, tmp_path: Path, shards: tuple[str, ...]) -> None:
    model = save_model(tmp_path / "one", random_scaled(0, block=SMALL), SMALL_CONFIG)
    result = cli("cast", model, "-o", tmp_path / "out", *shards)
    assert result.code == 0, result.err
    assert "stay 8-bit floats" in result.out


def test_a_single_file_has_the_usual_blocks(cli: Cli, tmp_path: Path) -> None:
    state = random_scaled(0)
    result = cli("cast", save_model(tmp_path / "one", state), "-o", tmp_path / "out.safetensors")
    assert result.code == 0, result.err
    assert_same(load(tmp_path / "out.safetensors"), state)
