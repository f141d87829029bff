"""The file of measured rates: what it gives back, and that nothing about it can make a merge fail."""

from __future__ import annotations

import json
import os
import stat

import pytest

from merge.estimate.rates import LAST, Rates, Sample, add_samples, rates_path, read_rates


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "rates.json"
    monkeypatch.setenv("MERGE_RATES", str(path))
    return path


def test_a_rate_is_the_median_of_the_last_runs(file):
    for seconds in (10, 1, 1, 1, 100):
        add_samples([Sample("reading from hub", 1000, seconds)])
    assert read_rates().of("reading from hub") == 1000
    assert read_rates().runs("reading from hub") == 5
    for _ in range(LAST):
        add_samples([Sample("reading from hub", 1000, 4)])
    assert read_rates().of("reading from hub") == 250
    assert read_rates().runs("reading from hub") == LAST
    assert len(json.loads(file.read_text())["runs"]["reading from hub"]) == LAST


def test_kinds_do_not_mix(file):
    add_samples([Sample("a", 10, 1), Sample("b", 30, 1)])
    rates = read_rates()
    assert (rates.of("a"), rates.of("b"), rates.of("c")) == (10, 30, None)


@pytest.mark.parametrize("sample", [Sample("a", 0, 1), Sample("a", 10, 0), Sample("a", 10, float("nan"))])
def test_what_gives_no_rate_is_left_out(file, sample):
    add_samples([sample, Sample("b", 1, 1)])
    assert list(json.loads(file.read_text())["runs"]) == ["b"]


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b'{"version": 1}',
    b'{"version": 2, "runs": {"a": [[1, 1]]}}',
    b'{"version": 1, "runs": {"a": [[1]]}}',
    b'{"version": 1, "runs": {"a": 3}}',
    b'{"version": 1, "runs": {"a": [["x", null]]}}',
    b'{"version": 1, "runs": {"a": [[Infinity, 1]]}}',
    b'{"version": 1, "runs": {"a": [[0, 1], [-5, 1], [1, NaN]]}}',
    b"[" * 100_000,
    b'{"version": 1, "runs": {"a": [[%s, 1]]}}' % (b"9" * 400),  # more than a float holds
    b'{"version": 1, "runs": {"a": [[1, 1e-320]]}}',  # a rate that is infinite
    b'{"version": 1, "runs": {"a": [[1, 1e300]]}}',
]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_as_good_as_none_and_is_replaced(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    assert read_rates().of("a") is None
    add_samples([Sample("a", 7, 1)])
    assert read_rates().of("a") == 7


def test_a_place_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MERGE_RATES", str(tmp_path / "file" / "rates.json"))
    add_samples([Sample("a", 7, 1)])
    monkeypatch.setenv("MERGE_RATES", str(tmp_path))  # a folder
    add_samples([Sample("a", 7, 1)])
    assert read_rates().of("a") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_file_that_is_none_of_ours_stays(file):
    """Who names a checkpoint by mistake keeps it."""
    file.parent.mkdir()
    file.write_bytes(bytes(2**20 + 1))
    add_samples([Sample("a", 7, 1)])
    assert file.read_bytes() == bytes(2**20 + 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_neither_read_nor_replaced(file):
    file.parent.mkdir()
    os.mkfifo(file)
    assert read_rates().of("a") is None
    add_samples([Sample("a", 7, 1)])
    assert file.is_fifo()


def test_kinds_that_nobody_measures_any_more_are_forgotten(file):
    add_samples([Sample(f"reading from https://{number}", 7, 1) for number in range(499)])
    for kind in ("reading from https://0", "new", "newer"):
        add_samples([Sample(kind, 9, 1)])
    rates = read_rates()
    assert [rates.runs(f"reading from https://{number}") for number in (0, 1, 2)] == [2, 0, 1]
    assert rates.of("newer") == 9


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions")
def test_a_folder_without_permission_is_no_error(file):
    file.parent.mkdir(mode=stat.S_IRUSR)
    add_samples([Sample("a", 7, 1)])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(file, monkeypatch):
    add_samples([Sample("a", 7, 1)])
    monkeypatch.setattr("pathlib.Path.replace", lambda *given: (_ for _ in ()).throw(OSError("no")))
    add_samples([Sample("a", 70, 1)])
    assert read_rates().of("a") == 7
    assert [path.name for path in file.parent.iterdir()] == ["rates.json"]


@pytest.mark.parametrize("word", ["", "off", "OFF", "0", "no"])
def test_a_word_switches_it_off(monkeypatch, word):
    monkeypatch.setenv("MERGE_RATES", word)
    assert rates_path() is None
    add_samples([Sample("a", 7, 1)])
    assert read_rates().of("a") is None


def test_the_users_cache_folder_is_honoured(tmp_path, monkeypatch):
    monkeypatch.delenv("MERGE_RATES")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert rates_path() == tmp_path / "merge" / "rates.json"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if os.name == "posix":
        assert tmp_path / "home" in (rates_path() or tmp_path).parents


def test_samples_join_those_there_are():
    rates = Rates({}) | [Sample("a", 10, 1)] | [Sample("a", 30, 1)]
    assert rates.of("a") == 20
