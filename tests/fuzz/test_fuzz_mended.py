"""What fuzzing found, where a kept file alone would not show that it is mended."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from merge.calibration.partial import read_partial, write_partial
from merge.checkpoints.local_path import local_path
from merge.checkpoints.resolve import open_checkpoint
from merge.checkpoints.shards import shard_path
from merge.completion.places import located
from merge.errors import LONGEST, MergeError, UsageError
from merge.json_text import parse_json
from merge.recorded_inputs import recorded_inputs
from merge.section import parse_section
from merge.streaming.journal import Journal

SIGNED = "https://bucket.example/a.safetensors?X-Amz-Signature=" + "a" * 400


def test_a_journal_is_taken_over_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = Journal(path, "plan")
    first.start()
    first.record("piece", 3, "00ff")
    first.record("record", "w", {"norm": 1.5})
    first.close()
    again = Journal(path, "plan")
    assert again.take_over() is None
    assert (again.pieces, again.records) == ({3: "00ff"}, {"w": {"norm": 1.5}})
    whole = path.read_text()
    for damaged in (whole.replace("00ff", "01ff"), whole.replace('"piece", 3', '"piece", 4'), "[" * 100_000 + "\n"):
        path.write_text(damaged)
        assert Journal(path, "plan").take_over() == "there is no readable journal"
    path.write_text(whole[:-5])  # a line that a kill cut off
    cut = Journal(path, "plan")
    assert cut.take_over() is None
    assert (cut.pieces, cut.records) == ({3: "00ff"}, {})


def test_unfinished_statistics_are_not_continued_by_notes_that_were_changed(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "journal"
    write_partial(path, {"a": torch.ones(2)}, {"items": 2}, "fingerprint")
    assert read_partial(path)[0].notes == {"items": 2}
    path.write_bytes(path.read_bytes().replace(b"2}", b"3}"))
    assert read_partial(path)[1] is None


def test_a_name_that_is_too_long_for_a_file_is_no_file(tmp_path: Path) -> None:
    assert not local_path(SIGNED).exists()
    assert not local_path(SIGNED, tmp_path).is_dir()
    assert local_path("short", tmp_path) == tmp_path / "short"
    with pytest.raises(UsageError, match="longer than a file"):
        open_checkpoint("x" * 5000)


def test_messages_are_of_a_length_that_people_read() -> None:
    error = MergeError("a" * 10**6 + "z", where="b" * 10**6, hint="c" * 10**6)
    assert len(str(error)) < 3 * LONGEST
    assert "az (c" in str(error)
    assert str(MergeError("a" * LONGEST)) == "a" * LONGEST


def test_deep_json_is_none() -> None:
    assert parse_json(b'{"a": [1]}') == {"a": [1]}
    with pytest.raises(ValueError, match="too deeply"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 100_000, '{"a"'])
def test_recorded_inputs_are_a_list_of_texts(text: str) -> None:
    assert recorded_inputs({"merge.inputs": '["a", "b"]'}, "out.st") == ["a", "b"]
    assert recorded_inputs({}, "out.st") == []
    with pytest.raises(MergeError, match=r"out\.st: 'merge\.inputs' in the metadata is no list of content ids"):
        recorded_inputs({"merge.inputs": text}, "out.st")


def test_a_section_that_is_missing_is_said_with_its_place() -> None:
    with pytest.raises(UsageError, match=r"card:1:1: the key 'output' is missing"):
        parse_section("cast: a.st\n", "card").section("output")


def test_a_shard_whose_name_is_too_long_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MergeError, match="which is missing"):
        shard_path(tmp_path, "x" * 5000, tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize("text", ["? {merge: ties}\n: 1\n", "? [[a], b]\n: 1\n", "? - [a]\n: 1\n"])
def test_keys_that_are_no_texts_are_told_in_words(text: str) -> None:
    with pytest.raises(UsageError, match=r"a list or a mapping"):
        parse_section(text, "recipe.yaml").check_keys({"merge"})


@pytest.mark.parametrize("opening", ["[", "{", "[ ", "{\n", '{"a":'])
def test_yaml_that_is_nested_too_deeply_is_not_looked_at_for_seconds(opening: str) -> None:
    with pytest.raises(UsageError, match="more than a hundred deep"):
        parse_section("a: " + opening * 100_000, "recipe.yaml")


def test_a_key_that_is_there_twice_over_a_bomb_of_aliases() -> None:
    levels = [f"&{now} [{', '.join([f'*{before}'] * 9)}]" for before, now in itertools.pairwise("abcdefghi")]
    text = f"{{models: [&a [{', '.join(['ha'] * 9)}], {', '.join(levels)}], models: 1}}"
    with pytest.raises(UsageError, match="aliases stand for more than"):
        parse_section(text, "recipe.yaml")


def test_data_under_a_name_that_is_too_long_are_not_there(tmp_path: Path) -> None:
    assert located("x" * 5000, tmp_path) == "x" * 5000
    (tmp_path / "a").touch()
    assert located("a, b", tmp_path) == f"{tmp_path / 'a'},b"
