"""Write checkpoints with the format's own library, or byte by byte where it would refuse to write such a thing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

State = dict[str, torch.Tensor]


def save(path: Path, state: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a safetensors file with the format's own library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path, metadata)
    return path


def load(path: Path) -> State:
    """Read a file, or the one or several files of a folder, with the format's own library."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as opened:
        return opened.metadata()


def write_raw(path: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    """Write a file with any header: a mapping, or bytes as they are; ``length`` may lie."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def raw_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return a file's header and the position at which its data begin."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), 8 + length


def write_sparse(path: Path, layout: Mapping[str, tuple[str, list[int], int]]) -> Path:
    """Write a file of zeros that takes no disk: name to dtype, shape and size in bytes."""
    header, position = {}, 0
    for name, (dtype, shape, nbytes) in layout.items():
        header[name] = entry(dtype, shape, position, position + nbytes)
        position += nbytes
    path.parent.mkdir(parents=True, exist_ok=True)
    write_raw(path, header)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size + position)
    return path


def random_state(seed: int, dtype: torch.dtype = torch.bfloat16) -> State:
    """Return a few tensors such as a model has: matrices, vectors, a scalar, an empty one, a counter."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed.weight": (40, 16), "layers.0.w": (16, 16), "layers.0.norm": (16,), "layers.1.w": (16, 16)}
    shapes |= {"layers.1.norm": (16,), "scale": (), "nothing": (0, 3)}
    state = {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}
    return state | {"steps": torch.tensor(3)}


def equal_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two tensors have one type, shape and bit pattern; NaN equals itself, -0 does not equal 0."""
    same = one.dtype == other.dtype and one.shape == other.shape
    return same and bytes_of(one) == bytes_of(other)


def bytes_of(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def assert_same(found: State, wanted: State) -> None:
    """Assert the same names, types, shapes and bits."""
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        unlike = (
            (found[name] != tensor).sum().item()
            if tensor.dtype.is_floating_point and tensor.dtype.itemsize > 1
            else "?"
        )
        assert equal_bits(found[name], tensor), f"{name}: {unlike} of {tensor.numel()} differ"
