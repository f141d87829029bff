"""The fuzzer itself: whatever breaks a rule is found, named and made small."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Any

import fuzz
import pytest
from fuzz_cases import places
from fuzz_forms import CARD, HEADER, JSON, LINES, TWIN, member, metadata, raw, render_json
from fuzz_rules import ACCEPTED, LARGE, LEFT, OTHER, REFUSED, SLOW, USAGE, WORDS, judge
from fuzz_run import run_cases
from fuzz_target import Target, within

from merge.errors import MergeError, UsageError


def _raise(error: Exception) -> Any:
    def read(folder: Path) -> None:
        raise error

    return read


def _hang(folder: Path) -> None:
    while True:
        pass


def _hoard(folder: Path) -> None:
    with mmap.mmap(-1, 60_000_000) as pages:  # new ones, which a process that has freed much may not need for bytes
        for first in range(0, 60_000_000, mmap.PAGESIZE):
            pages[first] = 1


class _Thing:
    """Something whose text shows where it lies in memory."""


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda folder: None, ACCEPTED),
        (_raise(MergeError("no", where="file")), REFUSED),
        (_raise(UsageError("no")), USAGE),
        (_raise(KeyError("no")), OTHER),
        (_raise(MergeError("")), WORDS),
        (_raise(MergeError("a" * 5000, hint="b" * 5000, where="c" * 5000)), REFUSED),
        (_raise(MergeError(f"not {_Thing()}")), WORDS),
        (_raise(MergeError("Traceback (most recent call last)")), WORDS),
        (lambda folder: (folder / "left").touch(), LEFT),
        (lambda folder: (folder / "kept").write_text("longer"), LEFT),
        (_hang, SLOW),
    ],
)
def test_rules(tmp_path: Path, read: Any, kind: str) -> None:
    (tmp_path / "kept").write_text("text")
    assert judge(read, tmp_path, 0.2).kind == kind


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs the peak of memory of one case")
def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz_rules.GROWTH", 30_000_000)
    assert judge(_hoard, tmp_path, 20).kind == LARGE


def _read_small(folder: Path) -> None:
    if len(json.loads((folder / "x.json").read_bytes())) > 1:
        raise KeyError("two")


def _target(read: Any) -> Target:
    return Target("x", "x.json", JSON, lambda folder: (folder / "x.json").write_text('{"a": [1, 2, 3]}'), read)


def test_faults_are_made_small(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        try:
            _read_small(folder)
        except (ValueError, TypeError, RecursionError):
            raise MergeError("no JSON") from None

    target = _target(refuse)
    with within(tmp_path):
        target.make(tmp_path)
        found = run_cases(target, tmp_path, target.seeds(tmp_path), 60, 1)
    assert found.faults
    assert {kind for kind, _, _ in found.faults} == {OTHER}
    assert "KeyError: 'two'" in found.faults[0][1]
    assert len(bytes.fromhex(found.faults[0][2])) < 40


def test_the_same_seed_gives_the_same_cases(tmp_path: Path) -> None:
    def cases(number: int) -> list[bytes]:
        seen = []
        target = _target(lambda folder: seen.append((folder / "x.json").read_bytes()))
        with within(tmp_path):
            target.make(tmp_path)
            run_cases(target, tmp_path, target.seeds(tmp_path), 20, number)
        return seen

    assert cases(1) == cases(1) != cases(2)


def test_a_process_that_dies_is_named_with_its_case(tmp_path: Path) -> None:
    (tmp_path / "said.txt").write_text("loading\nout of memory\n")
    (tmp_path / "case").write_bytes(b"bad")
    process = fuzz.PROCESSES.Process(target=os._exit, args=(3,))
    process.start()
    found = fuzz._lost(fuzz._watch(process, tmp_path / "case"), tmp_path / "case", tmp_path)
    assert found["faults"] == [["process lost", "ended with 3; out of memory", b"bad".hex()]]


def test_trees_have_every_node() -> None:
    tree = [{"a": [1, {"b": 2}], "c": None}]
    assert [key for _, key in places(tree)] == [0, "a", 0, 1, "b", "c"]


def test_forms_take_files_apart_and_put_them_together() -> None:
    assert render_json({"a": raw(b"1e999"), f"{TWIN}a": 2}) == b'{"a": 1e999, "a": 2}'
    assert LINES.render(LINES.parse(b'{"a": 1}\n[2]\n')) == b'{"a": 1}\n[2]\n'
    text = b"---\nlicense: x\n---\n```yaml\nmerge: soup\n```\nend\n"
    assert CARD.unwrap(text) == b"merge: soup\n"
    assert CARD.wrap(text, b"merge: ties") == text.replace(b"soup", b"ties")
    header = b'{"__metadata__":{"about":"{}"}}'
    whole = len(header).to_bytes(8, "little") + header + b"data"
    assert HEADER.unwrap(whole) == header
    assert HEADER.wrap(whole, b"{}") == (2).to_bytes(8, "little") + b"{}data"
    about = metadata("about")
    assert about.unwrap(about.wrap(whole, b"[1]")) == b"[1]"
    assert about.wrap(whole, b"[1]").endswith(b"data")


def test_records_of_archives_are_replaced(tmp_path: Path) -> None:
    import io
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x/data.pkl", b"old")
        archive.writestr("x/data/0", b"rest")
    form = member("data.pkl")
    again = form.wrap(made.getvalue(), b"new")
    assert form.unwrap(again) == b"new"
    assert zipfile.ZipFile(io.BytesIO(again)).read("x/data/0") == b"rest"
