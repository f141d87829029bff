"""`BASE+ADAPTER` wherever a model is named: merging, verifying, resuming, outputs that must not hit an adapter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import assert_same, load, save
from command_line import assert_refused, contents, run
from made_adapters import base_state, configure, factors, product, write_adapter

import merge
from merge.checkpoints.checkpoint import FileCheckpoint
from merge.checkpoints.resolve import open_checkpoint, with_adapter

Cli = Callable[..., Any]


@pytest.fixture
def folder(here: Path) -> Path:
    """A base as a folder with a configuration, and two adapters of it."""
    save(here / "base" / "model.safetensors", base_state())
    (here / "base" / "config.json").write_text('{"model_type": "odd"}')
    for seed, name in ((50, "one"), (60, "two")):
        write_adapter(here / name, factors("layers.0.q", 6, 4, seed=seed))
    return here


def baked(seed: int) -> torch.Tensor:
    added = product(factors("layers.0.q", 6, 4, seed=seed), "layers.0.q", 3)
    return (base_state()["layers.0.q.weight"].double() + added).float()


def test_a_soup_of_two_adapters_on_one_base(cli: Cli, folder: Path) -> None:
    assert cli("soup", "base+one", "base+two", "-o", "out").code == 0
    found = load(folder / "out")
    torch.testing.assert_close(found.pop("layers.0.q.weight"), (baked(50) + baked(60)) / 2, rtol=1e-6, atol=1e-6)
    state = base_state()
    assert_same(found, {name: tensor for name, tensor in state.items() if name in found})
    assert (folder / "out" / "config.json").read_bytes() == (folder / "base" / "config.json").read_bytes()


def test_baking_alone_and_merging_with_the_base(cli: Cli, folder: Path) -> None:
    assert cli("passthrough", "base+one", "-o", "out").code == 0
    assert_same(load(folder / "out"), base_state() | {"layers.0.q.weight": load(folder / "out")["layers.0.q.weight"]})
    torch.testing.assert_close(load(folder / "out")["layers.0.q.weight"], baked(50), rtol=2e-7, atol=0)
    assert cli("task-arithmetic", "out", "base+two", "--base", "base", "-o", "a.st").code == 0
    assert cli("task-arithmetic", "base+one", "base+two", "--base", "base", "-o", "b.st").code == 0
    assert_same(load(folder / "a.st"), load(folder / "b.st"))


def test_content_id_is_that_of_the_baked_model(cli: Cli, folder: Path) -> None:
    given = json.loads(cli("passthrough", "base+one", "-o", "out", "--json").out)
    assert given["inputs"][0]["content_id"] == given["output_id"]
    assert given["inputs"][0]["model"] == "base+one"


@pytest.mark.parametrize("out", ["out", "deep/down/out.st"])
def test_verify_finds_both_halves_again(cli: Cli, folder: Path, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("soup", "base+one", "base", "-o", out).code == 0
    monkeypatch.chdir("/")
    assert cli("verify", folder / out).code == 0
    moved = shutil.move(folder, folder.with_name(f"{folder.name}-moved"))  # a tree of checkpoints moves as a whole
    assert cli("verify", moved / out).code == 0
    configure(moved / "one", lora_alpha=7)
    result = cli("verify", moved / out)
    assert result.code == 1
    assert "layers.0.q.weight" in result.out + result.err


def test_recipes_name_both_relative_to_their_file(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "recipe.yaml").write_text("merge: soup\nmodels: [base+one, base+two]\noutput: {path: out}\n")
    monkeypatch.chdir("/")
    assert cli("run", folder / "recipe.yaml").code == 0
    assert (folder / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize("out", ["one", "one/adapter_model.safetensors", "base", "link"])
def test_an_output_that_is_part_of_an_input(cli: Cli, folder: Path, out: str) -> None:
    (folder / "link").symlink_to(folder / "one")
    before = contents(folder)
    result = cli("soup", "base+one", "base+two", "-o", out, "--force")
    assert_refused(result, 2, out, "the output is one of the inputs")
    assert contents(folder) == before


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_change_of_the_adapter_ends_a_run(folder: Path, file: str) -> None:
    source = open_checkpoint("base+one")
    assert file in [identity.name for identity in source.identities]
    source.check_unchanged()
    content = (folder / "one" / file).read_bytes()
    (folder / "one" / file).write_bytes(content)
    os.utime(folder / "one" / file, ns=(1, 1))
    with pytest.raises(merge.MergeError, match=f"{file}: the file changed"):
        source.check_unchanged()


def test_a_run_is_not_resumed_with_another_adapter(folder: Path) -> None:
    from merge.plan import make_plan
    from merge.provenance import fingerprint
    from merge.recipe import Merge, Model, Recipe

    def found() -> str:
        plan = make_plan(Recipe(Merge("passthrough", (Model("base+one"),))))
        try:
            return fingerprint(plan, allow_nonfinite=False)
        finally:
            plan.close()

    before = found()
    assert found() == before
    configure(folder / "one", lora_alpha=7)
    assert found() != before


def test_a_path_with_a_plus_is_meant_as_it_is(folder: Path) -> None:
    write_adapter(folder / "c++" / "one", factors("layers.0.q", 6, 4))
    save(folder / "base+one" / "model.safetensors", {"w": torch.ones(2)})
    assert list(open_checkpoint("base+one").tensors) == ["w"]
    assert with_adapter("base+one") is None
    assert with_adapter("base+one (aligned)") is None  # what stands for it in a card is no location
    assert with_adapter("base+c++/one") == ("base", "c++/one", "")
    source = open_checkpoint("base+two+c++/one")
    assert source.changed == {"layers.0.q.weight"}
    assert isinstance(source.source, FileCheckpoint)
    assert source.source.location == "base+two"


def test_home_and_folders_count_for_both_halves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir("/")
    assert open_checkpoint("~/base+~/one").changed
    assert open_checkpoint("base+~/one", relative_to=folder).changed
    assert open_checkpoint("base+one", relative_to=folder).changed


@pytest.mark.parametrize(
    ("model", "loaded"), [("base/model.safetensors", "[]"), ("base+one", "['merge.adapters.adapted']")]
)
def test_only_an_adapter_loads_what_reads_adapters(folder: Path, model: str, loaded: str) -> None:
    """A merge without one imports none of it, and one with an adapter imports no torch."""
    script = "import sys; from merge.cli import main; main(sys.argv[1:]);"
    script += "print([name for name in sys.modules if name in ('torch', 'merge.adapters.adapted')])"
    command = [sys.executable, "-c", script, "soup", model, "base", "-o", "out.st"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == loaded


def test_a_bundle_keeps_what_was_baked_or_refuses(cli: Cli, folder: Path) -> None:
    assert_refused(cli("t3", "base", "base+one", "-o", "bundle"), 2, "base+one", "--copy")
    assert cli("t3", "base", "base+one", "-o", "bundle", "--copy").code == 0
    shutil.rmtree(folder / "one")
    result = cli("inspect", "bundle")
    assert result.code == 0, result.err
    kept = load(folder / "bundle" / "members" / "2")["layers.0.q.weight"]
    torch.testing.assert_close(kept, baked(50), rtol=2e-7, atol=0)


def test_inspecting(folder: Path) -> None:
    result = run("inspect", "base+one", cwd=folder)
    assert result.code == 0
    assert "layers.0.q.weight" in result.out
