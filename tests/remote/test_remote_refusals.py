"""One clear line for everything elsewhere that cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import random_state
from command_line import Result, assert_refused
from fake_hub import Repository
from huggingface_hub import constants
from remote_models import model_folder
from stand_in import StandIn, repository

Cli = Callable[..., Result]
Models = tuple[Path, Path]


def test_a_model_that_does_not_exist(hub: StandIn, here: Path, cli: Cli) -> None:
    assert_refused(cli("inspect", "me/nobody"), 2, "me/nobody", "the hub has no such model", "HF_TOKEN")


def test_a_wrong_revision(hub: StandIn, here: Path, cli: Cli) -> None:
    assert_refused(cli("inspect", "me/a@mian"), 2, "no revision 'mian'", "did you mean 'main'?")


def test_a_path_that_the_repository_does_not_have(hub: StandIn, here: Path, cli: Cli) -> None:
    found = cli("inspect", "hf://me/a/model.safetensor")
    assert_refused(found, 2, "there is no 'model.safetensor'", "did you mean 'model.safetensors'?")
    assert_refused(cli("inspect", "hf://me/a/config.json"), 2, "this is no safetensors file")


def test_a_gated_model(hub: StandIn, here: Path, cli: Cli) -> None:
    hub.gated = frozenset({"me/a"})
    assert_refused(cli("inspect", "me/a"), 1, "this model is gated", f"ask for access at {hub.url}/me/a", "HF_TOKEN")


def test_a_private_model_with_and_without_token(
    hub: StandIn, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.private, hub.redirects = frozenset({"me/a"}), True
    assert_refused(cli("inspect", "me/a"), 2, "the hub has no such model", "HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "good")
    assert cli("cast", "me/a", "-o", "out.st", "--quiet").code == 0
    away = [seen for seen in hub.seen if seen.host.startswith("localhost")]
    assert away
    assert all(seen.token is None for seen in away)  # the token goes to the hub alone


def test_a_token_that_is_not_accepted(hub: StandIn, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "bad")
    assert_refused(cli("inspect", "me/a"), 1, "the hub does not accept the token", "check HF_TOKEN")


def test_offline(hub: StandIn, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_refused(
        cli("inspect", "me/a"), 1, "me/a: no such local path, not in the cache", "must not be used", "--cache"
    )
    assert_refused(cli("inspect", f"{hub.url}/files/a.safetensors"), 2, "the network must not be used")
    assert_refused(cli("inspect", "s3://bucket/a"), 2, "the network must not be used")
    assert not hub.seen


def test_no_network(hub: StandIn, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert_refused(cli("inspect", "me/a"), 1, "me/a: no such local path, not in the cache", "the hub cannot be reached")
    assert_refused(cli("inspect", "http://127.0.0.1:9/a.safetensors"), 1, "no connection")
    assert_refused(cli("inspect", "http://no-such-host.invalid/a.safetensors"), 1, "no-such-host.invalid cannot be")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"model.ot": b"", "README.md": b""}, ["no safetensors, only model.ot", "convert"]),
        ({"README.md": b"", "train.csv": b""}, ["no safetensors, only README.md, train.csv"]),
        ({}, ["holds nothing"]),
        ({"a.safetensors": b"", "b.safetensors": b""}, ["holds a.safetensors, b.safetensors", "name one"]),
        ({"merge.json": b"{}"}, ["a bundle of several checkpoints"]),
    ],
)
def test_repositories_without_one_model(
    hub: StandIn, here: Path, cli: Cli, files: dict[str, bytes], words: list[str]
) -> None:
    hub.models = {"me/other": Repository({"main": files})}
    assert_refused(cli("inspect", "me/other"), 2, "me/other", *words)


def test_an_index_whose_shards_are_not_there(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    (models[1] / "model-00002-of-00003.safetensors").unlink()
    hub.models = {"me/b": repository(models[1])}
    assert_refused(cli("inspect", "me/b"), 1, "names the shard model-00002-of-00003.safetensors", "upload")


def test_a_damaged_file(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    weights = models[0] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    hub.models = {"me/a": repository(models[0])}
    assert_refused(cli("inspect", "me/a"), 1, "me/a: model.safetensors", "truncated: 1 bytes are missing")
    weights.write_bytes(b"")
    hub.models = {"me/a": repository(models[0])}
    assert_refused(cli("inspect", "me/a"), 1, "me/a: model.safetensors", "the file is empty")


def test_a_misspelt_local_path_stays_one(hub: StandIn, here: Path, cli: Cli) -> None:
    model_folder(here / "runs" / "llama", 0)
    assert_refused(cli("inspect", "runs/lama"), 2, "no such file or folder", "did you mean 'llama'?", "hf:runs/lama")
    assert_refused(cli("inspect", "runs/other.safetensors"), 2, "no such file or folder")
    assert not hub.seen


def test_names_that_are_no_ids(hub: StandIn, here: Path, cli: Cli) -> None:
    assert_refused(cli("inspect", "hf:me/a--b"), 2, "no valid id of the hub")
    assert_refused(cli("inspect", "nobody"), 2, "no such file or folder")


def test_pickles_of_the_hub_are_brought_whole(hub: StandIn, here: Path, cli: Cli) -> None:
    folder = model_folder(here / "disk" / "old", 3)
    (folder / "model.safetensors").unlink()
    torch.save(random_state(3), folder / "pytorch_model.bin")
    hub.models = {"me/old": repository(folder)}
    found = cli("cast", "me/old", "-o", "out", "--json")
    assert found.code == 0, found.err
    assert "only as pickles, which are kept whole in the cache" in found.out
    assert cli("cast", folder, "-o", "local", "--quiet").code == 0
    assert Path("out/model.safetensors").read_bytes() == Path("local/model.safetensors").read_bytes()


def test_verify_takes_outputs_of_merges(hub: StandIn, here: Path, cli: Cli) -> None:
    assert_refused(cli("verify", "me/a"), 1, "me/a: this is no output of a merge")


@pytest.mark.parametrize("model", ["me/a@main", "{model: {path: me/a, revision: main}}"])
def test_the_place_in_a_recipe_of_mergekit(
    hub: StandIn, models: Models, here: Path, cli: Cli, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    Path("old.yml").write_text(
        f"merge_method: linear\nmodels:\n- {{model: {models[0]}, parameters: {{weight: 1}}}}\n- {{model: {model}}}\n"
    )
    assert_refused(cli("run", "old.yml", "-o", "out.st"), 1, "old.yml:4:4: me/a@main", "no such local path")
