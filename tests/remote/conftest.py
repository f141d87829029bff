"""A stand-in for the hub that this process uses, and models to serve from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Result
from huggingface_hub import constants
from remote_models import model_folder
from stand_in import StandIn, repository

from merge.checkpoints.remote import checkpoint, http_file, patience


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.02)


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    http_file._starts.clear()


@pytest.fixture(autouse=True)
def _small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small models take several requests."""
    monkeypatch.setattr(checkpoint, "SMALLEST_REQUEST", 2**17)
    monkeypatch.setattr(checkpoint, "LARGEST_REQUEST", 2**17)


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Two models on this machine: one file, and three shards."""
    return model_folder(tmp_path / "disk" / "a", 0), model_folder(tmp_path / "disk" / "b", 1, shards=3)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as served:
        yield served


@pytest.fixture
def hub(server: StandIn, models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in as this process's hub, with the models as ``me/a`` and ``me/b`` and an empty cache."""
    use_hub(server, tmp_path / "hub", monkeypatch)
    server.models = {f"me/{path.name}": repository(path) for path in models}
    return server


def use_hub(server: StandIn, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub, which has read its environment already, use this server and a cache of its own."""
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))


@pytest.fixture
def local_folder(models: tuple[Path, Path], here: Path, cli: Callable[..., Result]) -> Path:
    """The folder of the merge of both models from the disk."""
    assert cli("soup", *models, "-o", "local", "--quiet").code == 0
    return here / "local"
