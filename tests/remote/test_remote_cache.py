"""The shared cache of the hub: filled on demand, read without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, assert_refused
from fake_hub import commit_of, files_in
from huggingface_hub import constants
from remote_models import weights
from stand_in import StandIn

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.fixture(autouse=True)
def _no_cache_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERGE_CACHE", "0")


def test_whole_files_are_kept_and_read_offline(
    hub: StandIn, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("soup", *models, "-o", "local", "--quiet").code == 0
    found = cli("soup", "me/a", "me/b", "-o", "out", "--cache", "--quiet")
    assert found.code == 0, found.err
    assert Path("out/model.safetensors").read_bytes() == Path("local/model.safetensors").read_bytes()
    assert hub.sent() == sum(map(weights, models))
    commits = [commit_of(files_in(path)) for path in models]
    assert all(
        f"`me/{name}@{commit}`" in Path("out/README.md").read_text() for name, commit in zip("ab", commits, strict=True)
    )

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.seen.clear()
    again = cli("soup", "me/a", "me/b", "-o", "again", "--json")
    assert again.code == 0, again.err
    assert (
        f"me/a: is read from the cache of the hub on this machine, at commit {commits[0]}; the network must not be used"
        in again.out
    )
    assert {**files_in(Path("again")), "README.md": b""} == {**files_in(Path("local")), "README.md": b""}
    assert not hub.seen


def test_the_cache_stands_in_when_the_hub_cannot_be_reached(
    hub: StandIn, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("cast", "me/a", "-o", "first.st", "--cache", "--quiet").code == 0
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    found = cli("cast", "me/a", "-o", "second.st", "--json")
    assert found.code == 0, found.err
    assert any("the hub cannot be reached" in note for note in json.loads(found.out)["notes"])
    assert Path("second.st").read_bytes() == Path("first.st").read_bytes()


def test_a_model_that_is_not_whole_in_the_cache(
    hub: StandIn, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download("me/b", "model.safetensors.index.json")
    hf_hub_download("me/b", "model-00001-of-00003.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = cli("inspect", "me/b")
    assert_refused(found, 1, "me/b: not whole in the cache of the hub", "model-00002-of-00003.safetensors", "--cache")
