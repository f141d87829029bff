"""What docs/remote.md shows runs as it is written: on a stand-in of the hub, a server of S3 and one of the web."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Result
from documentation.play import play
from huggingface_hub import constants
from remote.remote_models import adapter_folder, model_folder
from remote.stand_in import StandIn, repository
from writable_hub import WritableHub

Cli = Callable[..., Result]
MERGEKIT = "merge_method: slerp\nbase_model: org/first\nmodels: [{model: org/second}]\nparameters: {t: 0.5}\n"


@pytest.fixture
def models_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in as this process's hub, with the page's models."""
    with StandIn() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        names = ("first", "second", "tuned", "base", "other")
        folders = {name: model_folder(tmp_path / "hub" / name, seed) for seed, name in enumerate(names)}
        server.models = {f"org/{name}": repository(folder, v2=folder) for name, folder in folders.items()}
        server.models["org/lora"] = repository(adapter_folder(tmp_path / "hub" / "lora"))
        yield server


@pytest.fixture
def store(bucket: Any, here: Path) -> Iterator[Any]:
    """The page's bucket, and models on this machine and in it."""
    bucket.mkdir("bucket")
    for seed, name in enumerate("abc"):
        model_folder(here / name, seed)
    for name, place in (("a", "a"), ("b", "b"), ("b", "other")):
        bucket.put(str(here / name), f"bucket/{place}", recursive=True)
    yield bucket
    bucket.rm("bucket", recursive=True)


def test_inputs(models_on_the_hub: StandIn, store: Any, here: Path, cli: Cli) -> None:
    (here / "recipe-of-mergekit.yml").write_text(MERGEKIT)
    address = f"{models_on_the_hub.url}/org/first/resolve/main/model.safetensors"
    play("remote.md", cli, only=0, instead={"https://host/a.safetensors": address}, more=["--force"])


def test_outputs(store: Any, here: Path, cli: Cli) -> None:
    (here / "recipe.yaml").write_text("merge: slerp\nmodels: [./a, ./c]\n")
    play("remote.md", cli, only=1)
    play("remote.md", cli, only=2)


def test_a_push(hub: WritableHub, here: Path, cli: Cli) -> None:
    for seed, name in enumerate("ab"):
        model_folder(here / name, seed)
    assert cli("soup", "a", "b", "-o", "merged").code == 0
    play("remote.md", cli, only=3)
    assert hub.models["org/name"].revisions.keys() == {"main", "next"}
