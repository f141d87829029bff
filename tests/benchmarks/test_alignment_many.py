"""The benchmark beyond a pair trains, merges through the command line, and prints its tables."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.usefixtures("benchmark_modules")


@pytest.mark.slow
def test_quick_run_prints_every_table():
    command = [sys.executable, BENCHMARKS / "alignment_many.py", "--quick"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    headings = [line for line in process.stdout.splitlines() if line.startswith("###")]
    assert len(headings) == 6
    assert "python benchmarks/alignment_many.py --quick" in process.stdout
    for way in ("C2M3", "straight-through", "solver", "layer-wise"):
        assert way in process.stdout


@pytest.mark.parametrize(
    ("side", "limit", "number", "verdict"),
    [
        ("at least", 0.95, 0.95, "met"),
        ("at least", 0.95, 0.9499, "NOT met"),
        ("at most", 0.1, 0.1 + 1e-12, "met"),
        ("at most", 0.1, 0.11, "NOT met"),
    ],
)
def test_verdicts_hold_numbers_against_limits(side, limit, number, verdict):
    from alignment_many_tables import Findings, verdicts

    found = Findings()
    found.want("a number", side, limit, number)
    ((what, _, _, said),) = verdicts(found)
    assert (what, said) == ("a number", verdict)
