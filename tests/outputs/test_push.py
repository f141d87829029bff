"""``merge push`` to the stand-in of the hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, assert_refused
from fake_hub import Repository, files_in
from huggingface_hub import constants
from writable_hub import WritableHub

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.fixture
def out(models: Models, here: Path, cli: Cli) -> Path:
    """An output in three shards."""
    assert cli("soup", *models, "-o", "out", "--max-shard-size", "300KB", "--quiet").code == 0
    return here / "out"


def test_a_folder_is_one_commit(hub: WritableHub, out: Path, cli: Cli) -> None:
    found = cli("push", "out", "me/merged", "--private", "--message", "the first", "--json")
    assert found.code == 0, found.err
    files = hub.models["me/merged"].revisions["main"]
    assert files == files_in(out)
    assert [made["summary"] for made in hub.commits] == ["the first"]
    assert hub.private == ["me/merged"]
    printed = json.loads(found.out)
    assert printed["commit"] == hub.models["me/merged"].find("main")[0]  # type: ignore[index]
    assert {file["name"]: file["bytes"] for file in printed["files"]} == {name: len(files[name]) for name in files}
    assert printed["local_paths_in_card"] == ["../a", "../b"]
    assert "warning: the model card names a path of this machine: ../a" in found.err


def test_a_single_file_takes_its_card_along(hub: WritableHub, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "one.safetensors", "--quiet").code == 0
    assert cli("push", "one.safetensors", "me/one", "--quiet").code == 0
    files = hub.models["me/one"].revisions["main"]
    assert files["one.safetensors"] == Path("one.safetensors").read_bytes()
    assert files["README.md"] == Path("one.safetensors.md").read_bytes()
    assert len(files) == 2


def test_a_branch_is_made_and_the_others_stay(hub: WritableHub, out: Path, cli: Cli) -> None:
    hub.models["me/merged"] = Repository({"main": {"README.md": b"first"}})
    assert cli("push", "out", "me/merged", "--revision", "next", "--quiet").code == 0
    assert hub.models["me/merged"].revisions["main"] == {"README.md": b"first"}
    assert hub.models["me/merged"].revisions["next"] == files_in(out)


def test_weights_of_a_former_push_are_removed_and_nothing_else(hub: WritableHub, out: Path, cli: Cli) -> None:
    before = {"model.safetensors": b"old", "notes.txt": b"mine", "onnx/model.safetensors": b"other"}
    hub.models["me/merged"] = Repository({"main": before})
    found = cli("push", "out", "me/merged")
    assert found.code == 0, found.err
    assert "removed there, being weights of something else: model.safetensors" in found.out
    assert hub.commits[0]["deleted"] == ["model.safetensors"]
    files = hub.models["me/merged"].revisions["main"]
    assert files == {**files_in(out), "notes.txt": b"mine", "onnx/model.safetensors": b"other"}


def test_what_no_merge_wrote_is_not_sent(hub: WritableHub, out: Path, cli: Cli) -> None:
    (out / "secrets.env").write_text("TOKEN=1")
    found = cli("push", "out", "me/merged")
    assert "not sent, as no merge wrote it: secrets.env" in found.out
    assert "secrets.env" not in hub.models["me/merged"].revisions["main"]


def test_a_dry_run_asks_the_hub_nothing(hub: WritableHub, out: Path, cli: Cli) -> None:
    found = cli("push", "out", "me/merged", "--dry-run")
    assert found.code == 0, found.err
    assert "would be pushed to me/merged (main): model-00001-of-00003.safetensors" in found.out
    assert hub.asked == []


@pytest.mark.parametrize(
    ("where", "status", "code", "words"),
    [
        ("/api/repos/create", 403, 1, "the token may not write there"),
        ("/commit/", 403, 1, "the token may not write there"),
        ("/api/repos/create", 404, 2, "the hub knows no such place"),
        ("/commit/", 400, 1, "the hub refuses"),
    ],
)
def test_what_the_hub_refuses(
    hub: WritableHub, out: Path, cli: Cli, where: str, status: int, code: int, words: str
) -> None:
    hub.refusals[where] = status
    assert_refused(cli("push", "out", "me/merged", "--quiet"), code, "me/merged", words)
    assert hub.commits == []


def test_tokens(hub: WritableHub, out: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "another")
    assert_refused(cli("push", "out", "me/merged", "--quiet"), 1, "the hub does not accept the token", "HF_TOKEN")
    monkeypatch.delenv("HF_TOKEN")
    assert_refused(cli("push", "out", "me/merged", "--quiet"), 1, "there is no token for the hub", "HF_TOKEN")


def test_without_a_network(hub: WritableHub, out: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_refused(cli("push", "out", "me/merged"), 2, "the network must not be used")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert_refused(cli("push", "out", "me/merged", "--quiet"), 1, "the hub cannot be reached", "push again")


def test_what_is_no_finished_output(hub: WritableHub, out: Path, models: Models, cli: Cli) -> None:
    assert_refused(cli("push", models[0], "me/merged"), 2, "this is no output of a merge")
    assert_refused(cli("push", "nothing", "me/merged"), 2, "no such file or folder on this machine")
    assert_refused(cli("push", "out", "merged"), 2, "this is no repository of the hub", "org/name")
    assert_refused(cli("push", "out", "me/merged@next"), 2, "--revision next")
    (out / "README.md").write_text("# mine\n")
    assert_refused(cli("push", "out", "me/merged"), 1, "this is no model card of a merge")
    (out / "README.md").unlink()
    assert_refused(cli("push", "out", "me/merged"), 1, "there is no model card of a merge")
    unfinished = Path(".later.merging")
    unfinished.mkdir()
    (unfinished / "journal").write_text("")
    assert_refused(cli("push", "later", "me/merged"), 1, "its merge was stopped before the end", "--resume")
    assert hub.asked == []
