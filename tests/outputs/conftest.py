"""An S3 server on this machine, a bucket in it, and models to merge into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from faulty_s3 import FaultyS3
from huggingface_hub import constants
from output_models import model_folder, uploads
from writable_hub import WritableHub

from merge.checkpoints.remote import patience
from merge.checkpoints.remote.writing import parts


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.02)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small models take many parts of an odd size."""
    from moto.s3 import models

    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", 1)
    monkeypatch.setattr(parts, "part_size", lambda size: 50_021)


@pytest.fixture(scope="session")
def _server() -> Iterator[FaultyS3]:
    with FaultyS3() as served:
        yield served


@pytest.fixture
def s3_server(_server: FaultyS3) -> Iterator[FaultyS3]:
    """An S3 server on this machine in which all is well so far."""
    yield _server
    _server.well()


@pytest.fixture
def bucket(s3_server: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, ``s3://place``, and the variables by which clients find it; the file system of s3fs."""
    import s3fs

    for name, value in variables(s3_server.url).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem(use_listings_cache=False)
    filesystem.mkdir("place")
    yield filesystem
    s3_server.well()
    for key, upload in uploads(filesystem):
        filesystem.call_s3("abort_multipart_upload", Bucket="place", Key=key, UploadId=upload)
    filesystem.rm("place", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def variables(server: str) -> dict[str, str]:
    """Return the variables by which clients find a server."""
    values = {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
    values |= {"DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}
    return {f"AWS_{name}": value for name, value in values.items()}


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Two models on this machine."""
    return model_folder(tmp_path / "a", 0), model_folder(tmp_path / "b", 1)


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system of fsspec that lives in this process, empty."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritableHub]:
    """The stand-in as this process's hub, and a token that may write."""
    with WritableHub() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", "good")
        yield served
