"""Folders of components as outputs elsewhere: in a bucket, in another file system, on the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Result, assert_refused
from component_models import paths, write_pipeline
from fake_hub import Repository, files_in
from output_models import assert_like, stored, uploads
from writable_hub import WritableHub

Cli = Callable[..., Result]
SHARDS = ("--max-shard-size", "2KB", "--quiet")


@pytest.fixture
def local(here: Path, cli: Cli) -> Path:
    """The soup of two pipelines, ``a`` and ``b``, on this machine, in shards."""
    write_pipeline(here / "a", 0, without=())
    write_pipeline(here / "b", 1)
    assert cli("soup", "a", "b", "-o", "local", *SHARDS).code == 0
    return here / "local"


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("more", [(), ("--workers", 2)])
def test_a_pipeline_in_a_bucket(bucket: Any, local: Path, cli: Cli, more: tuple[object, ...]) -> None:
    found = cli("soup", "a", "b", "-o", "s3://place/some/out", *SHARDS, *more)
    assert found.code == 0, found.err
    assert_like(stored(bucket, "some/out"), local)
    assert uploads(bucket) == []
    assert cli("verify", "s3://place/some/out").code == 0
    assert_refused(cli("soup", "a", "b", "-o", "s3://place/some/out", *SHARDS), 2, "the output exists")
    assert_refused(cli("cast", "s3://place/some/out", "-o", "s3://place/some/out", "--force"), 2, "one of the inputs")


@pytest.mark.usefixtures("small_parts")
def test_a_pipeline_in_a_bucket_is_replaced(bucket: Any, local: Path, cli: Cli) -> None:
    assert cli("soup", "a", "b", "-o", "whole", "--quiet").code == 0
    assert cli("soup", "a", "b", "-o", "s3://place/out", *SHARDS).code == 0
    assert cli("soup", "a", "b", "-o", "s3://place/out", "--quiet", "--force").code == 0
    assert_like(stored(bucket, "out"), Path("whole"))
    bucket.pipe_file("place/out/unet/notes.txt", b"mine")
    found = cli("soup", "a", "b", "-o", "s3://place/out", "--force")
    assert_refused(found, 2, "holds 'unet/notes.txt', which no merge wrote")


def test_a_pipeline_from_a_bucket(bucket: Any, local: Path, here: Path, cli: Cli) -> None:
    for name in "ab":
        bucket.put(str(here / name), f"place/{name}", recursive=True)
    found = cli("soup", "s3://place/a", "s3://place/b", "-o", "out", *SHARDS)
    assert found.code == 0, found.err
    assert_like(files_in(here / "out"), local)


def test_a_pipeline_in_another_file_system(memory: Any, local: Path, cli: Cli) -> None:
    for more in ((), ("--force",)):
        found = cli("soup", "a", "b", "-o", "memory://some/out", *SHARDS, *more)
        assert found.code == 0, found.err
        listed = {path.removeprefix("/some/out/"): memory.cat_file(path) for path in memory.find("/some/out")}
        assert_like(listed, local)
        assert memory.find("/some") == memory.find("/some/out")
    assert cli("verify", "memory://some/out").code == 0
    memory.pipe_file("/some/out/unet/notes.txt", b"mine")
    found = cli("soup", "a", "b", "-o", "memory://some/out", "--force")
    assert_refused(found, 2, "holds 'unet/notes.txt', which no merge wrote")


def test_a_pipeline_is_pushed(hub: WritableHub, local: Path, cli: Cli) -> None:
    (local / "unet" / "notes.txt").write_text("mine")
    old = {"unet/diffusion_pytorch_model.fp16.safetensors": b"old", "other/model.safetensors": b"other"}
    hub.models["me/out"] = Repository({"main": old})
    found = cli("push", "local", "me/out", "--json")
    assert found.code == 0, found.err
    files = hub.models["me/out"].revisions["main"]
    assert set(files) == paths(local) - {"unet/notes.txt"} | {"other/model.safetensors"}
    assert files["unet/config.json"] == (local / "unet/config.json").read_bytes()
    assert '"left_out": [\n    "unet/notes.txt"' in found.out
