"""Calls made by several processes: numbers, outcomes, failures, and processes that are lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import environment
from functions_to_call import die_once, fail, folder, process_id, refuse, square

from merge.distributed.spreading import Spreading, crew, spread
from merge.errors import MergeError, UsageError

TWO = Spreading(workers=2)


def test_outcomes_come_with_their_numbers():
    assert sorted(spread(square, [(number,) for number in range(5)], TWO)) == [(n, n * n) for n in range(5)]
    assert list(spread(square, [], TWO)) == []


def test_a_crew_is_kept_between_calls(here):
    """The last outcome ends a round, whether or not anybody asks for more."""
    with crew(TWO) as members:
        found = set()
        for _ in range(3):
            answers = members.make(process_id, [()] * 4)
            found |= {next(answers)[1] for _ in range(4)}
        assert list(members.make(folder, [()])) == [(0, str(here))]
    assert 1 <= len(found) <= 2
    assert os.getpid() not in found


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_lost_process_is_replaced(tmp_path):
    assert list(spread(die_once, [(str(tmp_path / "died"),)], TWO)) == [(0, "alive")]
    assert (tmp_path / "died").exists()


def test_errors_arrive_as_they_are():
    with pytest.raises(MergeError, match=r"^there: too late \(do otherwise\)$"):
        list(spread(fail, [("too late",)], TWO))
    with pytest.raises(UsageError, match=r"^no$"):
        list(spread(refuse, [()], TWO))


def test_when_others_help():
    assert not Spreading().is_spread
    assert [TWO.helps(calls) for calls in (0, 1, 2)] == [False, False, True]
    assert Spreading(engine="ray").helps(1)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_a_process_in_a_long_call_ends_with_the_one_that_asks(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from merge.distributed.spreading import Spreading, spread\n"
        "from functions_for_script import stay\n"
        "list(spread(stay, [(sys.argv[1],)] * 2, Spreading(workers=2)))\n"
    )
    (tmp_path / "functions_for_script.py").write_text(
        "import os, time, pathlib\ndef stay(folder):\n"
        "    pathlib.Path(folder, f'{os.getpid()}.pid').touch()\n    time.sleep(120)\n"
    )
    found = environment()
    found["PYTHONPATH"] += os.pathsep + str(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=found)
    _wait(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    process.kill()
    process.wait()
    workers = [path.stem for path in tmp_path.glob("*.pid")]
    _wait(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers))


def _wait(reached) -> None:
    limit = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < limit
        time.sleep(0.05)
