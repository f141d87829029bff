"""Checkpoints of modules under torch.nn.utils.prune: ``X_orig`` and ``X_mask`` are read as ``X``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import equal_bits, load, save
from command_line import assert_refused
from in_memory import merge_states
from torch.nn.utils import prune

from merge.checkpoints.resolve import open_checkpoint
from merge.evaluation.candidate import read_candidate


def pruned(seed: int = 0) -> torch.nn.Sequential:
    """Return a network with two of its weights and a bias under masks."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Flatten(), torch.nn.Linear(12, 5))
    prune.l1_unstructured(network[0], "weight", amount=0.5)
    prune.random_unstructured(network[2], "weight", amount=0.75)
    prune.random_unstructured(network[2], "bias", amount=2)
    return network


def applied(network: torch.nn.Sequential) -> dict[str, torch.Tensor]:
    return {
        name: getattr(network[int(place)], kind).detach()
        for name in ("0.weight", "0.bias", "2.weight", "2.bias")
        for place, kind in [name.split(".")]
    }


def equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("form", ["st", "pt", "folder"])
def test_it_is_read_as_the_network_computes(cli, tmp_path, form):
    network = pruned()
    state, path = network.state_dict(), tmp_path / f"model.{form}"
    assert {"0.weight_orig", "0.weight_mask", "2.bias_mask"} <= set(state)
    if form == "pt":
        torch.save({"state_dict": state}, path)
    elif form == "st":
        save(path, state)
    else:
        from safetensors.torch import save_file

        path.mkdir()
        parts = {"one": [name for name in state if "orig" in name], "two": [n for n in state if "orig" not in n]}
        for part, names in parts.items():
            save_file({name: state[name].contiguous() for name in names}, path / f"{part}.safetensors")
        index = {name: f"{part}.safetensors" for part, names in parts.items() for name in names}
        (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    result = cli("soup", path, path, "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert "3 weights are pruned by masks of torch.nn.utils.prune" in result.out
    assert equal(load(tmp_path / "out.st"), applied(network))
    assert cli("verify", tmp_path / "out.st").code == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("mask_dtype", [None, torch.bool, torch.uint8, torch.float32])
def test_any_range_of_any_type(tmp_path, dtype, mask_dtype):
    weight, mask = torch.randn(7, 9).to(dtype), torch.rand(7, 9) < 0.5
    path = save(tmp_path / "m.st", {"w_orig": weight, "w_mask": mask.to(mask_dtype or dtype)})
    wanted = torch.where(mask, weight, 0).contiguous().view(torch.uint8).flatten().numpy().tobytes()
    opened = open_checkpoint(str(path))
    (tensor,) = opened.tensors.values()
    assert (tensor.name, tensor.shape) == ("w", (7, 9))
    for start, stop in ((0, len(wanted)), (3, 17), (8, 24), (len(wanted) - 1, len(wanted)), (5, 5)):
        raw = bytearray(stop - start)
        opened.read_into(tensor, start, memoryview(raw))
        assert bytes(raw) == wanted[start:stop]
    assert equal_bits(read_candidate(opened, "m").tensors["w"], torch.where(mask, weight, 0))
    opened.close()


def test_large_masks_come_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("merge.checkpoints.masked.AT_ONCE", 100)
    weight, mask = torch.randn(40, 40), (torch.rand(40, 40) < 0.3).float()
    path = save(tmp_path / "m.st", {"w_orig": weight, "w_mask": mask})
    opened = open_checkpoint(str(path))
    assert torch.equal(read_candidate(opened, "m").tensors["w"], weight * mask)
    raw = bytearray(4 * 777 + 2)
    opened.read_into(opened.tensors["w"], 401, memoryview(raw))
    assert bytes(raw) == torch.where(mask == 1, weight, 0).numpy().tobytes()[401 : 401 + len(raw)]
    opened.close()


def test_in_memory():
    network = pruned()
    found = merge_states("soup", [network.state_dict(), network.state_dict()])
    assert equal(dict(found), applied(network))


def test_inspect_shows_it(cli, tmp_path):
    path = save(tmp_path / "m.st", pruned().state_dict())
    found = json.loads(cli("inspect", path, "--json").out)
    zeros = {tensor["name"]: tensor["zeros"] for tensor in found["tensors"]}
    assert zeros == {"0.weight": 27, "0.bias": 0, "2.weight": 45, "2.bias": 2}
    assert "note: 3 weights are pruned by masks" in cli("inspect", path).out


def test_halves_of_a_pair_are_plain_tensors(cli, tmp_path):
    model = {"a_orig": torch.ones(2), "b_mask": torch.ones(2)}
    path = save(tmp_path / "m.st", model)
    assert cli("passthrough", path, "-o", tmp_path / "o.st").code == 0
    assert load(tmp_path / "o.st").keys() == model.keys()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"w_mask": torch.ones(3)}, ["'w_mask' has the shape [3]", "[2]"]),
        ({"w_mask": torch.ones(2), "w": torch.ones(2)}, ["'w'", "'w_orig'"]),
        ({"w_mask": torch.tensor([1.0, 0.5])}, ["'w_mask' holds 0.5", "prune.remove"]),
        ({"w_mask": torch.tensor([1.0, float("nan")])}, ["'w_mask' holds nan"]),
    ],
)
def test_refusals(cli, tmp_path: Path, more, words):
    path = save(tmp_path / "m.st", {"w_orig": torch.ones(2)} | more)
    assert_refused(cli("passthrough", path, "-o", tmp_path / "out.st"), 1, "m.st", *words)
    assert not (tmp_path / "out.st").exists()
