"""Input files that are not what they should be: one line, exit code 1, nothing left behind, inputs untouched."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch
from checkpoint_files import entry, random_state, save, write_raw
from command_line import assert_refused, contents

OPEN = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def good(dtype="F32", shape=(2,), begin=0, end=8):
    return {"w": entry(dtype, list(shape), begin, end)}


class Bomb:
    """A pickle that would leave a file when loaded."""

    def __reduce__(self):
        return (open, ("executed", "w"))


def _pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def _torch_pickle(path):
    torch.save({"w": Bomb()}, path)


DAMAGED = {
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "a few bytes": (lambda path: path.write_bytes(b"abc"), "not a safetensors file"),
    "text": (lambda path: path.write_text("# a readme that is long enough to have a length"), "not a safetensors file"),
    "pickle": (_pickle, "pickle"),
    "torch pickle": (_torch_pickle, "pickle"),
    "gguf": (lambda path: path.write_bytes(b"GGUF" + bytes(60)), "GGUF"),
    "length alone": (lambda path: path.write_bytes((2).to_bytes(8, "little")), "not a safetensors file"),
    "header longer than the file": (lambda path: write_raw(path, good(), bytes(8), length=5000), "5,000 bytes"),
    "header bomb": (lambda path: write_raw(path, good(), bytes(8), length=10**8 + 1), "100 MB"),
    "huge header length": (lambda path: write_raw(path, good(), bytes(8), length=2**64 - 1), "100 MB"),
    "nested json": (lambda path: write_raw(path, b'{"w":' + b"[" * 100_000), "no JSON"),
    "broken json": (lambda path: write_raw(path, OPEN, bytes(8)), "no JSON"),
    "utf-16 json": (lambda path: write_raw(path, (OPEN + b"}").decode().encode("utf-16-le"), bytes(8)), "no JSON"),
    "lone surrogate": (lambda path: write_raw(path, OPEN.replace(b"w", b"\xed\xa0\x80") + b"}", bytes(8)), ""),
    "escaped lone surrogate": (lambda path: write_raw(path, OPEN.replace(b"w", b"\\ud800") + b"}", bytes(8)), ""),
    "truncated data": (lambda path: write_raw(path, good(), bytes(7)), "truncated: 1 bytes"),
    "bytes behind": (lambda path: write_raw(path, good(), bytes(9)), "1 bytes follow"),
    "offsets out of range": (lambda path: write_raw(path, good(begin=8, end=16), bytes(8)), "'w'"),
    "negative offset": (lambda path: write_raw(path, good(begin=-8, end=0), bytes(8)), "'w'"),
    "end before begin": (lambda path: write_raw(path, good(begin=8, end=0), bytes(8)), "'w'"),
    "overlap": (lambda path: write_raw(path, good() | {"v": entry("F32", [2], 4, 12)}, bytes(12)), "overlaps"),
    "gap": (lambda path: write_raw(path, good() | {"v": entry("F32", [2], 12, 20)}, bytes(20)), "gap"),
    "duplicate": (lambda path: write_raw(path, OPEN + b"," + OPEN[1:] + b"}", bytes(8)), "twice"),
    "escaped duplicate": (lambda path: write_raw(path, OPEN + b',"\\u0077":' + OPEN[5:] + b"}", bytes(8)), "twice"),
    "duplicate metadata": (lambda path: write_raw(path, b'{"__metadata__":{},"__metadata__":{"a":"b"}}'), "twice"),
    "size and shape differ": (lambda path: write_raw(path, good(shape=(3,)), bytes(8)), "'w'"),
    "negative shape": (lambda path: write_raw(path, good(shape=(-1, -2)), bytes(8)), "'w'"),
    "fractional shape": (lambda path: write_raw(path, good(shape=(2.0,)), bytes(8)), "'w'"),
    "boolean shape": (lambda path: write_raw(path, good(shape=(True, 2)), bytes(8)), "'w'"),
    "shape is text": (
        lambda path: write_raw(path, {"w": {"dtype": "F32", "shape": "", "data_offsets": [0, 4]}}, bytes(4)),
        "'w'",
    ),
    "unknown dtype": (lambda path: write_raw(path, good(dtype="F99"), bytes(8)), "F99"),
    "dtype is a list": (lambda path: write_raw(path, good(dtype=["F32"]), bytes(8)), "'w'"),
    "no offsets": (lambda path: write_raw(path, {"w": {"dtype": "F32", "shape": [2]}}, bytes(8)), "'w'"),
    "entry is a number": (lambda path: write_raw(path, {"w": 3}, bytes(8)), "'w'"),
    "metadata is a list": (lambda path: write_raw(path, {"__metadata__": []}), "__metadata__"),
    "metadata holds a number": (lambda path: write_raw(path, {"__metadata__": {"a": 1}}), "__metadata__"),
    "narrow type in half a byte": (lambda path: write_raw(path, {"w": entry("F4", [3], 0, 2)}, bytes(2)), "'w'"),
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("position", [0, 1])
def test_damaged_files(cli, here, pair, case, position):
    make, word = DAMAGED[case]
    bad = here / "bad.safetensors"
    make(bad)
    models = [pair[0], pair[1]]
    models[position] = bad
    before = contents(here)
    assert_refused(cli("soup", *models, "-o", here / "out.st"), 1, "bad.safetensors", word)
    assert contents(here) == before


def sharded(folder):
    save(folder / "model-1.safetensors", {"a": torch.ones(2)})
    save(folder / "model-2.safetensors", {"b": torch.ones(2)})
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    write_index(folder, index)
    return folder


def write_index(folder, index):
    (folder / "model.safetensors.index.json").write_text(index if isinstance(index, str) else json.dumps(index))


def _weight_map(folder, **changes):
    write_index(folder, {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"} | changes})


BROKEN_FOLDERS = {
    "missing shard": (lambda f: (f / "model-2.safetensors").unlink(), "model-2.safetensors", "missing"),
    "index names a tensor too many": (lambda f: _weight_map(f, c="model-2.safetensors"), "'c'", "model-2.safetensors"),
    "tensor is in the other shard": (lambda f: _weight_map(f, a="model-2.safetensors"), "'a'", "does not hold"),
    "shard outside": (lambda f: _weight_map(f, a="../a.st"), "outside", "../a.st"),
    "shard is absolute": (lambda f: _weight_map(f, a="/etc/passwd"), "outside", "passwd"),
    "shard is a folder": (lambda f: _weight_map(f, a="."), "outside", "index.json"),
    "index is no json": (lambda f: write_index(f, "{"), "JSON", "index.json"),
    "index is a list": (lambda f: write_index(f, "[]"), "JSON object", "index.json"),
    "index is empty": (lambda f: write_index(f, {}), "weight_map", "index.json"),
    "weight map is empty": (lambda f: write_index(f, {"weight_map": {}}), "weight_map", "index.json"),
    "weight map of numbers": (lambda f: _weight_map(f, a=1), "weight_map", "index.json"),
    "damaged shard": (lambda f: (f / "model-2.safetensors").write_bytes(b"x" * 50), "model-2", "not a safetensors"),
}


@pytest.mark.parametrize("case", BROKEN_FOLDERS)
def test_broken_folders(cli, here, case):
    breaks, *words = BROKEN_FOLDERS[case]
    one, two = sharded(here / "one"), sharded(here / "two")
    breaks(two)
    before = contents(here)
    assert_refused(cli("soup", one, two, "-o", here / "out"), 1, *words)
    assert contents(here) == before


def test_folders_without_weights_or_with_several(cli, here, pair):
    (here / "empty").mkdir()
    (here / "several").mkdir()
    for name in ("x", "y"):
        shutil.copy(pair[0], here / "several" / f"{name}.safetensors")
    assert_refused(cli("soup", "empty", pair[0], "-o", "out.st"), 2, "empty", "no safetensors file")
    assert_refused(cli("soup", "several", pair[0], "-o", "out.st"), 2, "several", "x.safetensors, y.safetensors")


def test_a_path_that_is_not_there_has_a_suggestion(cli, here, pair):
    assert_refused(cli("soup", "aa.st", "b.st", "-o", "out.st"), 2, "aa.st", "no such file", "did you mean 'a.st'?")


def test_special_files_are_refused_without_waiting(cli, here, pair):
    import os

    os.mkfifo(here / "pipe")
    assert_refused(cli("soup", "pipe", "b.st", "-o", "out.st"), 1, "pipe")


def test_a_file_that_changes_while_it_is_read(cli, here, pair, monkeypatch):
    """Truncated after planning: an error, not a merge of what is no longer there."""
    from merge.checkpoints import local_destination

    former = local_destination.check_space

    def shorten(*arguments):
        pair[1].write_bytes(pair[1].read_bytes()[:-64])
        return former(*arguments)

    monkeypatch.setattr(local_destination, "check_space", shorten)
    assert_refused(cli("soup", *pair, "-o", here / "out.st"), 1, "b.st", "shorter")
    assert set(contents(here)) == {"a.st", "b.st"}


def test_a_quantised_model_is_refused(cli, here):
    for name in "ab":
        save(here / name / "model.safetensors", {"w": torch.ones(2)})
        (here / name / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    assert_refused(cli("soup", "a", "b", "-o", "out"), 1, "gptq")
    packed = save(here / "packed.st", random_state(0) | {"layer.qweight": torch.ones(2, dtype=torch.int32)})
    assert_refused(cli("soup", packed, packed, "-o", "out"), 1, "layer.qweight")
