"""Models in a bucket of an S3 server on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Result, assert_refused
from remote_models import assert_same

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """An S3 server on this machine, and the variables by which its clients find it."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, models: Models, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket that holds the models."""
    import s3fs

    for name, value in {"ENDPOINT_URL": s3_server, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem()
    filesystem.mkdir("models")
    for folder in models:
        filesystem.put(str(folder), f"models/{folder.name}", recursive=True)
    yield filesystem
    filesystem.rm("models", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_bucket(bucket: Any, local_folder: Path, cli: Cli) -> None:
    assert_same(cli("soup", "s3://models/a", "s3://models/b/", "-o", "out", "--quiet"), local_folder)
    assert "`s3://models/a`" in Path("out/README.md").read_text()
    assert cli("verify", "out").code == 0
    single = cli("soup", "s3://models/a/model.safetensors", "s3://models/b", "-o", "out.st", "--quiet")
    assert single.code == 0, single.err
    assert Path("out.st").read_bytes() == (local_folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("signed", [True, False])
def test_an_object_of_a_bucket_that_changes_while_it_is_read(
    bucket: Any, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, *, signed: bool
) -> None:
    """As read from signed addresses, and as read by the store's own client where that alone knows how."""
    from merge.checkpoints.remote import filesystem, filesystem_file, s3_file

    monkeypatch.setattr(filesystem, "is_signed", lambda _: signed)
    kind: Any = s3_file.S3File if signed else filesystem_file.FilesystemFile
    name = "_parts" if signed else "_read_range"
    read, left = getattr(kind, name), [1]

    def read_and_replace(self: Any, start: int, end: int) -> Any:
        if start > 60000 and self.where.endswith("/a/model.safetensors") and left:
            left.pop()
            other = bytearray((models[0] / "model.safetensors").read_bytes())
            other[-1] ^= 1
            bucket.call_s3("put_object", Bucket="models", Key="a/model.safetensors", Body=bytes(other))
        return read(self, start, end)

    monkeypatch.setattr(kind, name, read_and_replace)
    found = cli("soup", "s3://models/a", "s3://models/b", "-o", "changed", "--quiet")
    assert_refused(found, 1, "s3://models/a/model.safetensors", "the file changed while it was read")
    assert not left
    assert not Path("changed").exists()


def test_what_only_the_client_of_the_store_can_read(
    bucket: Any, local_folder: Path, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    certifi = pytest.importorskip("certifi")
    bundle = here / "certificates.pem"  # other ones than those of the tool's own client
    bundle.write_bytes(Path(certifi.where()).read_bytes())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    assert_same(cli("soup", "s3://models/a", "s3://models/b/", "-o", "out", "--quiet"), local_folder)


def test_what_a_store_refuses(bucket: Any, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_refused(cli("inspect", "s3://nobody/a"), 2, "there is no such")
    assert_refused(cli("inspect", "s3://models/c"), 2, "there is no such file or folder")


def test_credentials_that_are_missing(bucket: Any, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(here / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(here / "none"))
    assert_refused(cli("inspect", "s3://models/a"), 1, "there are no credentials", "AWS_ACCESS_KEY_ID", "anon")
