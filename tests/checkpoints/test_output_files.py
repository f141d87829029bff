"""What a written file looks like: layout, metadata, bits of what is only copied, shards, companions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from checkpoint_files import assert_same, entry, load, metadata_of, random_state, raw_header, save, write_raw
from safetensors import safe_open

from merge.dtypes import DTYPES

COPIED = [code for code, dtype in DTYPES.items() if dtype.kind != "float"]
BY_TORCH = {code: dtype.torch for code, dtype in DTYPES.items() if dtype.torch}


def raw_copies(path, seed: int, sizes: dict[str, tuple[list[int], int]]):
    """Write one tensor of every type that is only copied, with any bytes, and one that merges."""
    header, position = {"w": entry("F32", [2], 0, 8)}, 8
    for code, (shape, nbytes) in sizes.items():
        header[f"copied.{code}"] = entry(code, shape, position, position + nbytes)
        position += nbytes
    data = np.random.default_rng(seed).integers(0, 2, position, dtype=np.uint8)
    return write_raw(path, header, bytes(8) + data[8:].tobytes())


SIZES = {code: ([4, 6], 24 * DTYPES[code].bits // 8) for code in COPIED}


def test_what_has_no_arithmetic_is_copied_bit_for_bit(cli, tmp_path):
    one, two = (raw_copies(tmp_path / f"{seed}.st", seed, SIZES) for seed in (1, 2))
    result = cli("soup", one, two, "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    before, start_before = raw_header(one)
    after, start_after = raw_header(tmp_path / "out.st")
    for code in COPIED:
        name = f"copied.{code}"
        assert (after[name]["dtype"], after[name]["shape"]) == (code, [4, 6])
        assert read(tmp_path / "out.st", after[name], start_after) == read(one, before[name], start_before), code
    assert f"{len(COPIED) - 1} more" in result.err  # they differ, which is said once


def read(path, found, start) -> bytes:
    first, last = found["data_offsets"]
    return path.read_bytes()[start + first : start + last]


def test_copies_stay_when_the_output_type_changes(cli, tmp_path):
    one, two = (raw_copies(tmp_path / f"{seed}.st", 1, SIZES) for seed in (1, 2))
    assert cli("soup", one, two, "--dtype", "bf16", "-o", tmp_path / "out.st").code == 0
    header, _ = raw_header(tmp_path / "out.st")
    assert {name: header[name]["dtype"] for name in header if name != "__metadata__"} == {
        "w": "BF16",
        **{f"copied.{code}": code for code in COPIED},
    }


def test_data_start_at_a_page_and_no_tensor_is_misaligned(cli, tmp_path):
    state = {"b": torch.tensor([True]), "h": torch.ones(3).half(), "d": torch.ones(1).double(), "f": torch.ones(5)}
    one = save(tmp_path / "a.st", state)
    two = save(tmp_path / "b.st", state)
    assert cli("soup", one, two, "-o", tmp_path / "out.st").code == 0
    header, start = raw_header(tmp_path / "out.st")
    assert start % 4096 == 0
    for name, tensor in state.items():
        assert header[name]["data_offsets"][0] % tensor.element_size() == 0


def test_the_formats_own_readers_open_it(cli, pair, tmp_path):
    assert cli("soup", *pair, "-o", tmp_path / "out.safetensors").code == 0
    for framework in ("pt", "np"):
        with safe_open(tmp_path / "out.safetensors", framework) as opened:
            assert sorted(opened.keys()) == sorted(random_state(0))
    found = load(tmp_path / "out.safetensors")
    assert found["nothing"].shape == (0, 3)
    assert found["scale"].shape == ()


def test_order_of_the_tensors_is_the_references(cli, tmp_path):
    names = ["z", "a", "m", "b"]
    header = {name: entry("F32", [1], 4 * number, 4 * number + 4) for number, name in enumerate(names)}
    one = write_raw(tmp_path / "a.st", header, bytes(16))
    two = save(tmp_path / "b.st", {name: torch.zeros(1) for name in names})
    assert cli("soup", one, two, "-o", tmp_path / "out.st").code == 0
    found, _ = raw_header(tmp_path / "out.st")
    assert [name for name in found if name != "__metadata__"] == names


def test_metadata(cli, tmp_path):
    metadata = {"format": "pt", "author": "ä ö 漢", "merge.output": "stale", "step": "3"}
    one = save(tmp_path / "a.st", random_state(0), metadata)
    two = save(tmp_path / "b.st", random_state(1), {"author": "somebody else"})
    assert cli("soup", one, two, "-o", tmp_path / "out.st").code == 0
    found = metadata_of(tmp_path / "out.st")
    assert found["format"] == "pt"
    assert found["author"] == "ä ö 漢"
    assert found["step"] == "3"
    assert found["merge.tool"].startswith("merge-checkpoints ")
    assert len(found["merge.output"]) == len(found["merge.recipe_hash"]) == 32
    recipe = json.loads(found["merge.recipe"])
    assert recipe["merge"] == "soup"
    ids = json.loads(found["merge.inputs"])
    assert [model["model"] for model in recipe["models"]] == ids
    assert str(tmp_path) not in json.dumps(found)


def test_a_base_leaves_the_first_models_metadata(cli, tmp_path):
    base = save(tmp_path / "base.st", random_state(0), {"who": "base"})
    one = save(tmp_path / "a.st", random_state(1), {"who": "first"})
    assert cli("task-arithmetic", one, "--base", base, "-o", tmp_path / "out.st").code == 0
    assert metadata_of(tmp_path / "out.st")["who"] == "first"


def test_content_ids_depend_on_content_alone(cli, tmp_path):
    state = random_state(0)
    one = save(tmp_path / "a.st", state)
    turned = save(tmp_path / "turned.st", dict(reversed(state.items())), {"other": "metadata"})
    other = save(tmp_path / "b.st", random_state(1))
    ids = []
    for first in (one, turned):
        result = cli("soup", first, other, "-o", tmp_path / f"out-{first.stem}.st", "--json")
        ids.append([model["content_id"] for model in json.loads(result.out)["inputs"]])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_the_outputs_id_is_its_id_as_an_input(cli, pair, tmp_path):
    """An id made while streaming equals the id of the file when it is read again."""
    written = json.loads(cli("soup", *pair, "-o", tmp_path / "out.st", "--json").out)
    again = cli("soup", tmp_path / "out.st", pair[0], "-o", tmp_path / "next.st", "--json")
    assert json.loads(again.out)["inputs"][0]["content_id"] == written["output_id"]
    assert metadata_of(tmp_path / "out.st")["merge.output"] == written["output_id"]


@pytest.mark.parametrize("elements", [2**20 - 1, 2**20, 4 * 2**20 + 5, 9 * 2**20])
def test_ids_of_large_tensors_are_the_same_read_and_written(cli, tmp_path, elements):
    """The same number of bytes is hashed in pieces on the way out and on the way in, whatever the type."""
    for number, dtype in enumerate((torch.float32, torch.uint8, torch.float8_e5m2)):
        state = {"w": torch.arange(elements // 4).to(torch.uint8).view(torch.uint8).to(dtype)}
        one = save(tmp_path / f"a{number}.st", state)
        two = save(tmp_path / f"b{number}.st", state)
        out = tmp_path / f"out{number}.st"
        written = json.loads(cli("soup", one, two, "-o", out, "--json", "--no-fsync").out)
        again = json.loads(cli("soup", out, one, "-o", tmp_path / f"next{number}.st", "--json", "--no-fsync").out)
        assert again["inputs"][0]["content_id"] == written["output_id"]


def test_checkpoints_without_tensors(cli, tmp_path):
    one, two = (save(tmp_path / f"{name}.st", {}) for name in "ab")
    result = cli("soup", one, two, "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert load(tmp_path / "out.st") == {}


def test_names_of_any_kind(cli, tmp_path):
    names = ["", "a b", 'quo"te', "back\\slash", "新しい.重み", "\u2028", "new\nline", "emoji😀", "x" * 3000]
    state = {name: torch.ones(2) for name in names}
    one, two = (save(tmp_path / f"{name}.st", state) for name in "ab")
    result = cli("soup", one, two, "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert_same(load(tmp_path / "out.st"), state)
