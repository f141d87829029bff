"""An S3 store that refuses, forgets who one is, tells another time, or breaks off: what passes is continued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
from command_line import Result, assert_refused
from fake_hub import files_in
from remote_models import weights
from stand_in import Fault, StandIn

from merge.checkpoints.remote import http_client

Cli = Callable[..., Result]
Models = tuple[Path, Path]
A, B = "s3://files/a", "s3://files/b"


def refusal(status: int, code: str, message: str = "", **more: object) -> Fault:
    """Return a refusal of S3."""
    content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return Fault(status, **{"path": "/a/", "content": content, "times": 1, **more})  # type: ignore[arg-type]


@pytest.fixture
def store(server: StandIn, models: Models, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The models in a bucket named ``files``."""
    s3fs = pytest.importorskip("s3fs")
    names = {"ENDPOINT_URL": server.url, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "MAX_ATTEMPTS": "1"}
    for name, value in {**names, "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    for folder in models:
        server.files |= {f"{folder.name}/{path}": data for path, data in files_in(folder).items()}
    return server


@pytest.mark.parametrize(
    "faults",
    [
        [refusal(503, "SlowDown", since=60000, times=3)],
        [refusal(500, "InternalError", times=2)],
        [refusal(400, "RequestTimeout", since=60000)],
        [Fault("drop", since=60000, times=4)],
        [Fault("short", times=99)],
        [Fault("whole", since=60000, times=3)],
        [refusal(400, "ExpiredToken", since=60000, times=3)],
        [refusal(403, "AccessDenied", "Request has expired", since=60000, times=1)],
    ],
    ids=["busy", "error", "timeout", "drop", "short", "no range", "token", "address"],
)
def test_what_passes_is_tried_again(store: StandIn, local_folder: Path, cli: Cli, faults: list[Fault]) -> None:
    store.faults = [Fault(**vars(fault)) for fault in faults]
    found = cli("soup", A, B, "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert Path("out.st").read_bytes() == (local_folder / "model.safetensors").read_bytes()


def test_every_byte_is_sent_once(store: StandIn, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", A, B, "-o", "out.st", "--quiet").code == 0
    assert store.sent() == sum(map(weights, models))


def test_a_range_that_breaks_off_is_continued_in_the_middle(
    store: StandIn, models: Models, here: Path, cli: Cli
) -> None:
    store.faults = [Fault("drop", since=60000, times=4)]
    assert cli("soup", A, B, "-o", "out.st", "--quiet").code == 0
    assert store.sent() - sum(map(weights, models)) < 4 * 2**18


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refusal(403, "InvalidAccessKeyId"), ["does not know this access key", "AWS_ACCESS_KEY_ID"]),
        (refusal(403, "SignatureDoesNotMatch"), ["does not belong to the access key", "AWS_SECRET_ACCESS_KEY"]),
        (refusal(403, "AccessDenied"), ["the store refuses access", "s3:GetObject", "anon"]),
        (refusal(400, "ExpiredToken"), ["the credentials have expired; renew them"]),
        (refusal(400, "InvalidToken"), ["does not accept the session token"]),
        (refusal(403, "InvalidObjectState"), ["lies in an archive", "restore it"]),
        (
            refusal(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-1"}),
            ["another region", "AWS_DEFAULT_REGION=eu-west-1"],
        ),
    ],
    ids=lambda value: "" if isinstance(value, list) else value.content.decode().partition("</")[0].rpartition(">")[2],
)
@pytest.mark.parametrize("when", ["first", "opened", "later"])
def test_refusals_have_a_line_each(
    store: StandIn, here: Path, cli: Cli, fault: Fault, words: list[str], when: str
) -> None:
    """Whether the first request for the head meets it, which comes without a reason, or a later one."""
    since = 60000 if when == "later" else 0
    path = "/a/model.safetensors"
    store.faults = [Fault(**{**vars(fault), "path": path, "times": 10**6, "since": since, "heads": when == "first"})]
    found = cli("soup", f"{A}/model.safetensors", B, "-o", "out.st", "--quiet")
    assert_refused(found, 1, "s3://files/a/model.safetensors", *words)
    assert not Path("out.st").exists()


@pytest.mark.parametrize("heads", [False, True])
@pytest.mark.parametrize(("seconds", "words"), [(-3600, "60 minutes ahead of"), (7200, "120 minutes behind")])
def test_a_wrong_clock(store: StandIn, here: Path, cli: Cli, seconds: int, words: str, heads: bool) -> None:
    date = {"Date": formatdate(time() + seconds, usegmt=True)}
    store.faults = [refusal(403, "RequestTimeTooSkewed", headers=date, times=10**6, heads=heads)]
    found = cli("soup", f"{A}/model.safetensors", B, "-o", "out.st", "--quiet")
    assert_refused(found, 1, f"the clock of this machine is {words} the store's", "set the clock")


def test_a_wrong_clock_by_the_code_alone(store: StandIn, here: Path, cli: Cli) -> None:
    store.faults = [refusal(403, "RequestTimeTooSkewed", times=10**6)]
    assert_refused(cli("soup", A, B, "-o", "out.st", "--quiet"), 1, "takes the clock of this machine to be wrong")


def test_credentials_that_expire_for_good_leave_what_is_done(store: StandIn, here: Path, cli: Cli) -> None:
    store.faults = [refusal(400, "ExpiredToken", since=60000, times=10**6)]
    found = cli("soup", A, B, "-o", "out.st", "--quiet")
    assert_refused(found, 1, "the credentials have expired; renew them (--resume continues")
    store.faults = []
    assert cli("soup", A, B, "-o", "out.st", "--quiet", "--resume").code == 0


@pytest.mark.parametrize("name", ["a b+c", "ünï/çode", "x%20y", "a?b=c", "q'&(1)"])
def test_odd_keys(store: StandIn, models: Models, local_folder: Path, cli: Cli, name: str) -> None:
    store.files = {
        key.replace("a/", f"{name}/", 1) if key.startswith("a/") else key: data for key, data in store.files.items()
    }
    found = cli("soup", f"s3://files/{name}", B, "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert Path("out.st").read_bytes() == (local_folder / "model.safetensors").read_bytes()


def test_no_signature_is_shown(store: StandIn, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "SILENT_SECONDS", 0.05)
    assert cli("soup", A, B, "-o", "out", "--quiet").code == 0
    texts = [path.read_bytes() for path in Path("out").rglob("*") if path.is_file()]
    assert not any(b"X-Amz" in text for text in texts)
    lasting = [Fault(501, since=60000), Fault("silent", since=60000), refusal(403, "")]
    for fault in lasting:
        store.faults = [replace(fault, times=10**6)]  # a request of the merge before may still be on its way
        found = cli("soup", A, B, "-o", "lost.st", "--quiet")
        assert found.code == 1
        assert "X-Amz" not in found.err
