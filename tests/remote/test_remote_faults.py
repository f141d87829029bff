"""Servers that fail: what passes is repeated and continued, what does not gives one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, assert_refused
from remote_models import large_model, weights
from stand_in import Fault, StandIn, repository

from merge.checkpoints.remote import http_client, http_redirects

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.fixture
def local(models: Models, here: Path, cli: Cli) -> bytes:
    """The merge of both models from the disk."""
    assert cli("soup", *models, "-o", "local.st", "--quiet").code == 0
    return Path("local.st").read_bytes()


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(503)],
        [Fault(500, times=3), Fault(502, times=2, since=60000)],
        [Fault(429, headers={"Retry-After": "0"}, times=4)],
        [Fault("drop", times=9)],
        [Fault("short", times=99)],
        [Fault("drop", since=60000, times=3), Fault("slow", times=2)],
        [Fault(503, path="/api/models/me/a", times=2)],
        [Fault(503, path="config.json", times=3)],
    ],
    ids=lambda faults: "+".join(str(fault.kind) for fault in faults),
)
@pytest.mark.parametrize("redirects", [False, True])
def test_what_passes_is_tried_again(hub: StandIn, local: bytes, cli: Cli, faults: list[Fault], redirects: bool) -> None:
    hub.faults, hub.redirects = [Fault(**vars(fault)) for fault in faults], redirects
    found = cli("soup", "me/a", "me/b", "-o", "out", "--quiet")
    assert found.code == 0, found.err
    assert Path("out/model.safetensors").read_bytes() == local


def test_a_range_that_breaks_off_is_continued_in_the_middle(
    hub: StandIn, local: bytes, models: Models, cli: Cli
) -> None:
    hub.faults = [Fault("drop", since=60000, times=4)]
    assert cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == local
    lost = hub.sent() - sum(map(weights, models))
    assert 0 <= lost < 4 * 2**18  # what was under way in a part at most


def test_an_address_that_was_signed_for_a_while_is_asked_for_anew(
    hub: StandIn, local: bytes, models: Models, cli: Cli
) -> None:
    hub.redirects, hub.faults = True, [Fault(403, path="/cdn/", since=60000, times=3)]
    assert cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == local
    assert hub.sent() == sum(map(weights, models))
    redirected = [seen for seen in hub.seen if seen.path.startswith("/me/") and seen.path.endswith(".safetensors")]
    assert 4 < len(redirected) <= 4 + 3  # one for each file, and one for each address that no longer answers


def test_a_server_that_falls_silent_is_asked_again(
    hub: StandIn, local: bytes, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "SILENT_SECONDS", 0.2)
    hub.faults = [Fault("silent", times=2)]
    assert cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == local


@pytest.mark.parametrize("redirects", [False, True])
@pytest.mark.parametrize("kind", ["etag", "size"])
def test_a_file_that_changes_while_it_is_read(hub: StandIn, here: Path, cli: Cli, kind: str, redirects: bool) -> None:
    hub.redirects = redirects
    hub.faults = [Fault(kind, path="/a/", since=60000, times=100)]
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet")
    assert_refused(found, 1, "me/a: model.safetensors", "the file changed while it was read", "run it again")
    assert not Path("out.st").exists()


def test_a_file_that_is_gone_while_it_is_read(hub: StandIn, here: Path, cli: Cli) -> None:
    hub.faults = [Fault(404, path="/a/", since=60000, times=100)]
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet")
    assert_refused(found, 1, "the file changed while it was read")


def test_a_server_that_stays_down(hub: StandIn, here: Path, cli: Cli) -> None:
    hub.faults = [Fault(503, path="/a/", since=60000, times=100)]
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet")
    assert_refused(found, 1, "me/a: model.safetensors", "503 Service Unavailable", "times in a row", "--resume")
    assert not Path("out.st").exists()


@pytest.mark.parametrize("headers", [{"RateLimit": '"resolvers";r=0;t=250'}, {"Retry-After": "250"}])
def test_a_rate_limit_with_a_long_wait(hub: StandIn, here: Path, cli: Cli, headers: dict[str, str]) -> None:
    hub.faults = [Fault(429, headers=headers, times=100)]
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet")
    assert_refused(found, 1, "limits the rate", "try again in 250 s")


@pytest.mark.parametrize("times", [3, 10**6])
def test_a_network_that_goes_in_the_middle(
    hub: StandIn, local: bytes, cli: Cli, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    from urllib3.exceptions import NameResolutionError

    send, left = http_redirects.send, [times]

    def send_or_lose(method: str, url: str, headers: dict[str, str]) -> object:
        if left[0] and int(headers.get("Range", "bytes=0-")[6:].partition("-")[0]) > 60000:
            left[0] -= 1
            raise NameResolutionError("127.0.0.1", None, OSError())  # type: ignore[arg-type]
        return send(method, url, headers)

    monkeypatch.setattr(http_redirects, "send", send_or_lose)
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet")
    if times > 100:
        assert_refused(found, 1, "127.0.0.1 cannot be reached: its name is not known, 6 times in a row", "--resume")
    else:
        assert found.code == 0, found.err
        assert Path("out.st").read_bytes() == local


def test_a_server_without_ranges(hub: StandIn, here: Path, cli: Cli) -> None:
    hub.faults = [Fault("whole", times=100)]
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet")
    assert_refused(found, 1, "only whole files", "download it")


def test_an_interrupted_merge_reads_only_what_is_missing(hub: StandIn, here: Path, cli: Cli) -> None:
    folders = [large_model(here / "large" / name, seed) for seed, name in enumerate("ab")]
    hub.models = {f"me/{folder.name}": repository(folder) for folder in folders}
    assert cli("soup", *folders, "-o", "local.st", "--quiet").code == 0
    hub.faults = [Fault(503, path="/b/", times=10**6, since=18 * 2**20)]
    lost = cli("soup", "me/a", "me/b", "-o", "out.st", "--quiet", "--threads", "1")
    assert_refused(lost, 1, "503 Service Unavailable", "--resume continues")
    assert not Path("out.st").exists()
    hub.faults, before = [], hub.sent()
    found = cli("soup", "me/a", "me/b", "-o", "out.st", "--json", "--resume")
    assert found.code == 0, found.err
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()
    assert hub.sent() - before < sum(map(weights, folders)) - 2 * 15 * 2**20
