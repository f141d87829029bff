"""Folders of components on the hub, on web servers and in stores: the same output as from this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from command_line import Result, assert_refused
from component_models import change_index, write_pipeline, write_sentences
from fake_hub import commit_of, files_in
from huggingface_hub import constants
from remote_models import assert_same
from stand_in import StandIn, repository

Cli = Callable[..., Result]
Pipelines = tuple[Path, Path]


@pytest.fixture(autouse=True)
def _no_cache_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERGE_CACHE", "0")


@pytest.fixture
def pipelines(tmp_path: Path) -> Pipelines:
    """Two pipelines on this machine, the first with a safety checker, the second with variants only."""
    folder = tmp_path / "disk"
    return write_pipeline(folder / "p", 0, without=()), write_pipeline(folder / "q", 1, variant="fp16")


@pytest.fixture
def local(pipelines: Pipelines, here: Path, cli: Cli) -> Path:
    assert cli("soup", *pipelines, "-o", "local", "--quiet").code == 0
    return here / "local"


@pytest.fixture
def served(hub: StandIn, pipelines: Pipelines) -> StandIn:
    hub.models = {**hub.models, "me/p": repository(pipelines[0]), "me/q": repository(pipelines[1])}
    return hub


def test_pipelines_of_the_hub(served: StandIn, local: Path, pipelines: Pipelines, cli: Cli) -> None:
    found = cli("soup", "me/p", "me/q", "-o", "out", "--json")
    assert_same(found, local)
    assert f"`me/p@{commit_of(files_in(pipelines[0]))}`" in Path("out/README.md").read_text()
    notes = json.loads(found.out)["notes"]
    assert len([note for note in notes if "is read from the hub at commit" in note]) == 2
    assert any("unet: diffusion_pytorch_model.fp16.safetensors is read" in note for note in notes)
    assert cli("verify", "out").code == 0


@pytest.mark.parametrize("method", ["slerp", "ties"])
def test_methods_that_read_twice(served: StandIn, here: Path, pipelines: Pipelines, cli: Cli, method: str) -> None:
    base = ["--base"] if method == "ties" else []
    assert cli(method, pipelines[1], *base, pipelines[0], "-o", "local", "--quiet").code == 0
    assert_same(cli(method, "me/q", *base, "me/p", "-o", "out", "--quiet"), here / "local")


def test_one_component_of_a_pipeline(served: StandIn, here: Path, pipelines: Pipelines, cli: Cli) -> None:
    found = cli("soup", "hf://me/p/unet", "hf://me/q/unet", "-o", "out", "--quiet")
    assert found.code == 0, found.err
    assert cli("soup", pipelines[0] / "unet", pipelines[1] / "unet", "-o", "local", "--quiet").code == 0
    assert {**files_in(here / "out"), "README.md": b""} == {**files_in(here / "local"), "README.md": b""}


def test_only_headers_are_read_for_a_plan(served: StandIn, local: Path, cli: Cli) -> None:
    served.seen.clear()
    assert cli("soup", "me/p", "me/q", "-o", "out", "--dry-run").code == 0
    assert not [one for one in served.seen if one.first > 0]


def test_pipelines_are_kept_in_the_cache_and_read_offline(
    served: StandIn, local: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same(cli("soup", "me/p", "me/q", "-o", "out", "--cache", "--quiet"), local)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    served.seen.clear()
    assert_same(cli("soup", "me/p", "me/q", "-o", "again", "--quiet"), local, "again")
    assert not served.seen


def test_a_component_that_torch_saved(hub: StandIn, tmp_path: Path, here: Path, cli: Cli) -> None:
    folder = write_pipeline(tmp_path / "disk" / "p", 0, pickled="text_encoder")
    (folder / "text_encoder" / "pytorch_model.fp16.bin").write_bytes(b"none of these")
    hub.models = {**hub.models, "me/p": repository(folder)}
    assert cli("cast", folder, "-o", "local", "--quiet").code == 0
    assert_same(cli("cast", "me/p", "-o", "out", "--quiet"), here / "local")


def test_sentence_transformers_of_the_hub(hub: StandIn, tmp_path: Path, here: Path, cli: Cli) -> None:
    folders = [write_sentences(tmp_path / "disk" / name, seed) for seed, name in enumerate("st")]
    hub.models = {**hub.models, **{f"me/{folder.name}": repository(folder) for folder in folders}}
    assert cli("soup", *folders, "-o", "local", "--quiet").code == 0
    assert_same(cli("soup", "me/s", "me/t", "-o", "out", "--quiet"), here / "local")
    assert Path("out/2_Dense/model.safetensors").is_file()


def test_pipelines_of_a_web_server(server: StandIn, local: Path, pipelines: Pipelines, cli: Cli) -> None:
    for folder in pipelines:
        server.files |= {f"{folder.name}/{path}": data for path, data in files_in(folder).items()}
    server.files = {path.replace(".fp16.", "."): data for path, data in server.files.items()}
    assert_same(cli("soup", f"{server.url}/files/p", f"{server.url}/files/q/", "-o", "out", "--quiet"), local)


@pytest.fixture
def memory(pipelines: Pipelines) -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    for folder in pipelines:
        filesystem.put(str(folder), f"/models/{folder.name}", recursive=True)
    yield filesystem
    filesystem.rm("/models", recursive=True)


def test_pipelines_in_any_file_system(memory: Any, local: Path, cli: Cli) -> None:
    assert_same(cli("soup", "memory://models/p", "memory://models/q/", "-o", "out", "--quiet"), local)


def test_hashes_of_all_files(memory: Any, here: Path, cli: Cli) -> None:
    found = cli("soup", "memory://models/p", "memory://models/q", "-o", "out", "--sha256", "--json")
    assert found.code == 0, found.err
    listed = [name for name in json.loads(found.out)["sha256"] if name.startswith("memory:") and "/models/p/" in name]
    assert len(listed) == 4


def test_what_is_missing_is_said(memory: Any, served: StandIn, pipelines: Pipelines, here: Path, cli: Cli) -> None:
    memory.rm("/models/p/vae", recursive=True)
    assert_refused(cli("cast", "memory://models/p", "-o", "x"), 1, "memory://models/p", "names vae (AutoencoderKL)")
    shutil.rmtree(pipelines[0] / "unet")
    served.models = {**served.models, "me/p": repository(pipelines[0])}
    assert_refused(cli("cast", "me/p", "-o", "x"), 1, "me/p", "names unet (UNet2DConditionModel), which is missing")
    change_index(pipelines[0], **{"../../etc": ["diffusers", "AutoencoderKL"]})
    served.models = {**served.models, "me/r": repository(pipelines[0])}
    assert_refused(cli("cast", "me/r", "-o", "x"), 1, "me/r", "which is not within its own")
