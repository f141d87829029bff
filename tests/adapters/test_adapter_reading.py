"""Any range of a baked tensor has the same bytes, whatever the chunks and the threads, and little memory is used."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from checkpoint_files import bytes_of, save, write_sparse
from command_line import environment
from made_adapters import factors, normal, write_adapter
from threadpoolctl import threadpool_limits

import merge
from merge.adapters import adapted, blocks
from merge.checkpoints.checkpoint import FileCheckpoint
from merge.checkpoints.resolve import open_checkpoint


def read(source: FileCheckpoint, name: str, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    source.read_into(source.tensors[name], offset, memoryview(buffer))
    return bytes(buffer)


@pytest.fixture
def location(tmp_path: Path) -> str:
    """A base with weights in both orientations, with DoRA, of several blocks each."""
    state = {"a.weight": normal(700, 900, dtype=torch.bfloat16), "b.weight": normal(900, 700), "c.weight": normal(7, 3)}
    tensors = factors("a", 700, 900) | factors("b", 700, 900, seed=60) | factors("c", 7, 3, seed=70)
    tensors |= {
        f"{name}.lora_magnitude_vector": normal(size, seed=80).abs()
        for name, size in (("a", 700), ("b", 700), ("c", 7))
    }
    save(tmp_path / "base.st", state)
    write_adapter(tmp_path / "adapter", tensors, use_dora=True, target_modules=["a", "b", "c"])
    return f"{tmp_path / 'base.st'}+{tmp_path / 'adapter'}"


def test_every_range_of_a_small_tensor(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 6)  # blocks of two rows
    source = open_checkpoint(location)
    whole = read(source, "c.weight", 0, 84)
    for first in range(85):
        for last in range(first, 85):
            assert read(source, "c.weight", first, last - first) == whole[first:last]


@pytest.mark.parametrize("loaded", [1, 4])
def test_chunks_and_threads_change_nothing(location: str, loaded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapted, "LOADED", loaded)
    wanted = {name: bytes_of(tensor) for name, tensor in merge.load(location).items()}
    source, step = open_checkpoint(location), 100_003
    pieces = [(name, start) for name in wanted for start in range(0, len(wanted[name]), step)]

    def same(piece: tuple[str, int]) -> bool:
        name, start = piece
        part = wanted[name][start : start + step]
        return read(source, name, start, len(part)) == part

    with threadpool_limits(4, user_api="blas"), ThreadPoolExecutor(6) as crew:
        assert all(crew.map(same, pieces[::2] + pieces[::-1]))
    source.close()


def test_the_limit_on_blas_is_given_back() -> None:
    from threadpoolctl import threadpool_info

    from merge.adapters.blas import _libraries, one_blas_thread

    _libraries.cache_clear()  # another test may have brought scipy's BLAS since; numpy's alone is used

    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_blas_thread(), one_blas_thread():
            inside = threads()
        assert (inside, threads()) == ({1}, before)


_READ = """
import resource, sys
from merge.checkpoints.resolve import open_checkpoint
source = open_checkpoint(sys.argv[1])
tensor, buffer = source.tensors["a.weight"], memoryview(bytearray(4 * 2**20))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source.read_into(tensor, 0, buffer)
before = peak()
for start in range(0, tensor.nbytes, 32 * 2**20):
    source.read_into(tensor, start, buffer)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured in kilobytes on Linux")
def test_a_large_weight_is_never_held_whole(tmp_path: Path) -> None:
    """Half a gigabyte, in pieces of 4 MB; in a process of its own, whose peak no other test has set."""
    rows, columns = 2**15, 2**12
    write_sparse(tmp_path / "base.st", {"a.weight": ("F32", [rows, columns], 4 * rows * columns)})
    write_adapter(tmp_path / "adapter", factors("a", rows, columns), target_modules=["a"])
    location = f"{tmp_path / 'base.st'}+{tmp_path / 'adapter'}"
    found = subprocess.run(
        [sys.executable, "-c", _READ, location], capture_output=True, text=True, check=True, env=environment()
    )
    assert int(found.stdout) < 20_000
