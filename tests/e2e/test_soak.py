"""Many merges in one process: it holds no more files, threads and memory than after the first ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT, environment

PROBE = """
import json, sys
from pathlib import Path
from soak import soak
found = soak(Path(sys.argv[1]), 60, 3)
print(json.dumps({"merges": found.merges, "done": found.done, "held": [one._asdict() for one in found.held]}))
"""
MOST_BYTES, MOST_OBJECTS = 100 * 2**20, 5_000  # caches of libraries fill in the first rounds


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Sixty merges in a process of their own, whose threads and files are nobody else's."""
    names = environment(PYTHONPATH=f"{ROOT / 'benchmarks'}:{ROOT}", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    command = [sys.executable, "-c", PROBE, str(tmp_path_factory.mktemp("soak"))]
    ended = subprocess.run(command, env=names, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_every_job_was_done_in_every_round(found):
    rounds = len(found["held"])
    assert rounds > 2
    assert found["merges"][-1] >= 60
    assert {times for name, times in found["done"].items() if "evaluated" not in name} == {rounds}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell")
@pytest.mark.parametrize("what", ["files", "threads", "system_threads"])
def test_files_and_threads_stay_as_many(found, what):
    first, *others = [held[what] for held in found["held"]]
    assert set(others) == {others[0]}
    assert others[0] <= first


def test_memory_and_objects_do_not_grow(found):
    _, second, *_, last = found["held"]
    assert last["resident"] - second["resident"] < MOST_BYTES
    assert last["objects"] - second["objects"] < MOST_OBJECTS
