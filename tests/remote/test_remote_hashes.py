"""`--sha256` with files elsewhere: hashed while they are read, in any order, and compared with what stores state."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Result, assert_refused
from fake_hub import files_in
from hypothesis import given, settings
from hypothesis import strategies as st
from remote_models import weights
from stand_in import Fault, StandIn

from merge.checkpoints.remote import spool
from merge.checkpoints.remote.checksums import Stated, hasher, stated_by_google, stated_by_s3
from merge.checkpoints.remote.hashing import FileHash
from merge.errors import MergeError

Cli = Callable[..., Result]
Models = tuple[Path, Path]
_DATA = random.Random(0).randbytes(3000)


class InMemory:
    """A file of which it is counted how much is read."""

    where = address = "memory"

    def __init__(self) -> None:
        self.read = 0

    def read_into(self, start: int, buffer: memoryview) -> None:
        buffer[:] = _DATA[start : start + len(buffer)]
        self.read += len(buffer)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.randoms(use_true_random=False), st.data())
def test_parts_in_any_order_some_of_them_never(sizes: list[int], chance: Any, data: Any) -> None:
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    parts = [(start, size) for start, size in zip(starts, sizes, strict=True) if start + size <= len(_DATA)]
    shown = data.draw(st.lists(st.sampled_from(parts), unique=True)) if parts else []
    chance.shuffle(shown)
    file = InMemory()
    known = FileHash(file, len(_DATA), Stated("sha256", digest(_DATA)))  # type: ignore[arg-type]
    for start, size in [*shown, *shown[:2]]:
        known.show(start, memoryview(_DATA)[start : start + size])
    assert known.finish() == digest(_DATA)
    assert file.read == len(_DATA) - sum(size for _, size in shown)


def test_without_room_on_the_disk_it_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(spool, "_write_all", full)
    file = InMemory()
    known = FileHash(file, len(_DATA), None)  # type: ignore[arg-type]
    known.show(1000, memoryview(_DATA)[1000:])
    assert known.finish() == digest(_DATA)
    assert file.read == len(_DATA)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5", "crc32"])
def test_another_checksum_is_refused(algorithm: str) -> None:
    known = FileHash(InMemory(), len(_DATA), Stated(algorithm, "00"))  # type: ignore[arg-type]
    with pytest.raises(MergeError, match=f"its {algorithm} is .*, and its store states 00"):
        known.finish()


def test_what_stores_state() -> None:
    crc = base64.b64encode(zlib.crc32(_DATA).to_bytes(4, "big")).decode()
    sha = base64.b64encode(hashlib.sha256(_DATA).digest()).decode()
    assert stated_by_s3({"ChecksumCRC32": crc, "ChecksumType": "FULL_OBJECT"}) == Stated("crc32", crc32_of(_DATA))
    assert stated_by_s3({"ChecksumSHA256": sha, "ETag": '"x"'}) == Stated("sha256", digest(_DATA))
    assert stated_by_s3({"ChecksumSHA256": f"{sha}-3"}) is None
    assert stated_by_s3({"ChecksumSHA256": sha, "ChecksumType": "COMPOSITE"}) is None
    assert stated_by_s3({"ETag": f'"{hashlib.md5(_DATA).hexdigest()}"'}) is None  # it need not be the MD5
    assert stated_by_google({"md5Hash": base64.b64encode(hashlib.md5(_DATA).digest()).decode()}) == Stated(
        "md5", hashlib.md5(_DATA).hexdigest()
    )
    assert stated_by_google({"name": "a"}) is None
    assert hasher("none") is None


def crc32_of(data: bytes) -> str:
    known = hasher("crc32")
    assert known is not None
    known.update(memoryview(data)[:7])
    known.update(memoryview(data)[7:])
    return known.hexdigest()


def test_the_hub_states_hashes_and_they_are_compared(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    command = ("soup", "me/a", "me/b", "-o", "out.st", "--sha256")
    found = cli(*command, "--json")
    assert found.code == 0, found.err
    hashes = {
        name.rpartition("/")[2]: value for name, value in json.loads(found.out)["sha256"].items() if "://" in name
    }
    files = [path for folder in models for path in folder.glob("*.safetensors")]
    assert hashes == {path.name: digest(path.read_bytes()) for path in files}
    assert hub.sent() < sum(map(weights, models)) + 4 * 8192  # the headers come twice

    hub.faults = [Fault("flip", path="/a/", since=60000, times=1)]
    changed = cli(*command, "--force", "--quiet")
    assert_refused(changed, 1, "me/a: model.safetensors: its sha256 is", "its store states", "run it again")
    assert json.loads(found.out)["sha256"]["out.st"] == digest(Path("out.st").read_bytes())  # the former output stands


def test_files_of_the_web_are_hashed_too(server: StandIn, models: Models, here: Path, cli: Cli) -> None:
    server.files |= {f"a/{path}": data for path, data in files_in(models[0]).items()}
    address = f"{server.url}/files/a/model.safetensors"
    found = cli("ties", address, "--base", models[1], "-o", "out.st", "--sha256", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["sha256"][address] == digest((models[0] / "model.safetensors").read_bytes())


@pytest.mark.parametrize("flipped", [False, True])
def test_checksums_of_s3(
    server: StandIn, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, *, flipped: bool
) -> None:
    s3fs = pytest.importorskip("s3fs")
    for name, value in {"ENDPOINT_URL": server.url, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    server.files |= {f"a/{path}": data for path, data in files_in(models[0]).items()}
    server.versions = lambda data: {
        "ETag": '"1"',
        "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode(),
        "x-amz-checksum-type": "FULL_OBJECT",
    }
    server.faults = [Fault("flip", since=60000)] if flipped else []
    found = cli("cast", "s3://files/a", "-o", "out.st", "--sha256", "--json")
    if flipped:
        assert_refused(found, 1, "s3://files/a/model.safetensors: its crc32 is", "its store states")
    else:
        assert found.code == 0, found.err
        assert json.loads(found.out)["sha256"]["s3://files/a/model.safetensors"] == digest(
            (models[0] / "model.safetensors").read_bytes()
        )


@pytest.mark.parametrize("damaged", [False, True])
def test_copies_in_the_cache_of_the_hub_are_compared_with_their_names(
    models: Models, here: Path, cli: Cli, *, damaged: bool
) -> None:
    data = (models[0] / "model.safetensors").read_bytes()
    blob = here / "blobs" / digest(data)
    blob.parent.mkdir()
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ damaged]))
    link = here / "model.safetensors"
    try:
        link.symlink_to(blob)
    except OSError:
        pytest.skip("no links here")
    found = cli("cast", link, "-o", "out.st", "--sha256", "--quiet")
    if damaged:
        assert_refused(found, 1, "the copy in the cache of the hub is damaged", "remove it")
    else:
        assert found.code == 0, found.err


def test_what_comes_a_little_early_takes_little_of_the_disk() -> None:
    known = FileHash(InMemory(), len(_DATA), None)  # type: ignore[arg-type]
    for start in range(0, len(_DATA), 20):
        for place in (start + 10, start):
            known.show(place, memoryview(_DATA)[place : place + 10])
    assert known._spool._end == 10
    assert known.finish() == digest(_DATA)
