"""Files that name other files: what lies outside their own folder is neither read nor written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import State, random_state, save
from command_line import Result, assert_refused, contents

Cli = Callable[..., Result]
OUTSIDE = ("../secret.safetensors", "/etc/hostname", "..", "a/../../secret.safetensors", "", "sub\\secret.safetensors")


@pytest.fixture
def secret(here: Path) -> Path:
    return save(here / "secret.safetensors", random_state(9))


@pytest.mark.parametrize("name", [*OUTSIDE, "{here}/secret.safetensors"])
@pytest.mark.parametrize("index", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_shards_of_an_index(cli: Cli, here: Path, secret: Path, name: str, index: str) -> None:
    name = name.format(here=here)
    save(here / "m" / "other.safetensors", random_state(0))
    if index.startswith("pytorch"):
        (here / "m" / "other.safetensors").unlink()
        torch.save(random_state(0), here / "m" / "other.bin")
    (here / "m" / index).write_text(json.dumps({"weight_map": {"w": name}}))
    assert_refused(cli("inspect", "m"), 1, index, f"'{name}' outside its folder")


@pytest.mark.parametrize("name", ["../../secret", "{here}/secret.safetensors", "http://127.0.0.1:9/m", "org/name"])
def test_the_base_that_an_adapter_names_is_not_opened(cli: Cli, here: Path, secret: Path, name: str) -> None:
    state: State = {f"base_model.model.layer.lora_{kind}.weight": torch.ones(2, 2) for kind in "AB"}
    save(here / "adapter" / "adapter_model.safetensors", state)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": name.format(here=here)}
    (here / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    save(here / "base.st", {"layer.weight": torch.ones(2, 2), "v": torch.ones(2)})
    before = contents(here)
    result = cli("inspect", "base.st+adapter", "--json")
    assert result.code == 0, result.err
    assert {tensor["name"] for tensor in json.loads(result.out)["tensors"]} == {"layer.weight", "v"}
    assert contents(here) == before


def test_names_of_tensors_name_no_files(cli: Cli, here: Path, secret: Path) -> None:
    """Statistics, outputs in shards and reports are named by us, whatever tensors are called."""
    names = ("../../escaped", "/tmp/escaped", "a/b", "..", "C:\\escaped")
    for number, model in enumerate("ab"):
        save(here / "models" / f"{model}.st", {name: torch.full((300,), float(number)) for name in names})
    flags = ("-o", "out/folder", "--max-shard-size", "2KB", "--report", "out/report", "--quiet")
    result = cli("soup", "models/a.st", "models/b.st", *flags)
    assert result.code == 0, result.err
    assert sorted(path.name for path in here.iterdir()) == ["models", "out", "secret.safetensors"]
    assert sorted(path.name for path in (here / "out").iterdir()) == ["folder", "report"]
    folders = (here, here / "models", here / "out", here / "out" / "folder", here / "out" / "report")
    assert not [path for name in names[:2] for folder in folders if (path := folder / name).exists()]
    assert not [path for path in here.rglob("*") if "escaped" in path.name]


def test_verifying_a_strangers_output_reads_and_writes_nothing_else(cli: Cli, here: Path) -> None:
    """The recipe in a card is somebody's: it is repeated in memory, and the output that it names stays as it is."""
    for number, model in enumerate("ab"):
        save(here / f"{model}.st", random_state(number))
    assert cli("soup", "a.st", "b.st", "-o", "out.st", "--quiet").code == 0
    card = here / "out.st.md"
    (here / "mine.st").write_text("mine")
    text = card.read_text("utf-8").replace("merge: soup\n", "merge: soup\noutput: {path: mine.st}\n")
    assert "mine.st" in text
    card.write_text(text, "utf-8")
    before = contents(here)
    cli("verify", "out.st")
    assert contents(here) == before
