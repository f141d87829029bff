"""Clocks that are wrong, names that are odd, streams that are closed or full, locales without Unicode."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_files import random_state, save
from command_line import command, environment
from faults_forks import Surroundings
from faults_forms import FORMS


@pytest.mark.parametrize(
    ("start", "step"),
    [(0.0, 0.001), (4_102_444_800.0, 0.001), (1_700_000_000.0, -3600.0)],
    ids=["1970", "2100", "back"],
)
@pytest.mark.parametrize("name", ["file", "folder", "eval-report"])
def test_the_time_of_day_does_not_matter(shop, name, start, step):
    known = shop.known(FORMS[name], replaces=True)
    ending, found = shop.run(known, around=Surroundings(clock=(start, step)))
    assert ending.code == 0, ending.err
    assert found == known.after


def test_inputs_from_the_future(shop, tmp_path):
    for name in "ab":
        os.utime(shutil.copy(shop.inputs / f"{name}.st", tmp_path), (4_102_444_800, 4_102_444_800))
    first = shop.forks.run(("soup", "a.st", "b.st", "-o", "out.st"), tmp_path)
    assert first.code == 0, first.err
    assert shop.forks.run(("verify", "out.st"), tmp_path, learn=True).code == 0


NAMES = {
    "a line break": "two\nlines",
    "quotes": 'it\'s "quoted"',
    "an emoji": "emoji \U0001f600",
    "a dash": "-dash",
    "spaces": "  spaces  ",
    "a terminal's codes": "\x1b[31mred\x07",
    "232 bytes": "n" * 232,
}


@pytest.mark.parametrize("what", NAMES)
def test_odd_names_are_merged_verified_and_shown_harmlessly(shop, tmp_path, what):
    name = NAMES[what]
    for each in ("a", "b"):
        shutil.copy(shop.inputs / f"{each}.st", tmp_path / f"{each}{name}.st")
    out = f"./{name}.st"
    for arguments in (("soup", f"a{name}.st", f"./b{name}.st", "-o", out), ("verify", out), ("inspect", out)):
        ending = shop.forks.run(arguments, tmp_path, learn=True)
        assert ending.code == 0, ending.err
        assert not {"\x1b", "\x07"} & set(ending.out + ending.err)
    refused = shop.forks.run(("soup", f"a{name}.st", f"b{name}.st", "-o", out), tmp_path)
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 1
    assert not {"\x1b", "\x07"} & set(refused.err)


@pytest.mark.parametrize("name", ["n" * 252 + ".st", "/".join(["d" * 200] * 25) + "/out.st"], ids=["name", "path"])
def test_names_too_long_for_what_is_built_beside_them(shop, tmp_path, name):
    ending = shop.forks.run(("soup", shop.inputs / "a.st", shop.inputs / "b.st", "-o", name), tmp_path)
    assert ending.code in (1, 2)
    assert len(ending.err.splitlines()) == 1
    assert "unexpected" not in ending.err
    assert list(tmp_path.iterdir()) == []


def test_tensor_names_of_ten_thousand_characters(shop, tmp_path):
    for seed, name in enumerate("ab"):
        save(tmp_path / f"{name}.st", {"w" * 10_000 + key: tensor for key, tensor in random_state(seed).items()})
    ending = shop.forks.run(("soup", "a.st", "b.st", "-o", "out.st"), tmp_path)
    assert ending.code == 0, ending.err
    assert shop.forks.run(("verify", "out.st"), tmp_path, learn=True).code == 0


def test_a_name_that_is_no_text(tmp_path):
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.st"
    save(tmp_path / "a.st", random_state(0))
    shutil.copy(os.fsencode(tmp_path / "a.st"), raw)
    for arguments in ((raw, b"a.st", b"-o", b"out.st"), (b"a.st", b"a.st", b"-o", b"\xff.st")):
        words = [*map(os.fsencode, command("soup")), *arguments]
        ended = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, check=False)
        assert ended.returncode == 2
        assert b"no valid UTF-8" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
}


@pytest.mark.parametrize("name", LOCALES)
def test_locales_change_no_byte(tmp_path, name):
    for seed, each in enumerate(("a", "b")):
        save(tmp_path / f"{each}.st", {f"größe.{key}": tensor for key, tensor in random_state(seed).items()})
    found = []
    for number, more in enumerate(({}, LOCALES[name])):
        words = command("soup", "a.st", "b.st", "-o", "out.st", *(["--force"] * number))
        ended = subprocess.run(words, cwd=tmp_path, env=environment(**more), capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        found.append((tmp_path / "out.st").read_bytes() + (tmp_path / "out.st.md").read_bytes())
    assert found[0] == found[1]
    words = command("inspect", "out.st")
    ended = subprocess.run(words, cwd=tmp_path, env=environment(**LOCALES[name]), capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize(
    ("redirection", "codes"),
    [
        ("| true", (0, 1)),
        ("> /dev/full", (1,)),
        (">&-", (0,)),
        ("<&-", (0,)),
        ("<&- >&- 2>&-", (0,)),
        ("2> /dev/full", (0,)),
    ],
)
def test_standard_streams_that_are_closed_or_full(tmp_path, redirection, codes):
    for seed, name in enumerate("ab"):
        save(tmp_path / f"{name}.st", random_state(seed))
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("there is no device that is always full")
    program = f'"$@" {redirection}\n' + ("" if "|" in redirection else "exit $?")
    words = ["/bin/sh", "-c", program, "sh", *command("soup", "a.st", "b.st", "-o", "out.st")]
    ended = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode in codes, ended
    assert "Traceback" not in ended.stderr + ended.stdout
    assert len(ended.stderr.splitlines()) == (redirection == "> /dev/full")
    assert (tmp_path / "out.st").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.st", "b.st", "out.st", "out.st.md"]
