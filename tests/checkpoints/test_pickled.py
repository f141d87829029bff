"""Files of torch.save as inputs: plain tensors with the bytes that torch would load; nothing else is ever run."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import State, assert_same, bytes_of, load, random_state, save
from command_line import assert_refused, contents, environment

import merge
from merge.checkpoints import pickled, pickled_loading
from merge.checkpoints.pickled import PickledCheckpoint
from merge.checkpoints.resolve import open_checkpoint
from merge.dtypes import DTYPES, torch_dtype
from merge.errors import MergeError

Cli = Callable[..., Any]
TYPED = [code for code, dtype in DTYPES.items() if dtype.torch and dtype.bits >= 8]


def write(path: Path, content: object, *, zipped: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def odd_state() -> State:
    """Return tensors as training leaves them: shared, cut out, transposed, scalar, empty, trained."""
    whole = torch.randn(10, 6)
    state = random_state(3) | {"shared": whole, "tied": whole, "rows": whole[2:5], "column": whole[:, 3]}
    state |= {"transposed": whole.t(), "stretched": torch.ones(1, 3).expand(4, 3), "steps": torch.arange(7)[::2]}
    return state | {"parameter": torch.nn.Parameter(torch.randn(3))}


@pytest.mark.parametrize("zipped", [True, False])
def test_every_tensor_as_torch_loads_it(tmp_path: Path, zipped: bool) -> None:
    state = odd_state()
    path = write(tmp_path / "a.pt", state, zipped=zipped)
    found = merge.load(path)
    assert list(found) == list(state)
    assert_same(found, {name: tensor.detach() for name, tensor in state.items()})


@pytest.mark.parametrize("code", TYPED)
def test_every_type_bit_for_bit(tmp_path: Path, code: str) -> None:
    raw = torch.randint(0, 2 if code == "BOOL" else 256, (6, 4 * DTYPES[code].bits // 8), dtype=torch.uint8)
    tensor = raw.view(torch_dtype(code))
    found = merge.load(write(tmp_path / "a.bin", {"w": tensor}))["w"]
    assert bytes_of(found) == bytes_of(tensor)


def test_bytes_are_read_from_the_file_and_not_through_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = odd_state()
    source = open_checkpoint(str(write(tmp_path / "a.ckpt", {"state_dict": state, "optimizer": {"w": torch.ones(99)}})))
    through_torch: list[str] = []
    monkeypatch.setattr(pickled, "_read_rows", lambda tensor, *_: through_torch.append(tensor))
    for info in source.tensors.values():
        source.read_into(info, 0, memoryview(bytearray(info.nbytes)))
    assert len(through_torch) == 4  # those whose entries do not lie side by side


@pytest.mark.parametrize("size", [1, 7, 2**22])
def test_every_range_of_a_tensor_with_gaps(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickled, "BLOCK_BYTES", size)
    tensor = torch.randn(5, 3, 4).transpose(0, 2)
    source = open_checkpoint(str(write(tmp_path / "a.pt", {"w": tensor, "s": tensor[0, :, 0]})))
    for info in source.tensors.values():
        wanted = bytes_of(tensor if info.name == "w" else tensor[0, :, 0])
        for first in range(0, len(wanted), 3):
            for last in range(first, len(wanted) + 1, 5):
                buffer = memoryview(bytearray(last - first))
                source.read_into(info, first, buffer)
                assert bytes(buffer) == wanted[first:last]


@pytest.mark.parametrize("spoil", ["compressed", "other byte order"])
def test_archives_whose_records_do_not_lie_as_they_are(tmp_path: Path, spoil: str) -> None:
    """Then torch reads them."""
    path, again = write(tmp_path / "a.pt", {"w": torch.randn(20, 3)}), tmp_path / "b.pt"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(again, "w") as copy:
        for entry in archive.infolist():
            content = archive.read(entry)
            if entry.filename.endswith("byteorder") and spoil != "compressed":
                content = b"big"
            kind = zipfile.ZIP_DEFLATED if spoil == "compressed" and "/data/" in entry.filename else zipfile.ZIP_STORED
            copy.writestr(entry.filename, content, kind)
    assert bytes_of(merge.load(again)["w"]) == bytes_of(torch.load(again)["w"])
    if spoil == "compressed":
        assert torch.equal(merge.load(again)["w"], torch.load(path)["w"])


def test_an_archive_that_unpacks_to_far_more_than_weights_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, again = write(tmp_path / "a.pt", {"w": torch.zeros(50000)}), tmp_path / "b.pt"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as copy:
        for entry in archive.infolist():
            copy.writestr(entry.filename, archive.read(entry))
    assert not merge.load(again)["w"].any()
    monkeypatch.setattr(pickled_loading, "SMALL_BYTES", 1000)
    with pytest.raises(MergeError, match="far more than weights can be compressed to"):
        merge.load(again)


def test_an_archive_whose_record_has_another_name_in_its_own_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", {"w": torch.zeros(5)})
    path.write_bytes(path.read_bytes().replace(b"byteorder", b"byteOrder", 1))
    with pytest.raises(MergeError, match="damaged"):
        merge.load(path)


WRAPPED = {
    "plain": (lambda state: state, []),
    "lightning": (lambda state: {"epoch": 3, "state_dict": state, "optimizer_states": [{}]}, ["epoch", "optimizer"]),
    "model": (lambda state: {"model": state, "optimizer": {"a": torch.ones(9)}, "args": None}, ["optimizer", "args"]),
    "beside a tensor": (lambda state: {"model_state_dict": state, "loss": torch.tensor(3.0)}, ["loss"]),
    "twice": (lambda state: {"state_dict": {"model": state, "step": 3}, "epoch": 1}, ["epoch", "step"]),
    "parallel": (lambda state: {"module." + name: tensor for name, tensor in state.items()}, ["'module.'"]),
    "parallel in a wrapper": (
        lambda state: {"model": {"module._orig_mod." + name: tensor for name, tensor in state.items()}},
        ["'module.'", "'_orig_mod.'"],
    ),
    "more than tensors": (
        lambda state: state | {"version": "1", 5: torch.ones(2)},
        ["'version' (a str)", "'5' (a tensor of 8 bytes)"],
    ),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_wrappers_and_prefixes(tmp_path: Path, case: str) -> None:
    wrap, words = WRAPPED[case]
    state = random_state(1)
    source = open_checkpoint(str(write(tmp_path / "a.ckpt", wrap(state))))
    assert list(source.tensors) == list(state)
    assert_same(merge.load(tmp_path / "a.ckpt"), state)
    for word in words:
        assert word in " ".join(source.notes)
    assert words or not source.notes


class Bomb:
    """A pickle that would leave a file when loaded."""

    def __reduce__(self) -> Any:
        return (open, ("executed", "w"))


def _no_archive_of_torch(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), a=np.ones(2))
    path.with_suffix(".npz").rename(path)


def _truncated(path: Path, *, zipped: bool) -> None:
    write(path, {"w": torch.ones(100)}, zipped=zipped)
    path.write_bytes(path.read_bytes()[:-50])


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a bomb": (lambda path: write(path, {"w": torch.ones(2), "x": Bomb()}), "io.open'"),
    "an old bomb": (lambda path: write(path, {"w": torch.ones(2), "x": Bomb()}, zipped=False), "io.open'"),
    "a bare bomb": (lambda path: path.write_bytes(pickle.dumps(Bomb())), "torch.save did not write"),
    "a module": (lambda path: write(path, torch.nn.Linear(2, 2)), "torch.nn.modules.linear.Linear"),
    "a list": (lambda path: write(path, [torch.ones(2)]), "a list"),
    "no tensors": (lambda path: write(path, {"epoch": 3}), "'epoch'"),
    "nothing": (lambda path: write(path, {}), "nothing"),
    "no archive of torch": (_no_archive_of_torch, "torch.save did not write"),
    "truncated": (lambda path: _truncated(path, zipped=True), "damaged"),
    "truncated, old": (lambda path: _truncated(path, zipped=False), "ends too early"),
    "complex": (lambda path: write(path, {"w": torch.ones(2, dtype=torch.complex128)}), "torch.complex128"),
    "sparse": (lambda path: write(path, {"w": torch.ones(2, 2).to_sparse()}), "sparse"),
    "without values": (lambda path: write(path, {"w": torch.ones(2, device="meta")}), "meta"),
    "no text": (lambda path: write(path, {"\ud800": torch.ones(2)}), "no valid text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_not_read(cli: Cli, here: Path, pair: tuple[Path, Path], case: str) -> None:
    """One line and exit code 1; nothing of a pickle was executed, nothing is left behind."""
    make, word = REFUSED[case]
    make(here / "bad.pt")
    before = contents(here)
    assert_refused(cli("soup", pair[0], here / "bad.pt", "-o", here / "out.st"), 1, "bad.pt", word)
    assert contents(here) == before
    assert not (here / "executed").exists()


def test_torch_is_never_asked_to_run_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the environment asks torch to, or the name makes it guess."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    write(here / "bad.pt", {"x": Bomb()})
    write(here / "bad.safetensors", {"x": Bomb()})
    for name in ("bad.pt", "bad.safetensors"):
        with pytest.raises(merge.MergeError):
            open_checkpoint(name)
    assert not (here / "executed").exists()


def test_a_program_of_torch_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/a.py"):
            archive.writestr(f"a/{name}", b"")
    with pytest.raises(merge.MergeError, match="TorchScript"):
        open_checkpoint(str(tmp_path / "a.pt"))


def test_merging_pickles_with_safetensors(cli: Cli, here: Path, pair: tuple[Path, Path]) -> None:
    """The same bytes as from two safetensors files, and the same content ids."""
    states = [load(path) for path in pair]
    write(here / "a.ckpt", {"state_dict": states[0]})
    write(here / "b.bin", states[1], zipped=False)
    plain = json.loads(cli("soup", *pair, "-o", "plain.st", "--json").out)
    mixed = json.loads(cli("soup", "a.ckpt", "b.bin", "-o", "mixed.st", "--json").out)
    assert mixed["output_id"] == plain["output_id"]
    assert [model["content_id"] for model in mixed["inputs"]] == [model["content_id"] for model in plain["inputs"]]
    assert cli("verify", "mixed.st").code == 0
    before = (here / "a.ckpt").read_bytes()
    assert_refused(cli("soup", "a.ckpt", "b.bin", "-o", "a.ckpt", "--force"), 2, "the output")
    assert (here / "a.ckpt").read_bytes() == before


def sharded(folder: Path, state: State) -> Path:
    names = list(state)
    shards = {"pytorch_model-1.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
    for shard, held in shards.items():
        write(folder / shard, {name: state[name] for name in held})
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def test_folders(cli: Cli, here: Path) -> None:
    """One file, or shards with an index; outputs are safetensors with the names that loaders look for."""
    state = random_state(1)
    write(here / "one" / "pytorch_model.bin", state)
    write(here / "one" / "training_args.bin", {"x": 1})
    (here / "one" / "config.json").write_text("{}")
    sharded(here / "several", state)
    assert_same(merge.load(here / "one"), state)
    assert_same(merge.load(here / "several"), state)
    assert cli("soup", "one", "several", "-o", "out").code == 0
    assert sorted(path.name for path in (here / "out").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert_same(load(here / "out"), state)


def test_safetensors_are_preferred(tmp_path: Path) -> None:
    write(tmp_path / "pytorch_model.bin", {"x": Bomb()})
    save(tmp_path / "model.safetensors", random_state(2))
    assert_same(merge.load(tmp_path), random_state(2))
    assert not isinstance(open_checkpoint(str(tmp_path)), PickledCheckpoint)


def _index(folder: Path, **changes: str) -> None:
    path = folder / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": json.loads(path.read_text())["weight_map"] | changes}))


BROKEN: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    "a missing shard": (lambda folder: (folder / "pytorch_model-2.bin").unlink(), 1, "pytorch_model-2.bin"),
    "a shard elsewhere": (lambda folder: _index(folder, scale="../x.bin"), 1, "../x.bin"),
    "a missing tensor": (lambda folder: _index(folder, other="pytorch_model-1.bin"), 1, "'other'"),
    "two indexes": (lambda folder: (folder / "x.bin.index.json").write_text("{}"), 2, "several indexes"),
    "two files": (lambda folder: (folder / "pytorch_model.bin.index.json").unlink(), 2, "name one of the files"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders(cli: Cli, here: Path, case: str) -> None:
    spoil, code, word = BROKEN[case]
    spoil(sharded(here / "several", random_state(1)))
    assert_refused(cli("inspect", "several"), code, "several", word)


def test_a_shard_with_more_than_the_index_says(tmp_path: Path) -> None:
    folder = sharded(tmp_path, random_state(1))
    write(folder / "pytorch_model-2.bin", torch.load(folder / "pytorch_model-2.bin") | {"extra": torch.ones(3)})
    source = open_checkpoint(str(folder))
    assert source.tensors.keys() == random_state(1).keys()
    assert any("'extra'" in note for note in source.notes)


def test_a_file_that_changes_ends_a_run(tmp_path: Path) -> None:
    source = open_checkpoint(str(write(tmp_path / "a.pt", random_state(1))))
    source.check_unchanged()
    os.utime(tmp_path / "a.pt", ns=(1, 1))
    with pytest.raises(merge.MergeError, match="changed"):
        source.check_unchanged()


_READ = """
import resource, sys, torch
from merge.checkpoints.resolve import open_checkpoint
torch.ones(2).numpy()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, buffer = peak(), memoryview(bytearray(4 * 2**20))
source = open_checkpoint(sys.argv[1])
for tensor in source.tensors.values():
    source.read_into(tensor, 0, buffer)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured in kilobytes on Linux")
def test_a_large_file_is_never_held_in_memory(tmp_path: Path) -> None:
    """128 MB, read as a merge reads them; in a process of its own, whose peak no other test has set."""
    path = write(tmp_path / "a.pt", {f"{number}.weight": torch.zeros(2**20) for number in range(32)})
    command = [sys.executable, "-c", _READ, str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    assert int(found.stdout) < 40_000
