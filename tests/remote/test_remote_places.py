"""Files and folders behind a web address, and in whatever fsspec reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from command_line import Result, assert_refused
from fake_hub import files_in
from remote_models import assert_same, weights
from stand_in import Fault, StandIn

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.fixture
def web(server: StandIn, models: Models) -> StandIn:
    for folder in models:
        server.files |= {f"{folder.name}/{path}": data for path, data in files_in(folder).items()}
    return server


def test_folders_of_a_web_server(web: StandIn, local_folder: Path, models: Models, cli: Cli) -> None:
    web.faults = [Fault("drop", since=60000), Fault(503, path="config.json")]
    found = cli("soup", f"{web.url}/files/a", f"{web.url}/files/b/", "-o", "out", "--quiet")
    assert_same(found, local_folder)
    assert f"`{web.url}/files/a`" in Path("out/README.md").read_text()
    assert web.sent() - sum(map(weights, models)) < 2**18


def test_files_of_a_web_server(web: StandIn, local_folder: Path, models: Models, cli: Cli) -> None:
    found = cli("soup", f"{web.url}/files/a/model.safetensors?token=1", models[1], "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert Path("out.st").read_bytes() == (local_folder / "model.safetensors").read_bytes()


def test_what_a_web_server_does_not_have(web: StandIn, here: Path, cli: Cli) -> None:
    assert_refused(cli("inspect", f"{web.url}/files/c.safetensors"), 1, "there is no such file")
    assert_refused(cli("inspect", f"{web.url}/files/c/"), 2, "has none of model.safetensors.index.json")
    assert_refused(cli("inspect", "https:///a.safetensors"), 2, "names no server")


@pytest.fixture
def memory(models: Models) -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    for folder in models:
        filesystem.put(str(folder), f"/models/{folder.name}", recursive=True)
    yield filesystem
    filesystem.rm("/models", recursive=True)


def test_any_file_system_of_fsspec(memory: Any, local_folder: Path, cli: Cli) -> None:
    assert_same(cli("soup", "memory://models/a", "memory://models/b/", "-o", "out", "--quiet"), local_folder)
    single = cli("soup", "memory://models/a/model.safetensors", "memory://models/b", "-o", "out.st", "--quiet")
    assert single.code == 0, single.err
    assert Path("out.st").read_bytes() == (local_folder / "model.safetensors").read_bytes()


def test_an_object_that_changes_while_it_is_read(memory: Any, here: Path, cli: Cli, monkeypatch: Any) -> None:
    from merge.checkpoints.remote.filesystem_file import FilesystemFile

    read = FilesystemFile._read_range

    def read_and_touch(self: Any, start: int, count: int) -> bytes:
        data = read(self, start, count)
        if start > 60000:
            memory.pipe("/models/a/model.safetensors", memory.cat("/models/a/model.safetensors"))
        return data

    monkeypatch.setattr(FilesystemFile, "_read_range", read_and_touch)
    found = cli("soup", "memory://models/a", "memory://models/b", "-o", "out.st", "--quiet")
    assert_refused(found, 1, "memory://models/a/model.safetensors", "the file changed while it was read")
    assert not Path("out.st").exists()


def test_addresses_on_this_machine(models: Models, local_folder: Path, cli: Cli) -> None:
    assert_same(cli("soup", f"file://{models[0]}", models[1], "-o", "out", "--quiet"), local_folder)


def test_addresses_that_nothing_reads(here: Path, cli: Cli) -> None:
    assert_refused(cli("inspect", "memory://nowhere/a"), 2, "there is no such file or folder")
    assert_refused(
        cli("inspect", "gitub://bucket/a"), 2, "there is nothing that reads gitub://", "did you mean 'github'?"
    )
    assert_refused(cli("inspect", "gs://bucket/a"), 2, "a package that reads gs:// is missing", "gcsfs")
