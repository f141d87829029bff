"""Kills, Ctrl-C, resuming, and two runs at once."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused, contents, run, start

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
ELEMENTS = 25 * 2**20  # 50 MB of bfloat16 each


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two inputs of 50 MB, a base, and the result of an uninterrupted run of every command."""
    folder = tmp_path_factory.mktemp("large")
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(-(2**14), 2**14, (ELEMENTS // 5,), generator=generator, dtype=torch.int16) & 0x3FFF
    for seed, name in enumerate(("base", "a", "b")):
        state = {f"layers.{n}.w": noise.roll(seed * 1000 + n).view(torch.bfloat16) for n in range(5)}
        save(folder / f"{name}.st", state | {"norm": torch.ones(100) * seed})
    return folder


COMMANDS = {
    "soup": ["soup", "a.st", "b.st", "--threads", "2", "--no-fsync"],
    "ties": ["ties", "a.st", "b.st", "--base", "base.st", "--threads", "2", "--no-fsync"],
}


@pytest.fixture(scope="module")
def whole(large):
    """Return the bytes of an uninterrupted run."""
    found = {}
    for name, arguments in COMMANDS.items():
        assert run(*arguments, "-o", f"{name}-whole.st", cwd=large).code == 0
        found[name] = (large / f"{name}-whole.st").read_bytes()
    return found


def journal(large: Path, out: str) -> Path:
    return large / f".{out}.merging" / "journal"


def pieces(path: Path) -> int:
    try:
        return path.read_text().count('["piece"')
    except FileNotFoundError:
        return 0


def kill_at(large: Path, arguments: list[str], out: str, count: int, number: int = signal.SIGKILL):
    """Start a run and send it a signal when so many pieces are in its journal; return how it ended."""
    process = start(*arguments, "-o", out, cwd=large)
    limit = time.monotonic() + 60
    while pieces(journal(large, out)) < count and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.0005)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    return process.returncode, err


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("count", [1, 3, 6])
def test_killed_then_resumed_gives_the_same_bytes(large, whole, name, count):
    out = f"{name}-{count}.st"
    code, _ = kill_at(large, COMMANDS[name], out, count)
    if code != -signal.SIGKILL:
        pytest.skip("it was done before it could be killed")
    assert not (large / out).exists()
    done = pieces(journal(large, out))
    resumed = run(*COMMANDS[name], "-o", out, "--resume", "--json", cwd=large)
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out)["pieces_reused"] == done >= count
    assert (large / out).read_bytes() == whole[name]
    assert not journal(large, out).parent.exists()


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_a_random_moment(large, whole, seed):
    """Either there is no output or the complete one, and a resumed run completes it."""
    out = f"random-{seed}.st"
    process = start(*COMMANDS["soup"], "-o", out, cwd=large)
    time.sleep(random.Random(seed).uniform(0.2, 0.9))  # the moment is the point
    process.kill()
    process.communicate()
    assert not (large / out).exists() or (large / out).read_bytes() == whole["soup"]
    if not (large / out).exists():
        assert run(*COMMANDS["soup"], "-o", out, "--resume", cwd=large).code == 0
    assert (large / out).read_bytes() == whole["soup"]


def test_a_resumed_run_can_be_killed_and_resumed(large, whole):
    out = "again.st"
    for count in (1, 3, 5):
        kill_at(large, [*COMMANDS["soup"], *(["--resume"] if count > 1 else [])], out, count)
    assert (
        run(*COMMANDS["soup"], "-o", out, "--resume", *(["--force"] if (large / out).exists() else []), cwd=large).code
        == 0
    )
    assert (large / out).read_bytes() == whole["soup"]


def test_a_new_run_discards_what_a_killed_one_left_and_says_so(large, whole):
    out = "discarded.st"
    kill_at(large, COMMANDS["soup"], out, 2)
    assert pieces(journal(large, out)) >= 2
    result = run(*COMMANDS["soup"], "-o", out, "--json", cwd=large)
    assert "discarded" in " ".join(json.loads(result.out)["notes"])
    assert json.loads(result.out)["pieces_reused"] == 0
    assert (large / out).read_bytes() == whole["soup"]
    assert not journal(large, out).parent.exists()


def change_the_recipe(large: Path, out: str) -> list[str]:
    return ["--weights", "0.25,0.75"]


def touch_an_input(large: Path, out: str) -> list[str]:
    os.utime(large / "a.st")
    return []


def garble_the_journal(large: Path, out: str) -> list[str]:
    journal(large, out).write_bytes(b"\xff{garbage\n")
    return []


def lose_the_result(large: Path, out: str) -> list[str]:
    (large / f".{out}.merging" / "result" / out).unlink()
    return []


def shorten_the_result(large: Path, out: str) -> list[str]:
    os.truncate(large / f".{out}.merging" / "result" / out, 10_000)
    return []


CHANGES = [change_the_recipe, touch_an_input, garble_the_journal, lose_the_result, shorten_the_result]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nothing_is_resumed_when_something_has_changed(large, whole, change):
    out = f"{change.__name__}.st"
    kill_at(large, COMMANDS["soup"], out, 3)
    more = change(large, out)
    result = run(*COMMANDS["soup"], *more, "-o", out, "--resume", "--json", cwd=large)
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["pieces_reused"] == 0
    assert any("nothing to resume" in note for note in found["notes"])
    assert more or (large / out).read_bytes() == whole["soup"]


def test_nothing_to_resume_is_said(cli, here, pair):
    result = cli("soup", *pair, "-o", "out.st", "--resume")
    assert result.code == 0
    assert "nothing to resume" in result.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
@pytest.mark.parametrize("out", ["interrupted.st", "interrupted"])
def test_an_interrupted_run_cleans_up(large, number, out):
    before = set(contents(large))
    code, err = kill_at(large, COMMANDS["ties"], out, 1, number)
    if code == 0:
        for name in sorted(set(contents(large)) - before, reverse=True):  # what lies in a folder before the folder
            path = large / name
            path.rmdir() if path.is_dir() else path.unlink()
        pytest.skip("it was done before it could be interrupted")
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert set(contents(large)) == before


def test_a_second_run_to_one_output_is_refused(large, whole):
    first = start(*COMMANDS["ties"], "-o", "shared.st", cwd=large)
    while not journal(large, "shared.st").exists() and first.poll() is None:
        time.sleep(0.001)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        for more in ([], ["--resume"], ["--force"]):
            refused = run(*COMMANDS["ties"], "-o", "shared.st", *more, cwd=large)
            assert_refused(refused, 1, "another run")
    finally:
        os.kill(first.pid, signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0
    assert (large / "shared.st").read_bytes() == whole["ties"]
