"""What tells a changed file: an ETag, a date, a version number, or nothing but the size, which is then said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Result, assert_refused
from fake_hub import files_in
from stand_in import Fault, StandIn

from merge.checkpoints.remote.version import Version, version_of

Cli = Callable[..., Result]
Models = tuple[Path, Path]
_DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


@pytest.fixture
def web(server: StandIn, models: Models) -> StandIn:
    for folder in models:
        server.files |= {f"{folder.name}/{path}": data for path, data in files_in(folder).items()}
    return server


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"ETag": '"1"'}, "etag"),
        ({"ETag": 'W/"1"'}, "etag"),
        ({"Last-Modified": _DATE}, "date"),
        ({"ETag": 'W/"1"', "Last-Modified": _DATE}, "date"),
        ({}, "size"),
    ],
)
def test_a_change_is_seen_at_the_range_that_shows_it(
    web: StandIn, here: Path, cli: Cli, headers: dict[str, str], fault: str
) -> None:
    web.versions = lambda data: dict(headers)
    web.faults = [Fault(fault, path="/a/", since=60000, times=100)]
    found = cli("soup", f"{web.url}/files/a", f"{web.url}/files/b", "-o", "out.st", "--quiet")
    assert_refused(found, 1, "/files/a/model.safetensors", "the file changed while it was read")
    assert not Path("out.st").exists()


def test_a_date_says_nothing_beside_a_strong_tag(web: StandIn, models: Models, here: Path, cli: Cli) -> None:
    """Servers behind one address may differ in their dates."""
    web.versions = lambda data: {"ETag": f'"{len(data)}"', "Last-Modified": _DATE}
    web.faults = [Fault("date", path="/a/", since=60000, times=100)]
    found = cli("cast", f"{web.url}/files/a", "-o", "out.st", "--quiet")
    assert found.code == 0, found.err


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"ETag": '"1"'}, None),
        ({"Last-Modified": _DATE}, "apart by a date alone"),
        ({"ETag": 'W/"1"'}, "apart by a weak ETag alone"),
        ({}, "neither ETag nor date"),
    ],
)
def test_what_cannot_be_told_is_said_once(
    web: StandIn, here: Path, cli: Cli, headers: dict[str, str], words: str | None
) -> None:
    web.versions = lambda data: dict(headers)
    found = cli("soup", f"{web.url}/files/a", f"{web.url}/files/b", "-o", "out", "--json")
    assert found.code == 0, found.err
    notes = [note for note in json.loads(found.out)["notes"] if "while it is read" in note]
    if words is None:
        assert not notes
    else:
        assert len(notes) == 2  # one for each model, whatever the number of its files
        assert all(words in note and "/files/" in note for note in notes)


def test_versions_agree_or_not() -> None:
    numbered = version_of({"ETag": '"1"', "x-amz-version-id": "a"})
    assert not numbered.agrees(numbered._replace(number="b"))
    assert version_of({"x-amz-version-id": "null"}).number == ""
    assert Version('"1"').agrees(Version()), "what only one answer says tells nothing"
    assert Version().with_more(Version('"1"')).tag == '"1"'


def test_a_store_of_fsspec_that_tells_nothing(
    models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory: Any = fsspec.filesystem("memory")
    memory.put(str(models[0]), "/models/a", recursive=True)
    info = type(memory).info
    keys = ("name", "size", "type")
    monkeypatch.setattr(type(memory), "info", lambda self, path, **more: {key: info(self, path)[key] for key in keys})
    found = cli("cast", "memory://models/a", "-o", "out", "--json")
    memory.rm("/models", recursive=True)
    assert found.code == 0, found.err
    assert "its store tells nothing of versions" in found.out
