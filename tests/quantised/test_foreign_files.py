"""Files of other programs, under any name, alone and in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, assert_refused

Cli = Callable[..., Result]

BY_CONTENT = {
    b"GGUF\x03\x00\x00\x00": ["a GGUF file", "convert_hf_to_gguf.py", "gguf_file=FILE"],
    b"lmgg\x00\x00\x00\x00": ["a GGML file"],
    b"tjgg\x03\x00\x00\x00": ["a GGML file"],
    b"\x89HDF\r\n\x1a\n": ["an HDF5 file", "from_tf=True"],
}
BY_NAME = {
    "flax_model.msgpack": ["weights of Flax", "from_flax=True"],
    "tf_model.h5": ["an HDF5 file"],
    "model.onnx": ["an ONNX file", "export the outcome"],
    "saved_model.pb": ["a file of TensorFlow"],
    "__0_0.distcp": ["a distributed checkpoint of torch (FSDP)", "dcp_to_torch"],
}


@pytest.mark.parametrize("start", BY_CONTENT)
@pytest.mark.parametrize("name", ["model.gguf", "model.safetensors", "model"])
def test_known_by_content(cli: Cli, here: Path, start: bytes, name: str) -> None:
    (here / name).write_bytes(start + bytes(100))
    assert_refused(cli("inspect", name), 1, name, *BY_CONTENT[start])


@pytest.mark.parametrize("name", BY_NAME)
def test_known_by_name(cli: Cli, here: Path, name: str) -> None:
    (here / name).write_bytes(b"\x81" * 100)
    assert_refused(cli("inspect", name), 1, name, *BY_NAME[name])


@pytest.mark.parametrize("name", [*BY_NAME, "model.gguf", "a-model.Q4_K_M"])
def test_folders_that_have_nothing_else(cli: Cli, here: Path, name: str) -> None:
    (here / "folder").mkdir()
    (here / "folder" / "config.json").write_text("{}")
    (here / "folder" / name).write_bytes(b"GGUF" + bytes(100) if name not in BY_NAME else b"\x81" * 100)
    words = BY_NAME.get(name, ["a GGUF file"])
    assert_refused(cli("soup", "folder", "folder", "-o", "out"), 1, "folder", *words)


def test_safetensors_beside_them_are_read(cli: Cli, here: Path, pair: tuple[Path, Path]) -> None:
    (here / "folder").mkdir()
    (here / "folder" / "model.safetensors").write_bytes(pair[0].read_bytes())
    (here / "folder" / "model.gguf").write_bytes(b"GGUF" + bytes(100))
    assert cli("inspect", "folder").code == 0


SHARDED = {
    "DeepSpeed": (
        ["zero_to_fp32.py", "latest", "global_step5/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"],
        ["DeepSpeed ZeRO", "python zero_to_fp32.py"],
    ),
    "FSDP": (["pytorch_model_fsdp_0/__0_0.distcp", "pytorch_model_fsdp_0/.metadata"], ["(FSDP)", "fsdp_0 OUT.pt"]),
    "FSDP itself": (["__0_0.distcp", ".metadata"], ["(FSDP)", "dcp_to_torch"]),
    "Megatron": (["mp_rank_00/model_optim_rng.pt", "mp_rank_01/model_optim_rng.pt"], ["Megatron"]),
    "a trainer's": (
        ["training_args.bin", "rng_state_0.pth", "scheduler.pt", "global_step5/zero_pp_rank_0_mp_rank_00.pt"],
        ["DeepSpeed ZeRO"],
    ),
}


@pytest.mark.parametrize("case", SHARDED)
def test_checkpoints_of_which_every_process_saved_a_part(cli: Cli, here: Path, case: str) -> None:
    names, words = SHARDED[case]
    for name in names:
        (here / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "run" / name).write_bytes(b"x")
    assert_refused(cli("soup", "run", "run", "-o", "out"), 1, "run", *words)
