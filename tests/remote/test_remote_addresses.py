"""Addresses as users have them: signed ones, with passwords, odd names, redirects, proxies, IPv6."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Result, assert_refused
from fake_hub import files_in
from stand_in import Fault, StandIn

from merge.checkpoints.remote.shown import shown
from merge.checkpoints.remote.web_user import split_user

Cli = Callable[..., Result]
Models = tuple[Path, Path]
_SIGNED = "X-Amz-Credential=KEYID&X-Amz-Expires=60&versionId=3&X-Amz-Signature=5ec4e7"
_SECRETS = ("5ec4e7", "KEYID", "pa55")


@pytest.fixture
def web(server: StandIn, models: Models) -> StandIn:
    for folder in models:
        server.files |= {f"{folder.name}/{path}": data for path, data in files_in(folder).items()}
    return server


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (
            "https://host/a.st?X-Amz-Signature=x&X-Amz-Date=1&id=3",
            "https://host/a.st?X-Amz-Signature=…&X-Amz-Date=…&id=3",
        ),
        ("https://host/a?sv=1&sr=b&se=2&sig=x%3D", "https://host/a?sv=…&sr=…&se=…&sig=…"),
        ("https://host/a?Expires=1&Signature=x&Key-Pair-Id=k", "https://host/a?Expires=…&Signature=…&Key-Pair-Id=…"),
        ("https://host/a?access_token=x", "https://host/a?access_token=…"),
        ("https://host/a?download=true&se=1", "https://host/a?download=true&se=1"),
        ("https://me:pa55@host/a", "https://…@host/a"),
        ("https://token@host/a", "https://…@host/a"),
        ("sftp://me:pa55@host/a", "sftp://me:…@host/a"),
        ("sftp://me@host/a", "sftp://me@host/a"),
        ("cannot reach 'https://h/a?token=x' (503)", "cannot reach 'https://h/a?token=…' (503)"),
        ("hf://org/name@revision/a", "hf://org/name@revision/a"),
        ("s3://bucket/a@b/c d", "s3://bucket/a@b/c d"),
    ],
)
def test_what_may_be_shown(location: str, expected: str) -> None:
    assert shown(location) == expected


def test_user_and_password_go_into_a_header() -> None:
    assert split_user("https://host/a@b") == ("https://host/a@b", {})
    url, headers = split_user("https://me:p%40ss@host:1/a")
    assert url == "https://host:1/a"
    assert base64.b64decode(headers["authorization"].partition(" ")[2]) == b"me:p@ss"


@pytest.mark.parametrize(
    "place", ["{url}/files/a/model.safetensors?" + _SIGNED, "{user}/files/a", "{user}/files/a/model.safetensors"]
)
def test_what_is_secret_is_shown_nowhere(
    web: StandIn, local_folder: Path, models: Models, cli: Cli, place: str
) -> None:
    address = place.format(url=web.url, user=web.url.replace("://", "://me:pa55@"))
    found = cli("soup", address, models[1], "-o", "out", "--json", "--report", "report", "--sha256")
    assert found.code == 0, found.err
    assert Path("out/model.safetensors").read_bytes() == (local_folder / "model.safetensors").read_bytes()
    texts = [found.out + found.err, cli("soup", address, models[1], "-o", "x", "--dry-run").out]
    texts += [cli("inspect", address, *more).out for more in ((), ("--json",))]
    texts += [
        path.read_text("utf-8", "replace")
        for top in ("out", "report")
        for path in Path(top).rglob("*")
        if path.is_file()
    ]
    assert not [text for secret in _SECRETS for text in texts if secret in text]
    assert "…" in Path("out/README.md").read_text("utf-8")
    if "@" in address:
        tokens = {seen.token for seen in web.seen}
        assert tokens == {"Basic " + base64.b64encode(b"me:pa55").decode()}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(403, times=10**6),
        Fault(503, times=10**6, since=60000),
        Fault("etag", since=60000, times=9),
        Fault("whole", times=9),
    ],
)
def test_errors_show_nothing_secret(web: StandIn, models: Models, here: Path, cli: Cli, fault: Fault) -> None:
    web.faults = [fault]
    address = f"{web.url.replace('://', '://me:pa55@')}/files/a/model.safetensors?{_SIGNED}"
    found = cli("soup", address, models[1], "-o", "out.st", "--quiet")
    assert_refused(found, 1, "/files/a/model.safetensors?X-Amz-Credential=…", "versionId=3")
    assert not [secret for secret in _SECRETS if secret in found.err]
    gone = address.replace(f":{web.port}", ":9")
    assert not [secret for secret in _SECRETS if secret in cli("inspect", gone).err]


def test_a_proxy_that_strips_ranges_now_and_then(web: StandIn, local_folder: Path, models: Models, cli: Cli) -> None:
    web.faults = [Fault("whole", since=60000, times=4)]
    found = cli("soup", f"{web.url}/files/a", models[1], "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert Path("out.st").read_bytes() == (local_folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["a b", "ü%C3%BC", "a+b", "x#y", "a%20b", "50%"])
def test_odd_names_in_addresses(web: StandIn, models: Models, here: Path, cli: Cli, name: str) -> None:
    """As they stand in an address: what is quoted is taken so, what is not is quoted."""
    from urllib.parse import unquote

    path = unquote(name.partition("#")[0])
    web.files[f"{path}/model.safetensors"] = (models[0] / "model.safetensors").read_bytes()
    address = (
        f"{web.url}/files/{name}/model.safetensors"
        if "#" not in name
        else f"{web.url}/files/{path}/model.safetensors#y"
    )
    found = cli("cast", address, "-o", "out.st", "--quiet")
    assert found.code == 0, found.err


def test_shards_of_odd_names(web: StandIn, models: Models, here: Path, cli: Cli) -> None:
    weights = {
        name.replace("model-", "mo del+ü%-"): data for name, data in files_in(models[1]).items() if "model-" in name
    }
    index = json.loads((models[1] / "model.safetensors.index.json").read_text())
    index["weight_map"] = {name: file.replace("model-", "mo del+ü%-") for name, file in index["weight_map"].items()}
    web.files |= {f"odd/{name}": data for name, data in weights.items()}
    web.files["odd/model.safetensors.index.json"] = json.dumps(index).encode()
    found = cli("cast", f"{web.url}/files/odd", "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert cli("cast", models[1], "-o", "local.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()


def test_many_small_shards(web: StandIn, models: Models, here: Path, cli: Cli) -> None:
    import torch
    from checkpoint_files import save

    names = {f"t{number:03}": f"model-{number:05}-of-00300.safetensors" for number in range(300)}
    for number, (name, file) in enumerate(names.items()):
        path = save(here / "many" / file, {name: torch.full((40,), float(number))})
        web.files[f"many/{file}"] = Path(path).read_bytes()
    (here / "many" / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    web.files["many/model.safetensors.index.json"] = (here / "many" / "model.safetensors.index.json").read_bytes()
    found = cli("cast", f"{web.url}/files/many", "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert cli("cast", here / "many", "-o", "local.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()
    assert web.requests() == 300  # what came with the headers is not asked for again


@pytest.fixture
def on_ipv6(web: StandIn) -> Iterator[str]:
    """The address of the same server by a literal of IPv6."""
    import threading
    from http.server import ThreadingHTTPServer

    from stand_in import _Handler

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    try:
        served = Server(("::1", 0), type("Handler", (_Handler,), {"stand_in": web}))
    except OSError:
        pytest.skip("this machine has no IPv6")
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://[::1]:{served.server_port}"
    served.shutdown()


def test_a_literal_of_ipv6(on_ipv6: str, here: Path, cli: Cli) -> None:
    found = cli("cast", f"{on_ipv6}/files/a", "-o", "out.st", "--quiet")
    assert found.code == 0, found.err
    assert_refused(cli("inspect", "http://[::1/a"), 2, "no address that can be read")
