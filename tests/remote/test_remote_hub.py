"""Models of the hub: the same bytes as from the disk, every byte asked for once, headers alone for a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from fake_hub import commit_of, files_in
from remote_models import model_folder, weights
from stand_in import StandIn, repository

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.mark.parametrize("redirects", [False, True])
def test_same_bytes_as_from_disk_each_asked_for_once(
    hub: StandIn, models: Models, here: Path, cli: Cli, redirects: bool
) -> None:
    hub.redirects = redirects
    assert cli("soup", *models, "-o", "local.st", "--quiet").code == 0
    found = cli("soup", "me/a", "me/b", "-o", "remote.st", "--quiet")
    assert found.code == 0, found.err
    assert Path("remote.st").read_bytes() == Path("local.st").read_bytes()
    assert hub.sent() == sum(map(weights, models))
    assert not list((here / "hub").rglob("*.safetensors"))
    hosts = {seen.host.partition(":")[0] for seen in hub.seen if seen.path.endswith(".safetensors") and seen.sent}
    assert hosts == ({"localhost"} if redirects else {"127.0.0.1"})


def test_a_folder_gets_config_tokenizer_and_licences(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "local", "--quiet").code == 0
    found = cli("soup", "me/a", "me/b", "-o", "remote", "--quiet")
    assert found.code == 0, found.err
    local, remote = files_in(here / "local"), files_in(here / "remote")
    assert {**local, "README.md": b""} == {**remote, "README.md": b""}
    card = remote["README.md"].decode()
    assert "license_name: apache-2.0 and mit" in card
    assert "base_model:\n- me/a\n- me/b\nbase_model_relation: merge" in card


def test_the_commit_is_recorded_in_the_card_and_not_in_the_file(
    hub: StandIn, models: Models, here: Path, cli: Cli
) -> None:
    commits = [commit_of(files_in(path)) for path in models]
    found = cli("soup", "me/a@main", "hf:me/b", "-o", "out.st", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["inputs"][0]["model"] == "me/a@main"
    notes = json.loads(found.out)["notes"]
    assert f"me/a@main: is read from the hub at commit {commits[0]}" in notes
    card = Path("out.st.md").read_text()
    assert all(f"`me/{name}@{commit}`" in card for name, commit in zip("ab", commits, strict=True))
    assert not any(commit.encode() in Path("out.st").read_bytes() for commit in commits)
    assert cli("verify", "out.st").code == 0


def test_a_revision_is_read_at_its_commit(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    hub.models = {"me/a": repository(models[0], v2=models[1])}
    assert cli("soup", "me/a@v2", "me/a", "-o", "out.st", "--quiet").code == 0
    assert cli("soup", models[1], models[0], "-o", "local.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()
    twice = cli("soup", "me/a", "me/a@main", "-o", "twice.st", "--json")
    assert len(json.loads(twice.out)["inputs"]) == 1  # one commit under two names is one model


def test_a_dry_run_transfers_headers_only(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    found = cli("soup", "me/a", "me/b", "-o", "out", "--dry-run", "--json")
    assert found.code == 0, found.err
    assert hub.requests() == 4  # one file and three shards
    assert hub.sent() <= 4 * 2**16
    assert not hub.sent("tokenizer.json")
    assert json.loads(found.out)["copied_files"] == ["config.json", "tokenizer.json"]
    assert not (here / "out").exists()


def test_a_local_path_goes_first(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    (here / "me").mkdir()
    models[1].rename(here / "me" / "a")
    assert cli("inspect", "me/a").code == 0
    assert not hub.seen


def test_a_file_of_a_repository_and_its_page(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    assert cli("cast", models[0], "-o", "local.st", "--quiet").code == 0
    names = ["hf://me/a/model.safetensors", f"{hub.url}/me/a/resolve/main/model.safetensors", f"{hub.url}/me/a"]
    for number, name in enumerate(names):
        found = cli("cast", name, "-o", f"{number}.st", "--quiet")
        assert found.code == 0, found.err
        assert Path(f"{number}.st").read_bytes() == Path("local.st").read_bytes()


def test_files_in_the_cache_are_read_there(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download("me/a", "model.safetensors")
    before = hub.sent()
    assert cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet").code == 0
    assert hub.sent() == before + weights(models[1])


def test_two_passes_ask_for_every_byte_once(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    base = model_folder(here / "disk" / "base", 2)
    assert cli("ties", *models, "--base", base, "--density", "0.3", "-o", "local.st", "--quiet").code == 0
    found = cli("ties", "me/a", "me/b", "--base", base, "--density", "0.3", "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()
    assert hub.sent() == sum(map(weights, models))


def test_hashes_of_files_are_those_that_the_hub_states(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--sha256", "--json")
    assert found.code == 0, found.err
    hashes = json.loads(found.out)["sha256"]
    assert hashes.pop("out.st") == hashlib.sha256(Path("out.st").read_bytes()).hexdigest()
    files = {(folder, path.name): path for folder in models for path in folder.glob("*.safetensors")}
    assert hashes == {
        f"hf://me/{folder.name}@{commit_of(files_in(folder))}/{name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for (folder, name), path in files.items()
    }
    assert all(f"sha256 of `{name}`" in Path("out.st.md").read_text() for name in hashes)
