"""What training programs save around weights: objects of their classes, averages, parts, and what is left out."""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import State, assert_same, load, random_state, save
from command_line import Result, assert_refused

import merge
from merge.checkpoints.resolve import open_checkpoint

Cli = Callable[..., Result]


class AttributeDict(dict):  # type: ignore[type-arg]
    """A mapping, as Lightning keeps hyper-parameters in."""


class ModelCheckpoint:
    """A callback, as it lies in the files of Stable Diffusion 1.5."""

    def __init__(self) -> None:
        self.best, self.path, self.fields = np.float64(0.25), pathlib.Path("x"), [1, {"a": torch.ones(2)}]

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("an object of the file was built")


class Settings(collections.UserDict):  # type: ignore[type-arg]
    """Some configuration."""


LIBRARY = "pytorch_lightning.callbacks.model_checkpoint"


@pytest.fixture
def lightning() -> Iterator[None]:
    """Save as if the classes were Lightning's; they are gone when the files are read."""
    module = types.ModuleType(LIBRARY)
    for one in (AttributeDict, ModelCheckpoint, Settings):
        one.__module__ = LIBRARY
        setattr(module, one.__name__, one)
    names = [LIBRARY.rsplit(".", level)[0] for level in (2, 1)]
    known = {name: types.ModuleType(name) for name in names} | {LIBRARY: module}
    sys.modules.update(known)
    yield
    for name in known:
        sys.modules.pop(name, None)


def saved(path: Path, content: Any, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        del sys.modules[name]
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_lightning_gives_its_tensors(lightning: None, tmp_path: Path, zipped: bool) -> None:
    """Its objects are not built: their module is not even there."""
    state = random_state(1)
    content = {
        "epoch": 6,
        "global_step": 470_000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "callbacks": {ModelCheckpoint: {"best": np.float32(3), "kept": ModelCheckpoint()}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(1000)}}}],
        "lr_schedulers": [{"last": 1}],
        "hyper_parameters": AttributeDict(width=3, device=torch.device("cpu")),
        "config": Settings(a=1),
        "arguments": argparse.Namespace(seed=3),
        "kinds": collections.defaultdict(list, {"a": [1]}),
    }
    path = saved(tmp_path / "model.ckpt", content, zipped=zipped)
    source = open_checkpoint(str(path))
    notes = " ".join(source.notes)
    words = ("'epoch' (6)", "'global_step' (470000)", "'optimizer_states' (a list of 1 entry, 4 KB)", "'callbacks'")
    for word in words:
        assert word in notes
    source.close()
    assert_same(merge.load(path), state)


def test_a_file_of_lightning_is_merged(lightning: None, cli: Cli, here: Path, pair: tuple[Path, Path]) -> None:
    saved(here / "a.ckpt", {"state_dict": load(pair[0]), "callback": ModelCheckpoint()})
    result = cli("soup", "a.ckpt", pair[1], "-o", "out.st")
    assert result.code == 0, result.err
    assert "'callback' (a pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint)" in result.out
    assert cli("soup", *pair, "-o", "plain.st").code == 0
    assert_same(load(here / "out.st"), load(here / "plain.st"))


class Calls:
    """A pickle that would call something when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


BOMBS: dict[str, tuple[Callable[[], Any], str]] = {
    "evaluates": (lambda: Calls(eval, "open('executed', 'w')"), "'builtins.eval'"),
    "opens": (lambda: Calls(open, "executed", "w"), "io.open'"),
    "runs": (lambda: Calls(__import__("subprocess").call, ["touch", "executed"]), "call'"),
    "loads": (lambda: Calls(pickle.loads, b"cposix\nsystem\n(S'touch executed'\ntR."), "'pickle.loads'"),
    "imports": (lambda: Calls(__import__("importlib").import_module, "antigravity"), "'importlib.import_module'"),
    "removes": (lambda: Calls(__import__("shutil").rmtree, "kept"), "'shutil.rmtree'"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("case", BOMBS)
def test_what_would_run_code_is_refused(cli: Cli, here: Path, case: str, zipped: bool) -> None:
    make, word = BOMBS[case]
    (here / "kept").mkdir()
    torch.save({"state_dict": random_state(1), "x": make()}, here / "a.ckpt", _use_new_zipfile_serialization=zipped)
    assert_refused(cli("inspect", "a.ckpt"), 1, word, "nothing of it was executed")
    assert not (here / "executed").exists()
    assert (here / "kept").exists()


def test_a_call_of_something_unknown_is_not_made(here: Path) -> None:
    """It is no known danger, so the tensors are read; and it is not called."""
    torch.save({"state_dict": random_state(1), "x": Calls(np.savetxt, "executed", [1])}, here / "a.ckpt")
    assert_same(merge.load(here / "a.ckpt"), random_state(1))
    assert not (here / "executed").exists()


def test_a_whole_model_is_refused_with_the_way_out(cli: Cli, here: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), here / "a.pt")
    assert_refused(cli("inspect", "a.pt"), 1, "'torch.nn.modules.linear.Linear'", "model.state_dict()")


def test_averaged_weights_are_named_and_taken_on_request(cli: Cli, here: Path) -> None:
    plain, averaged = random_state(1), random_state(2)
    torch.save({"state_dict": plain, "state_dict_ema": averaged, "epoch": 3}, here / "a.pth.tar")
    result = cli("inspect", "a.pth.tar", "--json")
    assert "under 'state_dict' are taken; those under 'state_dict_ema' are named by" in result.out
    assert "a.pth.tar#state_dict_ema" in result.out
    assert_same(merge.load("a.pth.tar"), plain)
    assert_same(merge.load("a.pth.tar#state_dict_ema"), averaged)
    assert cli("soup", "a.pth.tar", "a.pth.tar#state_dict_ema", "-o", "out.st").code == 0
    assert cli("verify", "out.st").code == 0
    save(here / "p.st", plain)
    save(here / "e.st", averaged)
    assert cli("soup", "p.st", "e.st", "-o", "wanted.st").code == 0
    assert_same(load(here / "out.st"), load(here / "wanted.st"))


def test_weights_under_any_name_and_deeper(here: Path) -> None:
    state = random_state(1)
    torch.save({"run": {"net": {"weights": state}}, "optim": {"a": torch.ones(9)}, "step": 3}, here / "a.pt")
    assert_same(merge.load("a.pt"), state)
    torch.save({"checkpoint": {"model": {"module": {"model": state}}}}, here / "b.pt")
    assert_same(merge.load("b.pt"), state)


def test_several_networks_in_one_file(cli: Cli, here: Path) -> None:
    one, two = random_state(1), random_state(2)
    torch.save({"nets": {"generator": one, "discriminator": two}, "epoch": 1}, here / "a.pt")
    assert_refused(cli("inspect", "a.pt"), 1, "under 'generator', 'discriminator'", "a.pt#nets.generator")
    assert_same(merge.load("a.pt#nets.discriminator"), two)
    assert_refused(cli("inspect", "a.pt#nets.critic"), 1, "no weights under 'critic'", "'generator'")
    save(here / "a.st", one)
    assert_refused(cli("inspect", "a.st#x"), 1, "names weights within a file of torch.save")


PREFIXED: dict[str, Callable[[str], str]] = {
    "lightning": lambda name: f"model.{name}",
    "another lightning": lambda name: f"net.{name}",
    "compiled": lambda name: f"_orig_mod.{name}",
    "parallel, compiled": lambda name: f"module._orig_mod.{name}",
    "compiled within lightning": lambda name: f"model._orig_mod.{name}",
}


@pytest.mark.parametrize("case", PREFIXED)
@pytest.mark.parametrize("first", [True, False])
def test_prefixes_that_the_other_model_lacks(
    cli: Cli, here: Path, pair: tuple[Path, Path], case: str, first: bool
) -> None:
    state = {PREFIXED[case](name): tensor for name, tensor in load(pair[0]).items()}
    torch.save({"state_dict": state}, here / "a.ckpt")
    models = ["a.ckpt", pair[1]] if first else [pair[1], "a.ckpt"]
    result = cli("soup", *models, "-o", "out.st")
    assert result.code == 0, result.err
    order = pair if first else pair[::-1]
    assert cli("soup", *order, "-o", "plain.st").code == 0
    wanted = {name.rpartition(".")[2]: tensor for name, tensor in load(here / "plain.st").items()}
    found = {name.rpartition(".")[2]: tensor for name, tensor in load(here / "out.st").items()}
    assert_same(found, wanted)


def zero(state: State) -> dict[str, Any]:
    """Return what DeepSpeed saves of the model in each process."""
    return {"module": state, "param_shapes": [{}], "ds_version": "0.14", "optimizer": None}


def test_files_of_deepspeed(cli: Cli, here: Path) -> None:
    """Of stages 1 and 2 one file has all weights; of stage 3 it has empty ones."""
    state = random_state(1)
    torch.save(zero(state), here / "mp_rank_00_model_states.pt")
    assert_same(merge.load("mp_rank_00_model_states.pt"), state)
    empty = {name: torch.empty(0) for name in state}
    (here / "run" / "global_step5").mkdir(parents=True)
    torch.save(zero(empty), here / "run" / "global_step5" / "mp_rank_00_model_states.pt")
    found = cli("inspect", here / "run" / "global_step5" / "mp_rank_00_model_states.pt")
    assert_refused(found, 1, "DeepSpeed ZeRO", f"python zero_to_fp32.py {here / 'run'} OUT")
    optimizer = {"optimizer_state_dict": {"fp32_flat_groups": [torch.ones(9)], "zero_stage": 3}, "ds_version": "0.14"}
    torch.save(optimizer, here / "run" / "global_step5" / "optim.pt")
    assert_refused(cli("inspect", here / "run" / "global_step5" / "optim.pt"), 1, "DeepSpeed ZeRO")


def test_tensors_of_which_a_process_has_a_part(cli: Cli, here: Path) -> None:
    module = types.ModuleType("torch.distributed._shard.sharded_tensor.api_of_test")

    class ShardedTensor:
        """Stands for torch's own, which needs a group of processes."""

    ShardedTensor.__module__, ShardedTensor.__qualname__ = module.__name__, "ShardedTensor"
    module.ShardedTensor = ShardedTensor  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    torch.save({"state_dict": {"w": ShardedTensor()}}, here / "a.pt")
    del sys.modules[module.__name__]
    assert_refused(cli("inspect", "a.pt"), 1, "(FSDP)", "dcp_to_torch")


def test_the_plan_says_what_is_left_out(cli: Cli, here: Path, pair: tuple[Path, Path]) -> None:
    content = {"model": load(pair[0]), "optimizer": {"state": {0: {"exp_avg": torch.ones(250)}}}, "scheduler": {"a": 1}}
    torch.save(content, here / "a.pt")
    plan = json.loads(cli("soup", "a.pt", pair[1], "-o", "out.st", "--dry-run", "--json").out)
    assert "left out: 'optimizer' (1 entry, 1 KB), 'scheduler' (1 entry)" in " ".join(plan["notes"])
