"""Workers import what they need when they need it: several threads at once, for the first time in a process."""

from __future__ import annotations

import subprocess
import sys

from command_line import environment

PROBE = """
import sys, threading
from merge.dtypes import numpy_dtype

sys.setswitchinterval(1e-6)
start, failed = threading.Barrier(4), []

def first(task):
    start.wait()
    try:
        task()
    except BaseException as error:
        failed.append(error)

def plain():
    import numpy

threads = [threading.Thread(target=first, args=(task,)) for task in (plain, lambda: numpy_dtype("BF16")) * 2]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(repr(failed) if failed else 0)
"""


def test_threads_that_meet_at_their_first_import():
    for _ in range(8):  # the other order of imports failed in one of four
        found = subprocess.run(
            [sys.executable, "-c", PROBE], check=False, env=environment(), capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
